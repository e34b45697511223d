"""Levenberg-Marquardt for KANs: full-batch least squares with the curvature of Gauss and Newton.

Papers: Levenberg 1944; Marquardt 1963; the rule for the damping is Nielsen's (1999, IMM-REP-05).
Axes: n samples, o outputs, p trained parameters.
"""

import math
import time
from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError, check_integers
from allmlp.models.kan import KAN
from allmlp.training.examples import Place
from allmlp.training.history import History
from allmlp.training.kan_jacobian import kan_jacobian, trained_parameters
from allmlp.training.objective import check_targets
from allmlp.training.task import Regression

__all__ = ["levenberg_marquardt"]

# numbers of the Jacobian held at once: 32 MB in float64
_NUMBERS_AT_ONCE = 2**22
# parameters whose p x p matrix is still worth solving: 0.3 GB, and seconds a step
_MOST = 6000
_FAILURES = 12  # in a row, each with a larger damping: no step helps any more


def levenberg_marquardt(
    model: KAN,
    inputs: Float[Tensor, "n c"],
    targets: Tensor,
    *,
    weights: Float[Tensor, " n"] | None = None,
    steps: int = 100,
    tolerance: float = 1e-12,
    max_seconds: float | None = None,
) -> History:
    """Minimise the mean squared error of a small KAN, where it is, on all examples at once.

    ::

        minimise |J step + r|^2 + damping |D step|^2,   D: the largest |J_p| so far

    Every step solves a system of all p trained parameters: where p is at most about a thousand it
    reaches in tens of steps what LBFGS takes thousands of passes for; beyond, LBFGS is cheaper.
    Only steps that lower the error are taken, so no number that is not finite ever gets in.

    Args:
        model: its edges and biases are trained; what is frozen stays.
        inputs: on any device and of any float dtype; they go where the model is.
        targets: (n, o), in the shape of the outputs.
        weights: how much each example counts, relative to their mean.
        steps: at most; tried ones count.
        tolerance: training ends where ten steps together gain less than this share of the error.
        max_seconds: after which it stops.

    Returns:
        `train/loss` after every step that was tried, and why it ended.

    Raises:
        AllmlpError: a model that is no KAN, trains something else, or has too many parameters;
            examples that do not fit it; an error that is not finite from the start.

    Example:
        >>> x = torch.linspace(-1, 1, 200, dtype=torch.float64)[:, None]
        >>> model = KAN([1, 1], grid=10).double()
        >>> history = levenberg_marquardt(model, x, torch.sin(3 * x), steps=20)
        >>> history["train/loss"][-1] < 1e-8
        True
    """
    check_integers("levenberg_marquardt", minimum=1, steps=steps)
    if not isinstance(model, KAN):
        raise AllmlpError(f"levenberg_marquardt trains a KAN, got a {type(model).__name__}")
    parameters = list(trained_parameters(model).values())
    count = sum(p.numel() for p in parameters)
    if count > _MOST:
        raise AllmlpError(
            f"levenberg_marquardt solves a system of all parameters, at most {_MOST}, got {count}; "
            "train by fit(optimizer='lbfgs')"
        )
    place = Place(parameters[0].device, parameters[0].dtype)
    x, y = cast(tuple[Tensor, Tensor], place.batch((inputs, targets)))
    with torch.no_grad():
        check_targets(Regression(), model(x[:1]), y, "targets")
    root = x.new_ones(len(x)) if weights is None else place.weights(weights, len(x)).sqrt()
    root = root[:, None].expand(y.shape)
    started = time.monotonic()
    deadline = math.inf if max_seconds is None else started + max_seconds
    flat = torch.nn.utils.parameters_to_vector(parameters).detach()
    loss = _loss(model, x, y, root)
    if not math.isfinite(loss):
        raise AllmlpError(
            f"the error must be finite to begin with, got {loss}; look for inputs, targets or "
            "weights that are not"
        )
    history = History()
    triangle, right = _linearised(model, x, y, root, count)
    size = triangle.norm(dim=0)
    damping, growth, failures = 1e-3, 2.0, 0
    losses = [loss]
    for step in range(1, steps + 1):
        scale = size.clamp(min=1e-6 * float(size.max()) or 1.0)
        change, expected = _solve(triangle, right, math.sqrt(damping) * scale)
        _set(parameters, flat + change)
        reached = _loss(model, x, y, root)
        if reached < loss:
            share = min((loss - reached) / max(expected, 1e-300), 1.0)
            damping = max(damping * max(1 / 3, 1 - (2 * share - 1) ** 3), 1e-20)
            growth, failures = 2.0, 0
            flat = flat + change
            loss = reached
            losses.append(loss)
            triangle, right = _linearised(model, x, y, root, count)
            size = torch.maximum(size, triangle.norm(dim=0))
        else:
            damping, growth, failures = damping * growth, growth * 2, failures + 1
        history.records.append({"step": step, "epoch": step, "train/loss": loss})
        if loss == 0:
            history.stopped = "no error left"
        elif failures > _FAILURES:
            history.stopped = "converged: no step lowers the error"
        elif len(losses) > 10 and losses[-11] - loss < tolerance * losses[-11]:
            history.stopped = f"converged: ten steps gained less than {tolerance:g}"
        elif time.monotonic() > deadline:
            history.stopped = f"{max_seconds:g} seconds over"
        if history.stopped:
            break
    _set(parameters, flat)
    history.stopped = history.stopped or f"{steps} steps taken"
    return history


@torch.no_grad()
def _set(parameters: Sequence[Tensor], flat: Tensor) -> None:
    # torch's vector_to_parameters would make them views of one storage, at odd addresses: products
    # with a copy of the model, or with what was saved of it, then end in other last digits
    pieces = flat.split([parameter.numel() for parameter in parameters])
    for parameter, piece in zip(parameters, pieces, strict=True):
        parameter.copy_(piece.view_as(parameter))


def _linearised(
    model: KAN, x: Tensor, y: Tensor, root: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """R and Q^T r of the weighted Jacobian J = Q R, over the root of the number of residuals.

    Householder's triangle, tile by tile: J^T J would square the condition of a fine grid's J.
    """
    rows = max(count + 1, _NUMBERS_AT_ONCE // (count * y.shape[1]))
    whole = x.new_zeros(0, count + 1)
    parts = zip(x.split(rows), y.split(rows), root.split(rows), strict=True)
    for part, target, factor in parts:
        outputs, jacobian = kan_jacobian(model, part)
        residual = (outputs - target).flatten()[:, None]
        tile = torch.cat([jacobian.flatten(0, 1), residual], dim=1) * factor.flatten()[:, None]
        whole = torch.linalg.qr(torch.cat([whole, tile]), mode="r").R
    whole = whole / math.sqrt(y.numel())
    return whole[:count, :count], whole[:count, count]


@torch.no_grad()
def _loss(model: KAN, x: Tensor, y: Tensor, root: Tensor) -> float:
    return float(((model(x) - y) * root).square().mean())


def _solve(triangle: Tensor, right: Tensor, damping: Tensor) -> tuple[Tensor, float]:
    """The damped step, and what the linear model expects of it."""
    count = len(damping)
    stacked = torch.cat([triangle, torch.diag(damping)])
    against = torch.cat([right, right.new_zeros(count)])
    whole = torch.linalg.qr(torch.cat([stacked, against[:, None]], dim=1), mode="r").R
    upper, target = whole[:count, :count], whole[:count, count:]
    change = -torch.linalg.solve_triangular(upper, target, upper=True)[:, 0]
    change = change.nan_to_num(0.0, 0.0, 0.0)
    # |r|^2 - |r + J step|^2 by the normal equations, without the difference
    gain = (triangle @ change).square().sum() + 2 * (damping * change).square().sum()
    return change, float(gain)
