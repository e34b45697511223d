"""Let every channel read another place of the map: shift by channel group.

A pattern says for each channel how many rows down and columns to the right it reads. A linear map
over channels that follows then mixes places at the price of mixing channels: CycleFC, AS-MLP and
S2-MLP differ in the pattern alone.

Channels of equal displacement are copied as slices: no gather, no deformable convolution.

Axes: b batch, h w rows and columns of the map, c channels.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError, check_choice, check_integers
from allmlp.ops.transforms import plain_needed

__all__ = [
    "SHIFT_PATTERNS",
    "ShiftPattern",
    "cyclic_pattern",
    "dilated_pattern",
    "make_pattern",
    "random_pattern",
    "shift_channels",
]

# rows, columns, then first channel, end and step of the channels that move so
_Move = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class ShiftPattern:
    """Where every channel reads.

    Attributes:
        offsets: for each channel, how many rows down and columns to the right it reads.
    """

    offsets: tuple[tuple[int, int], ...]
    # found once: evenly spaced channels of equal displacement, without those that stay
    _moves: tuple[_Move, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_moves", _find_moves(self.offsets))


@lru_cache(maxsize=256)  # the blocks of a stage share their pattern
def cyclic_pattern(channels: int, steps: tuple[int, int], *, dilation: int = 1) -> ShiftPattern:
    """Channel c reads row `delta(c, steps[0])`, column `delta(c // steps[0], steps[1])`.

    With `delta(c, s) = ((c + s // 2) mod s) - s // 2`: 0, 1, -1, 0, 1, -1, … for a step of 3.
    Channel 0 stays in place. One step of 1 leaves the pattern of the released CycleFC.

    Args:
        channels: c.
        steps: the stepsizes along height and width; odd, so that reading is centred.
        dilation: factor of all displacements.

    Raises:
        AllmlpError: a size is no positive integer, or a step is even.

    Source: Chen et al. 2021, arXiv:2107.10224, §3.3; the phase is that of the released code and
        weights, the paper's figure starts at -1.

    Example:
        >>> cyclic_pattern(4, (1, 3)).offsets
        ((0, 0), (0, 1), (0, -1), (0, 0))
    """
    rows, columns = steps
    check_integers("a shift pattern", minimum=1, channels=channels, dilation=dilation)
    check_integers("a shift pattern", minimum=1, step_h=rows, step_w=columns)
    if rows % 2 == 0 or columns % 2 == 0:
        raise AllmlpError(
            f"a shift pattern needs odd steps, got {rows} along height and {columns} along width"
        )
    return ShiftPattern(
        tuple(
            (dilation * _delta(c, rows), dilation * _delta(c // rows, columns))
            for c in range(channels)
        )
    )


def random_pattern(channels: int, steps: tuple[int, int], *, seed: int = 0) -> ShiftPattern:
    """The displacements of `cyclic_pattern`, dealt to the channels in a random order.

    Args:
        channels: c.
        steps: as in `cyclic_pattern`.
        seed: of the order; no global random state is read or changed.

    Raises:
        AllmlpError: as `cyclic_pattern`.
    """
    offsets = list(cyclic_pattern(channels, steps).offsets)
    random.Random(seed).shuffle(offsets)
    return ShiftPattern(tuple(offsets))


def dilated_pattern(channels: int, steps: tuple[int, int]) -> ShiftPattern:
    """`cyclic_pattern` at twice the distance: the same number of places, with gaps between.

    Raises:
        AllmlpError: as `cyclic_pattern`.
    """
    return cyclic_pattern(channels, steps, dilation=2)


# (channels, steps, seed)
SHIFT_PATTERNS: dict[str, Callable[[int, tuple[int, int], int], ShiftPattern]] = {
    "cyclic": lambda channels, steps, seed: cyclic_pattern(channels, steps),
    "random": lambda channels, steps, seed: random_pattern(channels, steps, seed=seed),
    "dilated": lambda channels, steps, seed: dilated_pattern(channels, steps),
}


def make_pattern(
    pattern: str, channels: int, steps: tuple[int, int], *, seed: int = 0
) -> ShiftPattern:
    """A pattern by its name.

    Args:
        pattern: key of `SHIFT_PATTERNS`.
        channels: c.
        steps: as in `cyclic_pattern`.
        seed: read by `random` alone.

    Raises:
        AllmlpError: an unknown name, or sizes as in `cyclic_pattern`.

    Example:
        >>> make_pattern("dilated", 3, (3, 1)).offsets
        ((0, 0), (2, 0), (-2, 0))
    """
    check_choice("shift pattern", pattern, SHIFT_PATTERNS)
    return SHIFT_PATTERNS[pattern](channels, steps, seed)


def shift_channels(x: Float[Tensor, "b h w c"], pattern: ShiftPattern) -> Float[Tensor, "b h w c"]:
    """`y[b, i, j, c] = x[b, i + rows_c, j + columns_c, c]`, zero beyond the border.

    Args:
        x: maps, channels last.
        pattern: rows and columns for each channel; those beyond the map read zeros.

    Shape:
        (b, h, w, c) -> (b, h, w, c); dtype unchanged.

    Raises:
        AllmlpError: the pattern is for another number of channels.

    Example:
        >>> x = torch.arange(1.0, 5.0).view(1, 1, 4, 1)
        >>> shift_channels(x, ShiftPattern(((0, 1),))).flatten().tolist()
        [2.0, 3.0, 4.0, 0.0]
    """
    if len(pattern.offsets) != x.shape[-1]:
        raise AllmlpError(
            f"the shift pattern is for {len(pattern.offsets)} channels, the map has {x.shape[-1]}"
        )
    wanted = torch.is_grad_enabled() and x.requires_grad
    if wanted and not torch.compiler.is_compiling() and not plain_needed():
        return _Shift.apply(x, pattern._moves)
    return _shifted(x, pattern._moves)


class _Shift(torch.autograd.Function):
    """Autograd alone would copy the whole gradient once for every slice."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, moves: tuple[_Move, ...]) -> Tensor:
        return _shifted(x, moves)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, tuple[_Move, ...]], output: Tensor) -> None:
        ctx.moves = inputs[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        back = tuple((-rows, -columns, *group) for rows, columns, *group in ctx.moves)
        return _Shift.apply(gradient, back), None


def _shifted(x: Tensor, moves: tuple[_Move, ...]) -> Tensor:
    height, width, channels = x.shape[1:]
    y = x.clone(memory_format=torch.contiguous_format)
    # A displacement is one distance in the row-major list of all places of all images: one long
    # copy is faster than many short ones. What so came from the next row or image is zeroed.
    source, target = x.reshape(-1, channels), y.view(-1, channels)
    for rows, columns, first, end, step in moves:
        group = slice(first, end, step)
        if abs(rows) < height and abs(columns) < width:
            distance = rows * width + columns
            ahead, behind = max(distance, 0), max(-distance, 0)
            places = source.shape[0] - ahead - behind
            target[behind : behind + places, group] = source[ahead : ahead + places, group]
        if rows:
            y[:, _beyond(rows, height), :, group] = 0
        if columns:
            y[:, :, _beyond(columns, width), group] = 0
    return y


def _find_moves(offsets: tuple[tuple[int, int], ...]) -> tuple[_Move, ...]:
    moves = []
    for rows, columns in sorted(set(offsets) - {(0, 0)}):
        channels = [c for c, own in enumerate(offsets) if own == (rows, columns)]
        while channels:
            step = channels[1] - channels[0] if len(channels) > 1 else 1
            count = 1
            while count < len(channels) and channels[count] == channels[0] + count * step:
                count += 1
            moves.append((rows, columns, channels[0], channels[count - 1] + 1, step))
            channels = channels[count:]
    return tuple(moves)


def _beyond(distance: int, length: int) -> slice:
    """The places of an axis that would read outside of it."""
    return slice(max(length - distance, 0), None) if distance > 0 else slice(-distance)


def _delta(number: int, step: int) -> int:
    return (number + step // 2) % step - step // 2
