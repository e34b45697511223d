"""Optimizers that learn at one point and answer at another.

Defazio et al. 2024, The road less scheduled, arXiv:2405.15682: gradients are taken at y, between
the last iterate z and the average x of all iterates, and x is the answer. The classes of the
package `schedulefree` keep y in the parameters and move them to x and back by `eval()` and
`train()`.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from allmlp.data import Padding
from allmlp.training.random_state import random_state, restore_random_state

__all__ = ["at_answer", "begin", "is_schedule_free", "move_to_answer"]

# batches from which statistics are recomputed: what the package's authors recommend
STATISTICS_BATCHES = 50

Autocast = Callable[[], AbstractContextManager[Any]]


def is_schedule_free(optimizer: Optimizer | type[Optimizer]) -> bool:
    """Whether it has two points, and so replaces a falling learning rate."""
    return all(callable(getattr(optimizer, name, None)) for name in ("train", "eval"))


def begin(optimizer: Any) -> None:
    """Put the weights at y, where gradients are taken."""
    optimizer.train()


def move_to_answer(
    model: nn.Module,
    optimizer: Any,
    batches: Callable[[], Iterable[Any]],
    autocast: Autocast,
) -> None:
    """Put the weights at x, and the statistics of batch norms where they are at x.

    Those gathered in training belong to y. They are recomputed from some batches with everything
    else (dropout, say) as in an evaluation. Random states stay as they are.

    Args:
        model: in any mode, which it keeps.
        optimizer: with `eval()`.
        batches: of the training, called if the model has batch norms; the first 50 are used.
        autocast: the precision of forward passes.
    """
    optimizer.eval()
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not norms:
        return
    device = next(model.parameters()).device
    before = random_state(device)  # loaders draw from it
    modes = [(module, module.training) for module in model.modules()]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
        norm.train()
    with torch.no_grad(), autocast():
        for batch in islice(batches(), STATISTICS_BATCHES):
            if not isinstance(batch, Padding):
                model(batch[0])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for module, training in modes:
        module.training = training
    restore_random_state(before, device)


@contextmanager
def at_answer(
    model: nn.Module,
    optimizer: Any,
    batches: Callable[[], Iterable[Any]],
    autocast: Autocast,
) -> Iterator[None]:
    """`move_to_answer` for a while; afterwards weights and buffers are the old ones, to the bit.

    The way back by `optimizer.train()` would round, and a run that goes on from a checkpoint never
    took it.
    """
    tensors = [p.detach() for p in model.parameters()] + list(model.buffers())
    before = [t.clone() for t in tensors]
    move_to_answer(model, optimizer, batches, autocast)
    try:
        yield
    finally:
        optimizer.train()
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)
