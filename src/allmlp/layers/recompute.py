"""Recompute a part of a network in the backward pass instead of keeping what it computed."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

__all__ = ["recompute", "steps"]


def recompute(module: nn.Module, x: Tensor) -> Tensor:
    """`module(x)`; activations inside are dropped and computed again when gradients are wanted.

    Batch norms see each batch once: the second pass normalises by the batch, as the first did, and
    leaves the running statistics alone.

    Args:
        module: maps one tensor to one tensor.
        x: its input.
    """
    if not torch.is_grad_enabled():
        return module(x)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _without_counting(module)

    return checkpoint(module, x, use_reentrant=False, context_fn=contexts)


def steps(blocks: Iterable[nn.Module], *, recomputed: bool) -> list[Callable[[Tensor], Tensor]]:
    """Blocks as they run, one after the other.

    Args:
        blocks: each maps one tensor to one tensor.
        recomputed: run each by `recompute`.
    """
    return [partial(recompute, block) for block in blocks] if recomputed else list(blocks)


@contextmanager
def _without_counting(module: nn.Module) -> Iterator[None]:
    """Batch norms that still normalise by the batch, with nothing of it in their statistics."""
    # a norm that tracks nothing would save other tensors than in the first pass, which is refused
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.training]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    try:
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
