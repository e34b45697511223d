"""Metrics of a model over data, in this process or over all of them."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from allmlp.data import Padding
from allmlp.errors import AllmlpError
from allmlp.training.batch import count_examples
from allmlp.training.mode import same_mode
from allmlp.training.precision import autocast
from allmlp.training.ranks import ALONE, Ranks
from allmlp.training.sums import add_sums
from allmlp.training.task import Task

__all__ = ["evaluate"]


@torch.no_grad()
def evaluate(
    model: nn.Module,
    task: Task,
    batches: Iterable[Any],
    autocast_dtype: torch.dtype | None = None,
    ranks: Ranks = ALONE,
) -> dict[str, float]:
    """Metrics over all batches, each example weighted equally; every module's mode is restored.

    Args:
        model: on its device.
        task: what it learned.
        batches: of each the share of this process.
        autocast_dtype: of matrix products, or None for the model's own dtype.
        ranks: the processes that share the batches.

    Raises:
        AllmlpError: there is nothing to evaluate on.
    """
    device = next(model.parameters()).device
    totals: dict[str, Tensor] = {}
    count = 0
    with same_mode(model):
        model.eval()
        for item in batches:
            padding = isinstance(item, Padding)
            batch = item.batch if padding else item
            with autocast(device, autocast_dtype):
                _, outputs = task.loss(model, batch)
            add_sums(totals, task.sums(outputs, batch), counted=not padding)
            count += 0 if padding else count_examples(batch)
    sums = ranks.sums({"count": count, **totals})
    count = int(sums.pop("count"))
    if not count:
        raise AllmlpError("evaluation needs at least one example, got none")
    return {name: value / count for name, value in sums.items()}
