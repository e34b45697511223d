"""Blocks one after the other, and what they say on the way.

Axes: b batch, n tokens, d width, h w grid of tokens.
"""

from collections.abc import Callable, Iterable, Sequence

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import check_choice
from allmlp.layers.recompute import recompute as run_again
from allmlp.ops.blocks import block_numbers

__all__ = ["run_blocks", "run_blocks_keeping", "show_map", "show_tokens", "show_vector"]

FORMATS = ("NCHW", "NLC")  # maps (b, d, h, w), or tokens (b, n, d)


def run_blocks(blocks: Iterable[nn.Module], x: Tensor, *, recompute: bool = False) -> Tensor:
    """The last block's output.

    Args:
        blocks: each takes what the one before gives.
        x: what the first block takes.
        recompute: run every block again in the backward pass instead of keeping what is inside.
    """
    for block in blocks:
        x = _run(block, x, recompute)
    return x


def run_blocks_keeping(
    blocks: nn.ModuleList,
    x: Tensor,
    indices: int | Sequence[int] | None,
    *,
    show: Callable[[Tensor, str], Tensor],
    output_fmt: str,
    intermediates_only: bool,
    final: nn.Module | None = None,
    normalise: bool = False,
    recompute: bool = False,
) -> tuple[Tensor, list[Tensor]] | list[Tensor]:
    """What `VisionModel.forward_intermediates` owes, for a stack of blocks.

    Args:
        blocks: each takes what the one before gives.
        x: what the first block takes.
        indices: as in `ops.blocks.block_numbers`.
        show: from a block's output and `NCHW` or `NLC` to the intermediate in that format;
            `show_tokens`, `show_map` or `show_vector`.
        output_fmt: `NCHW`, maps (b, d, h, w), or `NLC`, tokens (b, n, d).
        intermediates_only: return the list alone and skip the blocks after the last one asked.
        final: what follows the last block, a norm; None for nothing.
        normalise: apply `final` to every intermediate.
        recompute: as in `run_blocks`.

    Returns:
        `(final output, intermediates)`, or the intermediates alone.

    Raises:
        AllmlpError: a block number that does not exist, or an unknown format.
    """
    check_choice("output_fmt", output_fmt, FORMATS)
    final = nn.Identity() if final is None else final
    wanted = block_numbers(indices, len(blocks))
    found: dict[int, Tensor] = {}
    for i, block in enumerate(blocks):
        if intermediates_only and i > max(wanted):
            break
        x = _run(block, x, recompute)
        if i in wanted:
            found[i] = show(final(x) if normalise else x, output_fmt)
    intermediates = [found[i] for i in wanted]
    return intermediates if intermediates_only else (final(x), intermediates)


def show_tokens(grid: tuple[int, int]) -> Callable[[Tensor, str], Tensor]:
    """For blocks over tokens (b, n, d) that stand row by row on a grid of h by w."""

    def show(x: Float[Tensor, "b n d"], output_fmt: str) -> Tensor:
        if output_fmt == "NLC":
            return x
        return rearrange(x, "b (h w) d -> b d h w", h=grid[0])

    return show


def show_map(x: Float[Tensor, "b d h w"], output_fmt: str) -> Tensor:
    """For blocks over maps (b, d, h, w)."""
    return x if output_fmt == "NCHW" else rearrange(x, "b d h w -> b (h w) d")


def show_vector(x: Float[Tensor, "b d"], output_fmt: str) -> Tensor:
    """For blocks over vectors (b, d): a map of one place, or one token."""
    return x[:, :, None, None] if output_fmt == "NCHW" else x[:, None]


def _run(block: nn.Module, x: Tensor, recompute: bool) -> Tensor:
    return run_again(block, x) if recompute else block(x)
