"""Foreign formats that differ from ours by names alone, one table each."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from allmlp.zoo.convert.format import Converted, Pulled, Settings, State, count_layers

__all__ = ["Renaming", "with_bias"]


def with_bias(names: Mapping[str, str]) -> dict[str, str]:
    """Names of layers to names of their weights and biases.

    Example:
        >>> with_bias({"head": "fc"})
        {'head.weight': 'fc.weight', 'head.bias': 'fc.bias'}
    """
    kinds = ("weight", "bias")
    return {f"{ours}.{kind}": f"{to}.{kind}" for ours, to in names.items() for kind in kinds}


@dataclass(frozen=True, kw_only=True)
class Renaming:
    """The names of one code base for a stack of equal blocks, in torch's layouts.

    Vectors kept as (1, 1, d) are flattened.
    """

    format: str
    family: str
    outside: Mapping[str, str]  # our keys -> theirs, outside of blocks
    optional: tuple[Mapping[str, str], ...]  # groups that are there whole or not at all
    block: Mapping[str, str]  # within `blocks.I.`, on both sides
    sign: str  # our key within a block whose foreign name only this format has
    # (tensors of ours, number of blocks, stated image size) -> config
    config: Callable[[State, int, tuple[int, int] | None], Any]

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether the stem and the first block bear these names."""
        stem = self.outside["stem.proj.weight"]
        return stem in state and f"blocks.0.{self.block[self.sign]}" in state

    def convert(
        self,
        state: Mapping[str, Tensor],
        img_size: tuple[int, int] | None,
        settings: Settings,
    ) -> Converted:
        """Rename, flatten vectors and infer the sizes.

        Raises:
            AllmlpError: tensors are missing, left over, or of shapes that do not fit together.
        """
        pulled = Pulled(self.format, state)
        sign = re.escape(self.block[self.sign])
        depth = count_layers(self.format, state, rf"blocks\.(\d+)\.{sign}")
        there = [group for group in self.optional if next(iter(group.values())) in state]
        for group in (self.outside, *there):
            for ours, theirs in group.items():
                pulled.take(theirs, ours, _flat)
        for i in range(depth):
            for ours, theirs in self.block.items():
                pulled.take(f"blocks.{i}.{theirs}", f"blocks.{i}.{ours}", _flat)
        pulled.done()
        config = self.config(pulled.ours, depth, img_size)
        return Converted(self.format, self.family, config, pulled.ours, tuple(pulled.renamed))


def _flat(tensor: Tensor) -> Tensor:
    return tensor.reshape(-1) if tensor.ndim == 3 and tensor.shape[:2] == (1, 1) else tensor
