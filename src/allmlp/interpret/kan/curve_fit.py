"""Fit c f(a x + b) + d to many curves and with many functions at once.

For given (a, b) the best (c, d) is a linear regression, so only (a, b) are searched: from a coarse
grid of starts, the best few are improved by Levenberg-Marquardt on the projected residual.

Source: Golub and Pereyra 1973 (variable projection); Kaufman 1975 (its Jacobian).
DIFF: pykan compares 101 x 101 pairs (a, b), zooms three times, and adds 1e-4 to the variance in
R^2; here R^2 does not depend on the scale of a curve, and pairs that leave the function's domain
anywhere between the samples are no candidates.
Axes: e curves, n samples, f functions, p starts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError, check_integers
from allmlp.ops.symbolic import SymbolicFunction

__all__ = ["CurveFits", "fit_curves", "free_parameters", "simplest_affine"]

# Of x scaled to [-1, 1]. Slopes lie close enough for a sine of twelve radians either way; shifts
# cover the half-lines of logarithms and roots.
_SLOPES = (0.125, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 12.0)
_SHIFTS = (*(0.5 * n for n in range(-20, 21)), -0.125, 0.125)
_STARTS = 4  # improved of every curve and function
_COARSE = 64  # samples that starts are compared at
# (a, b) that may give the same curve and read better, the best of them last
_FORMS: tuple[Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], ...] = (
    lambda a, b: (a.abs(), torch.where(a < 0, -b, b)),
    lambda a, b: (a, b - 2 * torch.pi * torch.round(b / (2 * torch.pi))),
    lambda a, b: (torch.ones_like(a).copysign(a), b / torch.where(a == 0, 1, a).abs()),
    lambda a, b: (a, torch.zeros_like(b)),
    lambda a, b: (torch.ones_like(a), torch.zeros_like(b)),
)


@dataclass(frozen=True, eq=False)
class CurveFits:
    """The best c f(a x + b) + d of every function for every curve."""

    affine: Float[Tensor, "e f 4"]  # a, b, c, d, in the units of the curves
    r2: Float[Tensor, "e f"]  # 1 - unexplained over total variance; -inf where no start fits
    residual: Float[Tensor, "e f"]  # root mean square, in the units of the curves


def fit_curves(
    x: Float[Tensor, "e n"],
    y: Float[Tensor, "e n"],
    functions: Sequence[SymbolicFunction],
    *,
    steps: int = 60,
) -> CurveFits:
    """Fit every function to every curve, in float64.

    A curve that does not vary beyond rounding counts as explained: R^2 is 1, c is 0.

    Args:
        x: where the curves were sampled, finite.
        y: their values, finite.
        functions: f of them.
        steps: of Levenberg-Marquardt, at most.

    Raises:
        AllmlpError: no sample, values that are not finite, or fewer than one step.

    Example:
        >>> from allmlp.ops.symbolic import LIBRARY
        >>> x = torch.linspace(-1, 1, 50)[None]
        >>> fits = fit_curves(x, 1e-3 * torch.sin(3 * x + 1), [LIBRARY["sin"], LIBRARY["exp"]])
        >>> [round(r2, 6) for r2 in fits.r2[0].tolist()]
        [1.0, 0.484804]
    """
    check_integers("fit_curves", minimum=1, steps=steps)
    x, y = x.detach().double(), y.detach().double()
    if x.shape[1] == 0 or not bool(x.isfinite().all() and y.isfinite().all()):
        raise AllmlpError("curves need at least one sample, all of them finite; drop the others")
    low, high = x.amin(1, keepdim=True), x.amax(1, keepdim=True)
    middle, half = (low + high) / 2, (high - low) / 2
    half = torch.where(half > 0, half, 1)
    z = (x - middle) / half
    mean = y.mean(1, keepdim=True)
    spread = (y - mean).square().mean(1, keepdim=True).sqrt()
    # below, rounding of y is all that varies
    flat = spread <= 8 * torch.finfo(y.dtype).eps * y.abs().amax(1, keepdim=True)
    t = (y - mean) / torch.where(flat, 1, spread)
    t = torch.where(flat, 0, t)

    found = [_fit_function(function, z, t, steps) for function in functions]
    ab = torch.stack([f[0] for f in found], dim=1) if found else z.new_zeros(len(z), 0, 2)
    columns = []
    for number, function in enumerate(functions):
        a, b = ab[:, number].split(1, dim=1)
        a, b = _simplest(function, a / half, b - a * middle / half, x, t)
        c, d, _ = _regress(function(a * x + b), t)
        c, d = torch.where(flat, 0, c * spread), torch.where(flat, mean, d * spread + mean)
        columns.append(torch.cat([a, b, c, d], dim=1))
    affine = torch.stack(columns, dim=1) if columns else z.new_zeros(len(z), 0, 4)
    unexplained = torch.stack([f[1] for f in found], dim=1) if found else z.new_zeros(len(z), 0)
    r2 = torch.where(flat, 1, 1 - unexplained)
    return CurveFits(affine, r2, torch.where(flat, 0, unexplained.sqrt() * spread))


def simplest_affine(
    function: SymbolicFunction,
    affine: tuple[float, float, float, float],
    x: Float[Tensor, " n"],
    y: Float[Tensor, " n"],
) -> tuple[float, float, float, float]:
    """Constants that give the same curve and read better: no scale inside a power, small phases.

    Args:
        function: of the edge.
        affine: its a, b, c, d.
        x: what the edge reads.
        y: its values there.
    """
    x, y = x.detach().double()[None], y.detach().double()[None]
    mean = y.mean()
    spread = y.std(correction=0)
    if not bool(spread > 8 * torch.finfo(y.dtype).eps * y.abs().max()):
        return affine
    a, b = (x.new_tensor([[value]]) for value in affine[:2])
    a, b = _simplest(function, a, b, x, (y - mean) / spread)
    c, d, _ = _regress(function(a * x + b), (y - mean) / spread)
    return float(a), float(b), float(c * spread), float(d * spread + mean)


def free_parameters(function: SymbolicFunction) -> int:
    """How many of a, b, c, d an edge of this function really has, one to four.

    A scale inside a power or a logarithm is one outside: c (a x + b)^2 + d has three free numbers,
    c cos(a x + b) + d has four. Found as the rank of the derivatives by all four.
    """
    whole = bool(_admitted(function, torch.tensor(0.83), torch.tensor(0.11)))
    x = torch.linspace(-0.71 if whole else 0.13, 0.71, 40, dtype=torch.float64)
    columns = _columns(function, 0.83, 0.11, x)
    values = torch.linalg.svdvals(columns / columns.norm(dim=0).clamp(min=1e-300))
    return int((values > 1e-9 * values[0]).sum())


def _columns(function: SymbolicFunction, a: float, b: float, x: Tensor) -> Tensor:
    value, slope = _with_slope(function, a * x + b)
    return torch.stack([slope * x, slope, value, torch.ones_like(x)], dim=1)


def _with_slope(function: SymbolicFunction, u: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        u = u.detach().requires_grad_()
        value = function(u)
        if not value.requires_grad:  # a constant
            return value, torch.zeros_like(u)
        (slope,) = torch.autograd.grad(value.sum(), u)
    return value.detach(), slope


def _regress(g: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """C and d of the best c g + d, and the share of t's variance that is left (all (..., 1))."""
    mean = g.mean(-1, keepdim=True)
    centred = g - mean
    size = centred.square().sum(-1, keepdim=True)
    # what rounding makes of a constant is no shape
    noise = (8 * torch.finfo(g.dtype).eps) ** 2 * g.square().sum(-1, keepdim=True)
    varies = size > noise
    c = torch.where(varies, (centred * t).sum(-1, keepdim=True) / torch.where(varies, size, 1), 0)
    t_mean = t.mean(-1, keepdim=True)
    left = (t - t_mean - c * centred).square().mean(-1, keepdim=True)
    return c, t_mean - c * mean, left


def _symmetric(function: SymbolicFunction) -> bool:
    """Whether f(-u) is f(u) or -f(u)."""
    u = torch.linspace(0.07, 0.93, 11, dtype=torch.float64)
    if not bool(function.in_domain(-u).all()):
        return False
    right, left = function(u), function(-u)
    return bool(torch.allclose(left, right) or torch.allclose(left, -right))


def _simplest(
    function: SymbolicFunction, a: Tensor, b: Tensor, x: Tensor, t: Tensor
) -> tuple[Tensor, Tensor]:
    """Among the pairs that give the same curve, the one that reads best.

    Forms are tried one after the other, each upon what the ones before have left.
    """
    low, high = x.amin(1, keepdim=True), x.amax(1, keepdim=True)
    best = _regress(function(a * x + b), t)[2]
    for form in _FORMS:
        one, other = form(a, b)
        left = _regress(function(one * x + other), t)[2]
        inside = _admitted(function, one * (high - low) / 2, one * (low + high) / 2 + other)
        # 1e-24 of the variance: rounding of the residual, squared
        same = inside & (left <= best * (1 + 1e-9) + 1e-24)
        a, b = torch.where(same, one, a), torch.where(same, other, b)
    return a, b


def _admitted(function: SymbolicFunction, a: Tensor, b: Tensor) -> Tensor:
    """Whether the whole of [b - |a|, b + |a|] lies in the domain, on one side of a pole."""
    low, high = b - a.abs(), b + a.abs()
    inside = function.in_domain(low) & function.in_domain(high)
    return inside & ((low > 0) | (high < 0)) if function.pole else inside


def _fit_function(
    function: SymbolicFunction, z: Tensor, t: Tensor, steps: int
) -> tuple[Float[Tensor, "e 2"], Float[Tensor, " e"]]:
    """The best (a, b) for every curve, for z in [-1, 1], and the unexplained variance."""
    slopes = torch.tensor(_SLOPES, dtype=z.dtype, device=z.device)
    shifts = torch.tensor(_SHIFTS, dtype=z.dtype, device=z.device)
    if not _symmetric(function):  # otherwise shifts of both signs are mirror images enough
        slopes = torch.cat([slopes, -slopes])
    a, b = torch.cartesian_prod(slopes, shifts).unbind(1)
    fits = _admitted(function, a, b)
    a, b = a[fits], b[fits]
    if len(a) == 0 or len(z) == 0:
        nowhere = z.new_full((len(z),), torch.inf)
        return z.new_zeros(len(z), 2), nowhere
    every = -(-z.shape[1] // _COARSE)
    # one curve at a time: starts x samples is enough to fill a processor
    left = torch.stack(
        [
            _regress(function(a[:, None] * row + b[:, None]), target)[2][:, 0]
            for row, target in zip(z[:, ::every], t[:, ::every], strict=True)
        ]
    ).nan_to_num(nan=torch.inf)
    best = left.topk(min(_STARTS, len(a)), dim=1, largest=False).indices
    ab, unexplained = _improve(function, torch.stack([a[best], b[best]], -1), z, t, steps)
    winner = unexplained.argmin(1)
    rows = torch.arange(len(z), device=z.device)
    return ab[rows, winner], unexplained[rows, winner]


def _improve(
    function: SymbolicFunction, ab: Float[Tensor, "e p 2"], z: Tensor, t: Tensor, steps: int
) -> tuple[Float[Tensor, "e p 2"], Float[Tensor, "e p"]]:
    """Levenberg-Marquardt on (a, b), (c, d) projected out; steps that do not help are not taken."""
    z, t = z[:, None], t[:, None]
    left = _left(function, ab, z, t)
    damping = torch.full_like(left, 1e-3)
    for _ in range(steps):
        value, slope = _with_slope(function, ab[..., :1] * z + ab[..., 1:])
        c, d, _ = _regress(value, t)
        residual = t - c * value - d
        # Kaufman: derivatives of c f, without what c and d would take up
        along = torch.stack([_without(c * slope * z, value), _without(c * slope, value)], dim=-1)
        normal = along.transpose(-1, -2) @ along
        gradient = (along * residual[..., None]).sum(-2)
        scale = normal.diagonal(dim1=-2, dim2=-1)
        # both directions may be one (a scale inside a power): the floor keeps the matrix regular
        floor = 1e-12 * scale.amax(-1, keepdim=True).clamp(min=1e-300)
        damped = normal + torch.diag_embed(damping[..., None] * (scale + floor) + floor)
        step = torch.linalg.solve_ex(damped, gradient)[0].nan_to_num(0.0, 0.0, 0.0)
        tried = ab + step
        reached = _left(function, tried, z, t)
        better = reached < left
        gained = torch.where(better, left - reached, 0)
        ab = torch.where(better[..., None], tried, ab)
        left = torch.where(better, reached, left)
        damping = torch.where(better, damping / 5, damping * 4).clamp(1e-12, 1e12)
        if bool(((gained <= 1e-9 * left) & ((damping > 1e8) | better) | (left < 1e-28)).all()):
            break
    return ab, left


def _left(function: SymbolicFunction, ab: Tensor, z: Tensor, t: Tensor) -> Float[Tensor, "e p"]:
    a, b = ab[..., :1], ab[..., 1:]
    left = _regress(function(a * z + b), t)[2]
    inside = _admitted(function, a, b) & left.isfinite()
    return torch.where(inside, left, torch.inf)[..., 0]


def _without(column: Tensor, value: Tensor) -> Tensor:
    """A column without its share in the constant and in the function's values."""
    column = column - column.mean(-1, keepdim=True)
    centred = value - value.mean(-1, keepdim=True)
    size = centred.square().sum(-1, keepdim=True)
    share = (column * centred).sum(-1, keepdim=True) / torch.where(size > 0, size, 1)
    return column - share * centred
