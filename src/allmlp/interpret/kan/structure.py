"""Does a trained network separate into parts, and which changes of its inputs leave it alone?

Measured by derivatives of the network on data, so any differentiable model will do; for noisy data
a smooth fit answers where the data cannot.

Paper: Liu et al. 2024, KAN 2.0, arXiv:2408.10205, §4.3 (separability and symmetry).
DIFF: scores without units between 0 and 1 instead of thresholds on absolute derivatives; the
multiplicative test divides by nothing, so that zeros of the network do no harm.
Axes: n samples, c columns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_choice, check_integers
from allmlp.interpret.modes import evaluating

__all__ = ["SYMMETRIES", "Symmetry", "interactions", "separable_groups", "symmetries"]

Kind = Literal["add", "multiply"]
KINDS = ("add", "multiply")

# Of two inputs u, v: what the function would depend on, and the direction (du, dv) that keeps it.
SYMMETRIES: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "u - v": lambda u, v: (torch.ones_like(u), torch.ones_like(v)),
    "u + v": lambda u, v: (torch.ones_like(u), -torch.ones_like(v)),
    "u * v": lambda u, v: (u, -v),
    "u / v": lambda u, v: (u, v),
    "u^2 + v^2": lambda u, v: (v, -u),
    "u^2 - v^2": lambda u, v: (v, u),
}


@dataclass(frozen=True)
class Symmetry:
    """A combination of two inputs that the model may read instead of both."""

    inputs: tuple[int, int]
    combination: str  # one of SYMMETRIES
    violation: float  # 0 where the model depends on the combination alone; about 0.7 by chance


def interactions(
    model: nn.Module, x: Float[Tensor, "n c"], kind: Kind = "add", *, output: int = 0
) -> Float[Tensor, "c c"]:
    """How far each pair of inputs is from standing in different summands, or factors.

        add:       rms(s_i s_j f_ij) / std(f)
        multiply:  rms(s_i s_j (f f_ij - f_i f_j)) / mean(f^2)

    f_i are derivatives of the output, s_i the inputs' deviations on x. Zero means that f is a sum
    (a product) in which no term (no factor) has both.

    Args:
        model: (n, c) to (n, o), twice differentiable.
        x: where it is asked; outside of the data a network knows nothing.
        kind: sums or products.
        output: which.

    Returns:
        Symmetric, with zeros on the diagonal.

    Raises:
        AllmlpError: fewer than two rows, an unknown kind, or no such output.

    Example:
        >>> class Law(nn.Module):
        ...     def forward(self, x):
        ...         return x[:, :1] * x[:, 1:2] + x[:, 2:] ** 3
        >>> (interactions(Law(), torch.rand(50, 3).double()) > 0.01).int().tolist()
        [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    """
    check_choice("kind", kind, KINDS)
    value, slope, points = _slopes(model, x, output)
    spread = x.std(0)
    found = x.new_zeros(x.shape[1], x.shape[1])
    for i in range(x.shape[1]):
        second = torch.zeros_like(x)
        if slope.requires_grad:  # that of a linear model is not
            (second,) = torch.autograd.grad(
                slope[:, i].sum(),
                points,
                retain_graph=True,
                allow_unused=True,
                materialize_grads=True,
            )
        if kind == "add":
            mixed, size = second, value.std()
        else:
            mixed = value[:, None] * second - slope[:, i, None] * slope
            size = value.square().mean()
        rms = (spread[i] * spread * mixed.detach()).square().mean(0).sqrt()
        found[i] = torch.where(size > 0, rms / torch.where(size > 0, size, 1), 0).detach()
    found = (found + found.T) / 2
    return found.fill_diagonal_(0)


def separable_groups(
    model: nn.Module,
    x: Float[Tensor, "n c"],
    kind: Kind = "add",
    *,
    output: int = 0,
    threshold: float = 1e-2,
) -> list[list[int]]:
    """The finest groups of columns such that f is a sum (a product) of functions of one group each.

    Columns share a group where a chain of `interactions` above the threshold joins them.

    Raises:
        AllmlpError: as `interactions`.
    """
    joined = interactions(model, x, kind, output=output) > threshold
    left, groups = set(range(len(joined))), []
    while left:
        group, waiting = set(), {min(left)}
        while waiting:
            column = waiting.pop()
            group.add(column)
            waiting |= set(joined[column].nonzero()[:, 0].tolist()) - group
        groups.append(sorted(group))
        left -= group
    return groups


def symmetries(
    model: nn.Module,
    x: Float[Tensor, "n c"],
    *,
    output: int = 0,
    names: list[str] | None = None,
) -> list[Symmetry]:
    """How far the model is from depending on a combination of two inputs alone, best first.

        violation = rms(du f_u + dv f_v) / rms(|(du, dv)| |(f_u, f_v)|)

    with the direction (du, dv) that leaves the combination as it is.

    Args:
        model: (n, c) to (n, o), differentiable.
        x: where it is asked, in the units in which the combination is meant.
        output: which.
        names: of SYMMETRIES; None tries all.

    Raises:
        AllmlpError: fewer than two rows, an unknown name, or no such output.

    Example:
        >>> class Law(nn.Module):
        ...     def forward(self, x):
        ...         return (x[:, :1] - x[:, 1:2]).sin() * x[:, 2:]
        >>> best = symmetries(Law(), torch.rand(50, 3).double())[0]
        >>> best.inputs, best.combination, best.violation < 1e-12
        ((0, 1), 'u - v', True)
    """
    for name in names or ():
        check_choice("symmetry", name, tuple(SYMMETRIES))
    _, slope, _ = _slopes(model, x, output)
    slope = slope.detach()
    found = []
    for i in range(x.shape[1]):
        for j in range(i + 1, x.shape[1]):
            pair = slope[:, [i, j]]
            for name in names or SYMMETRIES:
                along = torch.stack(SYMMETRIES[name](x[:, i], x[:, j]), dim=1)
                moved = (along * pair).sum(1).square().mean().sqrt()
                most = (along.norm(dim=1) * pair.norm(dim=1)).square().mean().sqrt()
                if most > 0:
                    found.append(Symmetry((i, j), name, float(moved / most)))
    return sorted(found, key=lambda symmetry: symmetry.violation)


def _slopes(model: nn.Module, x: Tensor, output: int) -> tuple[Tensor, Tensor, Tensor]:
    """One output, its derivatives by the columns (differentiable), and the points."""
    if x.ndim != 2 or len(x) < 2:
        raise AllmlpError(f"structure is measured on at least two rows, got {tuple(x.shape)}")
    check_integers("structure", minimum=0, output=output)
    with evaluating(model), torch.enable_grad():
        points = x.detach().requires_grad_()
        values = model(points)
        if not output < values.shape[1]:
            raise AllmlpError(f"the model has outputs 0 to {values.shape[1] - 1}, got {output}")
        value = values[:, output]
        (slope,) = torch.autograd.grad(
            value.sum(), points, create_graph=True, allow_unused=True, materialize_grads=True
        )
    return value.detach(), slope, points
