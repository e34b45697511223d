"""A graph as a file that `torch.export.load` reads without this library."""

import inspect
import io
import json
import warnings
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from allmlp.deploy.graph import ABOUT, Feeds, Graph
from allmlp.errors import AllmlpError, first_line

__all__ = ["TorchNet", "to_torch", "trace"]


def trace(graph: Graph) -> ExportedProgram:
    """The graph for batches of any size.

    Raises:
        AllmlpError: the network does not compute the same way for all of them.
    """
    feeds = graph.take(2)  # torch takes a size of 0 or 1 for one that never changes
    batch = Dim("batch")
    shapes: Any = tuple({0: batch} for _ in feeds)
    if _takes_any_number(graph.module):
        shapes = (shapes,)
    try:
        with torch.no_grad():
            return torch.export.export(graph.module, tuple(feeds.values()), dynamic_shapes=shapes)
    # whatever a network's own code raises on tensors without numbers
    except Exception as e:
        raise AllmlpError(
            "a file needs a network that computes the same for every batch, without looking at "
            f"numbers or at the batch's size; torch says: {first_line(e)}"
        ) from e


def to_torch(graph: Graph, program: ExportedProgram) -> bytes:
    """The content of a .pt2 file.

    Args:
        graph: to write.
        program: its trace.
    """
    content = io.BytesIO()
    with warnings.catch_warnings():
        # of shared storage, of which the archive keeps one copy
        warnings.filterwarnings("ignore", "No complete tensor found in the group")
        torch.export.save(program, content, extra_files={f"{ABOUT}.json": graph.text()})
    return content.getvalue()


class TorchNet:
    """What a .pt2 file answers.

    Args:
        content: of the file.

    Attributes:
        about: the description in it.
    """

    def __init__(self, content: bytes):
        found = {f"{ABOUT}.json": ""}
        program = torch.export.load(io.BytesIO(content), extra_files=found)
        self.about: dict[str, Any] = json.loads(found[f"{ABOUT}.json"])
        self._module = program.module()

    @torch.inference_mode()
    def __call__(self, feeds: Feeds) -> Tensor:
        return self._module(*feeds.values())


def _takes_any_number(module: torch.nn.Module) -> bool:
    # `forward(self, *inputs)`: its shapes are given as one argument that is a tuple
    taken = inspect.signature(module.forward).parameters.values()
    return any(parameter.kind is parameter.VAR_POSITIONAL for parameter in taken)
