"""Regions while a network learns: count, take some steps, count again."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_integers
from allmlp.theory.regions import Regions, count_regions
from allmlp.theory.slices import Slice

__all__ = ["region_history", "spiral_task"]


def region_history(
    model: nn.Module,
    step: Callable[[], object],
    at: Sequence[int],
    *,
    box: Sequence[Any] = (-1, 1),
    slice: Slice | None = None,
    example: Tensor | None = None,
) -> list[tuple[int, Regions]]:
    """Counts a model's regions after given numbers of training steps.

    Args:
        model: as `count_regions` takes it; trained in place by `step`.
        step: takes one optimisation step, whatever that is.
        at: ascending numbers of steps; 0 is before the first.
        box: as `count_regions` takes it.
        slice: as `count_regions` takes it.
        example: as `count_regions` takes it.

    Returns:
        The steps and the regions there.

    Raises:
        AllmlpError: steps that do not ascend from 0 or more.
    """
    for i, number in enumerate(at):
        check_integers("region_history", minimum=0, **{f"at[{i}]": number})
    if list(at) != sorted(set(at)):
        raise AllmlpError(f"the steps must ascend, but are {list(at)}; sort them")
    history, taken = [], 0
    for number in at:
        while taken < number:
            step()
            taken += 1
        history.append((number, count_regions(model, box, slice, example=example)))
    return history


def spiral_task(
    widths: Sequence[int], *, points: int = 200, seed: int = 0
) -> tuple[nn.Sequential, Callable[[], float], Tensor, Tensor]:
    """A ReLU network with one output, and full-batch Adam steps that teach it two spirals.

    Args:
        widths: inputs (2) and hidden layers.
        points: on both arms together.
        seed: of weights (He's) and points, in generators of their own.

    Returns:
        The model, a function that takes a step and returns the loss, the points (points, 2), and
        their labels 0 or 1 (points,).

    Raises:
        AllmlpError: other than two inputs.
    """
    if len(widths) < 2 or widths[0] != 2:
        raise AllmlpError(
            f"spirals lie in the plane, so widths must be 2 and hidden layers, but are {widths}; "
            "write for example 2,32,32"
        )
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential()
    sizes = [*widths, 1]
    for i in range(len(widths)):
        linear = nn.Linear(sizes[i], sizes[i + 1], device="meta").to_empty(device="cpu")
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu", generator=generator)
        with torch.no_grad():
            linear.bias.copy_(torch.randn(sizes[i + 1], generator=generator) * 0.1)
        model.extend([nn.ReLU()] * (i > 0) + [linear])
    rng = np.random.default_rng(seed)
    angle = np.linspace(0.4, 3 * np.pi, points // 2)
    arm = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (0.1 * angle)[:, None]
    x = np.concatenate([arm, -arm]) + rng.normal(0, 0.02, (2 * len(arm), 2))
    inputs = torch.from_numpy(x).float()
    labels = torch.arange(2).repeat_interleave(len(arm))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)

    def step() -> float:
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(model(inputs)[:, 0], labels.float())
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return model, step, inputs, labels
