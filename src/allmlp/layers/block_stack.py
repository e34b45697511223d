"""Blocks of equal shape, one after the other, and what they say on the way.

Axes: b batch, n tokens, d width, h w grid of tokens.
"""

from collections.abc import Iterable, Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from allmlp.errors import check_choice
from allmlp.ops.blocks import block_numbers

__all__ = ["run_blocks", "run_blocks_keeping"]


def run_blocks(
    blocks: Iterable[nn.Module], x: Float[Tensor, "b n d"], *, recompute: bool = False
) -> Float[Tensor, "b n d"]:
    """The last block's output.

    Args:
        blocks: each maps (b, n, d) to itself.
        x: tokens.
        recompute: run every block again in the backward pass instead of keeping what is inside.
    """
    for block in blocks:
        x = _run(block, x, recompute)
    return x


def run_blocks_keeping(
    blocks: nn.ModuleList,
    x: Float[Tensor, "b n d"],
    indices: int | Sequence[int] | None,
    *,
    final: nn.Module,
    normalise: bool,
    output_fmt: str,
    intermediates_only: bool,
    grid: tuple[int, int],
    recompute: bool = False,
) -> tuple[Tensor, list[Tensor]] | list[Tensor]:
    """What `VisionModel.forward_intermediates` owes, for a stack of blocks over tokens.

    Args:
        blocks: each maps (b, n, d) to itself.
        x: tokens before the first block.
        indices: as in `ops.blocks.block_numbers`.
        final: what follows the last block, a norm.
        normalise: apply `final` to every intermediate.
        output_fmt: `NCHW`, maps (b, d, h, w), or `NLC`, tokens (b, n, d).
        intermediates_only: return the list alone and skip the blocks after the last one asked.
        grid: h and w.
        recompute: as in `run_blocks`.

    Returns:
        `(final tokens, intermediates)`, or the intermediates alone.

    Raises:
        AllmlpError: a block number that does not exist, or an unknown format.
    """
    check_choice("output_fmt", output_fmt, ("NCHW", "NLC"))
    wanted = block_numbers(indices, len(blocks))
    found: dict[int, Tensor] = {}
    for i, block in enumerate(blocks):
        if intermediates_only and i > max(wanted):
            break
        x = _run(block, x, recompute)
        if i in wanted:
            tokens = final(x) if normalise else x
            found[i] = tokens if output_fmt == "NLC" else _as_map(tokens, grid)
    intermediates = [found[i] for i in wanted]
    return intermediates if intermediates_only else (final(x), intermediates)


def _run(block: nn.Module, x: Tensor, recompute: bool) -> Tensor:
    if recompute and torch.is_grad_enabled():
        return checkpoint(block, x, use_reentrant=False)
    return block(x)


def _as_map(tokens: Float[Tensor, "b n d"], grid: tuple[int, int]) -> Float[Tensor, "b d h w"]:
    return rearrange(tokens, "b (h w) d -> b d h w", h=grid[0])
