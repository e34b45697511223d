"""How far training moves each layer's outputs, against the width: the test of a parametrisation.

Paper: Yang et al. 2022, arXiv:2203.03466, appendix D.1.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from allmlp.errors import AllmlpError, check_integers
from allmlp.training.flow_measurement import own_modules

__all__ = ["CoordCheck", "coord_check"]

# makes a model of some width, and its optimizer
Factory = Callable[[int], tuple[nn.Module, Optimizer]]


@dataclass(frozen=True)
class CoordCheck:
    """Mean absolute change of every layer's output, by width; `str` is a table.

    Args:
        widths: from the narrowest to the widest.
        changes: by layer, one number for each width, the mean over seeds.
    """

    widths: tuple[int, ...]
    changes: dict[str, tuple[float, ...]]

    @property
    def slopes(self) -> dict[str, float]:
        """By layer, the least-squares slope of log change against log width: 0 under muP.

        Infinite for a layer that does not move at some width, or moves beyond all numbers.
        """
        found = {}
        for name, values in self.changes.items():
            fine = all(0 < value < math.inf for value in values)
            fit = np.polyfit(np.log(self.widths), np.log(values), 1)[0] if fine else math.inf
            found[name] = float(fit)
        return found

    def __str__(self) -> str:
        size = max(map(len, ("layer", *self.changes)))
        head = "".join(f"{width:>10}" for width in self.widths)
        slopes = self.slopes
        rows = [
            f"{name:<{size}}{''.join(f'{v:>10.3g}' for v in values)}{slopes[name]:>8.2f}"
            for name, values in self.changes.items()
        ]
        return "\n".join([f"{'layer':<{size}}{head}{'slope':>8}", *rows])


def coord_check(
    make: Factory,
    widths: Sequence[int],
    inputs: Tensor,
    targets: Tensor,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    steps: int = 5,
    seeds: int = 1,
) -> CoordCheck:
    """Train nets of several widths for a few steps and compare how far their layers move.

    Layers are the modules that own a weight of two axes or more. All nets see the same batch at
    every step, in eval mode before and after. The global random state is given back.

    Args:
        make: from a width to a model and its optimizer; weights come from torch's global state,
            which is seeded for each.
        widths: at least two, increasing.
        inputs: (n, ...), one batch.
        targets: (n, ...), as the loss needs them.
        loss: of (outputs, targets); None is the cross-entropy of integers, the squared error of
            floats.
        steps: of the optimizer.
        seeds: nets of each width, 0, 1, ….

    Raises:
        AllmlpError: fewer than two widths, or widths that do not increase.

    Example:
        >>> from torch.optim import SGD
        >>> def make(width: int) -> tuple[nn.Module, Optimizer]:
        ...     net = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 1))
        ...     return net, SGD(net.parameters(), lr=0.1)
        >>> list(coord_check(make, [8, 16], torch.ones(3, 4), torch.ones(3, 1)).changes)
        ['0', '2']
    """
    check_integers("coord_check", minimum=1, steps=steps, seeds=seeds)
    if len(widths) < 2 or sorted(set(widths)) != list(widths):
        raise AllmlpError(f"coord_check compares two or more increasing widths, got {widths}")
    if loss is None:
        loss = F.mse_loss if targets.is_floating_point() else F.cross_entropy
    found: dict[str, list[float]] = {}
    for width in widths:
        sums: dict[str, float] = {}
        for seed in range(seeds):
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                model, optimizer = make(width)
                before = _outputs(model, inputs)
                model.train()
                for _ in range(steps):
                    optimizer.zero_grad()
                    loss(model(inputs), targets).backward()
                    optimizer.step()
                after = _outputs(model, inputs)
            for name, output in after.items():
                change = (output - before[name]).abs().mean(dtype=torch.float64)
                sums[name] = sums.get(name, 0.0) + float(change) / seeds
        for name, change_of in sums.items():
            found.setdefault(name, []).append(change_of)
    return CoordCheck(tuple(widths), {name: tuple(v) for name, v in found.items()})


def _outputs(model: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    """What every layer gives, in order of execution."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: object, output: Tensor) -> None:
            found[name] = output.detach().clone()

        return hook

    layers = [
        (name, module)
        for name, module in own_modules(model)
        if isinstance(module, nn.Linear) or any(p.ndim >= 2 for p in module.parameters(False))
    ]
    hooks = [module.register_forward_hook(keep(name or "(model)")) for name, module in layers]
    try:
        with torch.no_grad():
            model.eval()(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found
