"""Train a KAN grid by grid: each finer grid starts where the coarser one ended.

Paper: Liu et al. 2024, arXiv:2404.19756, §2.4 (grid extension).
DIFF: refinement loses nothing (`KAN.refine`); every change of a grid starts the optimizer afresh,
because its history is of coefficients that are gone; pykan keeps it.
Axes: n samples, c columns, o outputs.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError, check_choice, check_integers
from allmlp.layers.bspline import BSplineBasis
from allmlp.layers.kan import KANLinear
from allmlp.models.kan import KAN
from allmlp.training.examples import Batch, Place
from allmlp.training.fit import fit
from allmlp.training.history import History
from allmlp.training.levenberg_marquardt import levenberg_marquardt
from allmlp.training.members import MemberClassification, MemberRegression
from allmlp.training.objective import choose_task
from allmlp.training.penalty import Penalty
from allmlp.training.task import Regression, Task

__all__ = ["FOLLOW", "KANFit", "KANStage", "fit_kan"]

Follow = Literal["hidden", "all", "none"]
FOLLOW = ("hidden", "all", "none")
# parameters whose square matrix is solved as fast as LBFGS takes its twenty passes
_MOST = 1000


@dataclass(frozen=True, eq=False)
class KANStage:
    """What one grid came to."""

    grid: int
    histories: tuple[History, ...]  # one for every time that the grids moved
    error: float  # on what it was trained on: root mean square, of another loss its mean
    validation_error: float | None


@dataclass(frozen=True, eq=False)
class KANFit:
    """The trained network, and how it came about."""

    model: KAN  # of the last stage; with validation, of the best one
    error: float  # its own, on what it was trained on
    stages: tuple[KANStage, ...]


def fit_kan(
    model: KAN,
    inputs: Float[Tensor, "n c"],
    targets: Tensor,
    *,
    grids: Sequence[int] | None = None,
    steps: int = 100,
    weights: Float[Tensor, " n"] | None = None,
    loss: Literal["auto", "cross_entropy", "mse"] | Task = "auto",
    optimizer: str = "auto",
    updates: int = 2,
    starts: int = 1,
    follow: Follow = "hidden",
    uniform_share: float = 1.0,
    margin: float = 0.01,
    scale_inputs: bool = False,
    dtype: torch.dtype | None = None,
    penalty: Penalty | None = None,
    validation: tuple[Tensor, ...] | None = None,
    max_seconds: float | None = None,
    seed: int = 0,
    **options: Any,
) -> KANFit:
    """Train a KAN on one grid after the other; the model itself stays as it is.

    For every grid the network is refined, then `updates` times its grids are moved to where the
    values are and `steps` / `updates` steps are taken by an optimizer that starts afresh.

    Args:
        model: on B-splines; on another basis with grids=None alone.
        inputs: as the network takes them.
        targets: (n, o), in the shape of the outputs; (n,) classes.
        grids: numbers of intervals, for example (5, 10, 20, 50). One that multiplies the one before
            begins exactly where that ended. None keeps the network's own.
        steps: of the optimizer, on every grid.
        weights: how much each example counts, relative to their mean.
        loss: as in `fit`, but for functions.
        optimizer: `levenberg_marquardt`, for squared errors; or one of `OPTIMIZERS`. `auto` takes
            the first, or `lbfgs` where it cannot or where it costs more than it gains: from a
            thousand parameters on.
        updates: how often grids move on each grid; at least once.
        starts: how many first weights are tried on the first grid, the model's own among them; the
            best goes on. Least squares of a deep network has bad valleys.
        follow: which layers' grids follow their inputs: `hidden`, where `grid_range` says of the
            data's own columns what is possible; `all`; or `none`.
        uniform_share: 1 for equidistant grids, 0 for quantiles (`KAN.update_grid`).
        margin: by which moving grids reach beyond the values.
        scale_inputs: put the columns' ranges onto the grid's before anything else
            (`KAN.scale_inputs`); the map stays with the network.
        dtype: that the network is trained in and stays in, for example torch.float64; None is its
            own.
        penalty: as in `fit`; not with Levenberg-Marquardt.
        validation: (inputs, targets), with weights (inputs, targets, weights); the grid that does
            best on them is returned.
        max_seconds: after which training stops; the stage under way is the last.
        seed: of the further starts, and as in `fit`.
        **options: further ones of `fit`, for example `lr` or `batch_size`.

    Raises:
        AllmlpError: as `fit`, `levenberg_marquardt`, `KAN.refine` and `KAN.update_grid`; a penalty
            or options that Levenberg-Marquardt does not have.

    Example:
        >>> x = torch.linspace(-1, 1, 400)[:, None]
        >>> found = fit_kan(KAN([1, 1], grid=3), x, torch.sin(5 * x), grids=(3, 6, 24), steps=20,
        ...                 dtype=torch.float64)
        >>> found.model.config.grid, found.error < 1e-4
        (24, True)
    """
    check_integers("fit_kan", minimum=1, steps=steps, updates=updates, starts=starts)
    check_choice("follow", follow, FOLLOW)
    if not isinstance(model, KAN):
        raise AllmlpError(f"fit_kan trains a KAN, got a {type(model).__name__}")
    task = loss if isinstance(loss, Task) else choose_task(loss, targets)
    weighted = weights is not None or (validation is not None and len(validation) == 3)
    if weighted and not isinstance(loss, Task):
        task = MemberRegression() if isinstance(task, Regression) else MemberClassification()
    squares = isinstance(task, Regression | MemberRegression)
    if optimizer == "levenberg_marquardt" and (not squares or penalty is not None or options):
        given = "penalty" if penalty is not None else ", ".join(options) or f"loss {loss}"
        raise AllmlpError(
            f"levenberg_marquardt minimises squared errors and nothing else, so it takes no {given}"
            "; train by optimizer='lbfgs'"
        )
    if max_seconds is not None and not max_seconds > 0:
        raise AllmlpError(f"fit_kan needs max_seconds above 0, got {max_seconds}")
    example = next(model.parameters())
    kind = dtype or example.dtype
    place = Place(example.device, kind)
    inputs, targets = place.batch((inputs, targets))
    examples = _examples(place, inputs, targets, weights)
    judged = None if validation is None else _examples(place, *validation)
    # a copy, in the dtype asked for
    network = model.keep().to(kind)
    if scale_inputs:
        network = network.scale_inputs(inputs)
    deadline = math.inf if max_seconds is None else time.monotonic() + max_seconds
    moving = range(0 if follow == "all" else 1, network.config.depth)
    moves = follow != "none" and len(moving) > 0 and _has_grids(network)

    plain = squares and penalty is None and not options
    plain = plain and not (network.config.affine or network.config.norm)

    def train(network: KAN, grid: int) -> tuple[KAN, KANStage]:
        if grid != network.config.grid:
            network = network.refine(grid)
        histories: list[History] = []
        for update in range(updates):
            if moves:
                network = network.update_grid(
                    inputs, layers=moving, uniform_share=uniform_share, margin=margin
                ).model
            share = steps * (update + 1) // updates - steps * update // updates
            left = deadline - time.monotonic()
            if share == 0 or left <= 0:
                continue
            given: dict[str, Any] = {
                "steps": share,
                "max_seconds": None if math.isinf(left) else left,
            }
            best = (
                "levenberg_marquardt" if plain and network.count_parameters() <= _MOST else "lbfgs"
            )
            name = best if optimizer == "auto" else optimizer
            if name == "levenberg_marquardt":
                done = levenberg_marquardt(network, inputs, targets, weights=weights, **given)
            else:
                given |= {"optimizer": name, "penalty": penalty, "seed": seed, **options}
                done = fit(network, inputs, targets, weights=weights, loss=task, **given)
            histories.append(done)
        error = None if judged is None else _error(network, task, judged)
        return network, KANStage(grid, tuple(histories), _error(network, task, examples), error)

    first, *finer = grids or (network.config.grid,)
    begun = [network, *(_drawn_anew(network, seed + n) for n in range(1, starts))]
    network, stage = min((train(start, first) for start in begun), key=lambda one: one[1].error)
    trained = [(network, stage)]
    for grid in finer:
        if time.monotonic() > deadline:
            break
        network, stage = train(network, grid)
        trained.append((network, stage))
    chosen = trained[-1]
    if judged is not None:
        chosen = min(trained, key=lambda one: one[1].validation_error or 0.0)
    return KANFit(chosen[0], chosen[1].error, tuple(stage for _, stage in trained))


def _drawn_anew(model: KAN, seed: int) -> KAN:
    """The network with other first weights, wherever it trains them."""
    drawn = model.keep()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for layer in drawn.modules():
            if isinstance(layer, KANLinear) and layer.spline_weight.requires_grad:
                layer.init_weights()
    return drawn


def _has_grids(model: KAN) -> bool:
    layers = [m for m in model.modules() if isinstance(m, KANLinear)]
    return all(isinstance(layer.basis, BSplineBasis) for layer in layers)


def _examples(place: Place, inputs: Tensor, targets: Tensor, *weights: Tensor | None) -> Batch:
    batch = place.batch((inputs, targets))
    given = [place.weights(w, len(batch[0])) for w in weights if w is not None]
    return (*batch, *given)


@torch.no_grad()
def _error(model: KAN, task: Task, examples: Batch) -> float:
    mean = float(task.loss(model, examples)[0])
    return math.sqrt(mean) if isinstance(task, Regression | MemberRegression) else mean
