"""Foreign formats of pyramids, which differ from ours by names and singleton axes alone."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.zoo.convert.format import Converted, Pulled, Settings, State

__all__ = ["PyramidFormat"]


@dataclass(frozen=True, kw_only=True)
class PyramidFormat:
    """The names of one code base.

    In theirs `{s}` is a stage, `{p}` the one before it and `{b}` a block; where stages and what
    lies between them are counted in one list, `{even}` is a stage and `{odd}` what leads to it.
    """

    format: str
    family: str
    outside: Mapping[str, str]  # our keys -> theirs, outside of stages
    optional: tuple[Mapping[str, str], ...]  # groups that are there whole or not at all
    down: Mapping[str, str]  # within `stages.S.down.` -> theirs
    block: Mapping[str, str]  # within `stages.S.blocks.B.` -> theirs
    sign: str  # our key within a block whose foreign name only this format has
    # (tensors of ours, blocks of each stage, stated image size) -> config
    config: Callable[[State, tuple[int, ...], tuple[int, int] | None], Any]
    reshape: Callable[[State], State] = lambda ours: ours  # their shapes into ours

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether everything outside of stages and the first block bear these names."""
        first = _name(self.block[self.sign], 0)
        return first in state and all(theirs in state for theirs in self.outside.values())

    def convert(
        self,
        state: Mapping[str, Tensor],
        img_size: tuple[int, int] | None,
        settings: Settings,
    ) -> Converted:
        """Rename and infer the sizes.

        Raises:
            AllmlpError: tensors are missing or left over.
        """
        pulled = Pulled(self.format, state)
        depths = self._depths(state)
        pairs = dict(self.outside)
        for group in self.optional:
            if next(iter(group.values())) in state:
                pairs |= group
        for s, depth in enumerate(depths):
            if s:
                for ours, theirs in self.down.items():
                    pairs[f"stages.{s}.down.{ours}"] = _name(theirs, s)
            for b in range(depth):
                for ours, theirs in self.block.items():
                    pairs[f"stages.{s}.blocks.{b}.{ours}"] = _name(theirs, s, b)
        for ours, theirs in pairs.items():
            pulled.take(theirs, ours)
        pulled.done()
        state = self.reshape(pulled.ours)
        config = self.config(state, depths, img_size)
        return Converted(self.format, self.family, config, state, tuple(pulled.renamed))

    def _depths(self, state: Mapping[str, Tensor]) -> tuple[int, ...]:
        """Blocks of each stage, numbered from 0 without a gap."""
        theirs = re.escape(self.block[self.sign])
        step = 2 if r"\{even\}" in theirs else 1
        pattern = re.sub(r"\\\{(?:s|even)\\\}", r"(?P<s>\\d+)", theirs)
        pattern = pattern.replace(r"\{b\}", r"(?P<b>\d+)")
        found = [m for key in state if (m := re.fullmatch(pattern, key))]
        numbers = {(int(m["s"]) // step, int(m["b"])) for m in found}
        depths = [
            sum(stage == s for stage, _ in numbers) for s in range(max(s for s, _ in numbers) + 1)
        ]
        for s, depth in enumerate(depths):
            missing = set(range(max(depth, 1))) - {b for stage, b in numbers if stage == s}
            if missing:
                raise AllmlpError(
                    f"this {self.format} file lacks block {min(missing)} of stage {s}; is it whole?"
                )
        return tuple(depths)


def _name(theirs: str, s: int, b: int = 0) -> str:
    return theirs.format(s=s, p=s - 1, even=2 * s, odd=2 * s - 1, b=b)
