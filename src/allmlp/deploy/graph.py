"""What becomes a file: a network with what stands before and after it, and a word about each.

Axes: b batch.
"""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from allmlp.errors import AllmlpError

__all__ = ["ABOUT", "Feeds", "Graph", "Net", "TextColumn", "evaluation_copy"]

Feeds = Mapping[str, Tensor]  # by the names of the inputs; the first axis is the batch
Net = Callable[[Feeds], Tensor]

# where a file keeps `Graph.about`: a key of ONNX's metadata, an extra file of torch's archive
ABOUT = "allmlp"


@dataclass(frozen=True)
class TextColumn:
    """How a column of texts becomes codes.

    Attributes:
        name: of the column.
        levels: texts by code, from 1; all others are 0.
        missing: code of the empty text; 0 if nothing was missing in training.
    """

    name: str
    levels: tuple[str, ...]
    missing: int


@dataclass(frozen=True, eq=False)
class Graph:
    """A function of tensors that can be written down.

    Attributes:
        module: what is written, in eval mode, on the CPU; takes the examples in their order and
            returns one tensor.
        original: what it must agree with: the same network as it was before parts were merged.
        examples: some of each input, by name.
        output: its name.
        about: what JSON can hold: preparation, classes and the like.
        texts: columns of the input `codes`; a format that knows texts takes `texts` instead.
        notes: for people.
    """

    module: nn.Module
    original: nn.Module
    examples: Feeds
    output: str
    about: Mapping[str, Any] = field(default_factory=dict)
    texts: tuple[TextColumn, ...] = ()
    notes: tuple[str, ...] = ()

    @torch.inference_mode()
    def __call__(self, feeds: Feeds) -> Tensor:
        """What the network itself answers."""
        return self.original(*(feeds[name] for name in self.examples))

    def take(self, count: int) -> Feeds:
        """The first examples, again and again if there are fewer."""
        return {
            name: t[torch.arange(count) % len(t)].contiguous() for name, t in self.examples.items()
        }

    def text(self) -> str:
        """`about` as JSON."""
        return json.dumps(self.about, ensure_ascii=False)


def evaluation_copy(model: nn.Module) -> nn.Module:
    """The model on the CPU, out of reach of whoever trains the original.

    Raises:
        AllmlpError: it is in training mode, or does what no file can do.
    """
    if model.training:
        raise AllmlpError(
            "a file answers as the model does in evaluation, and this model is in training mode; "
            "call model.eval() first"
        )
    for name, module in model.named_modules():
        if getattr(module, "outside", None) == "error":
            raise AllmlpError(
                f"{name} raises an error for inputs beyond its grid (outside='error'), which an "
                "exported graph cannot do; build the model with outside='linear', 'clamp' or 'zero'"
            )
    return copy.deepcopy(model).cpu().requires_grad_(False)
