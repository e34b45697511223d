"""Every family of functions: values against scipy or the formula, derivatives against autograd."""

import math

import numpy as np
import pytest
import torch
from scipy import special
from torch import Tensor
from torch.nn import functional as F

from allmlp.ops.activation import gelu, identity, silu
from allmlp.ops.calculus import compose, gaussian_derivative, tanh_derivative
from allmlp.ops.fourier import harmonics
from allmlp.ops.outside import OUTSIDE
from allmlp.ops.polynomial import POLYNOMIALS, polynomials
from allmlp.ops.quadrature import gauss_legendre
from allmlp.ops.radial import BUMPS, bumps
from allmlp.ops.relu_kan import relu_bumps

F64 = torch.float64
X = torch.linspace(-2.3, 2.6, 41, dtype=F64)[:, None]


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=F64)[:, None]


CENTERS, WIDTHS = column(-1.0, 0.2, 1.1), column(0.4, 0.7, 0.5)
FAMILIES = {
    "silu": lambda x, order: silu(x, order=order),
    "gelu": lambda x, order: gelu(x, order=order),
    "identity": lambda x, order: identity(x, order=order),
    "tanh": tanh_derivative,
    "gaussian": gaussian_derivative,
    "fourier": lambda x, order: harmonics(x, frequencies=4, order=order),
}
for _name in BUMPS:
    FAMILIES[_name] = lambda x, order, name=_name: bumps(
        x, CENTERS, WIDTHS, bump=name, outside="linear", order=order
    )
for _mode in OUTSIDE[:3]:
    FAMILIES[f"relu {_mode}"] = lambda x, order, mode=_mode: relu_bumps(
        x, column(-1.1, -0.6, 0.0), column(-0.1, 0.7, 1.0), k=1, outside=mode, order=order
    )
for _name in POLYNOMIALS:
    FAMILIES[_name] = lambda x, order, name=_name: polynomials(
        x, family=name, degree=5, alpha=0.5, beta=1.5, order=order
    )
    FAMILIES[f"{_name} of x"] = lambda x, order, name=_name: polynomials(
        x, family=name, degree=5, squash=None, outside="clamp", order=order
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_each_derivative_is_the_derivative_of_the_one_before(name: str) -> None:
    for order in range(1, 5):
        x = X.clone().requires_grad_()
        below = FAMILIES[name](x, order - 1).reshape(len(X), -1)
        exact = torch.stack(
            [
                torch.autograd.grad(c.sum(), x, retain_graph=True, materialize_grads=True)[0]
                if c.requires_grad
                else torch.zeros_like(x)
                for c in below.unbind(1)
            ],
            dim=1,
        )[..., 0]
        ours = FAMILIES[name](X, order).reshape(len(X), -1)
        torch.testing.assert_close(ours, exact, rtol=1e-12, atol=1e-12)


def test_values_of_bumps() -> None:
    u = (X[:, None] - CENTERS) / WIDTHS
    formulas = {
        "gaussian": (-(u**2)).exp(),
        "switch": 1 - u.tanh() ** 2,
        "mexican_hat": 2 / (3**0.5 * math.pi**0.25) * (1 - u**2) * (-(u**2) / 2).exp(),
        "morlet": (5 * u).cos() * (-(u**2) / 2).exp(),
        "dog": -u * (-(u**2) / 2).exp(),
    }
    assert formulas.keys() == BUMPS.keys()
    for name, exact in formulas.items():
        ours = bumps(X, CENTERS, WIDTHS, bump=name)
        torch.testing.assert_close(ours, exact, rtol=1e-13, atol=1e-14)


def test_values_of_relu_bumps() -> None:
    starts, ends = column(-1.0, 0.0), column(0.5, 1.5)
    product = F.relu(ends - X[:, None]) * F.relu(X[:, None] - starts)
    exact = 16 / (ends - starts) ** 4 * product**2
    torch.testing.assert_close(relu_bumps(X, starts, ends, k=0), exact, rtol=1e-13, atol=1e-14)


def test_values_of_polynomials() -> None:
    z = np.linspace(-1, 1, 17)
    exact = {
        "chebyshev": special.eval_chebyt,
        "legendre": special.eval_legendre,
        "jacobi": lambda n, z: special.eval_jacobi(n, 0.5, 1.5, z),
    }
    for name, function in exact.items():
        ours = polynomials(
            torch.from_numpy(z)[:, None],
            family=name,
            degree=6,
            squash=None,
            alpha=0.5,
            beta=1.5,
        )[..., 0]
        theirs = np.stack([function(n, z) for n in range(7)], axis=1)
        np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=1e-13)


def test_gram_polynomials_are_orthonormal_on_even_points() -> None:
    points = torch.linspace(-1, 1, 7, dtype=F64)[:, None]
    p = polynomials(points, family="gram", degree=6, squash=None)[..., 0]
    torch.testing.assert_close(p.T @ p / 7, torch.eye(7, dtype=F64), rtol=0, atol=1e-13)


def test_bernstein_polynomials_sum_to_one() -> None:
    total = polynomials(X, family="bernstein", degree=7).sum(1)
    torch.testing.assert_close(total, torch.ones_like(total))


def test_chebyshev_has_gradients_where_tanh_is_one() -> None:
    x = torch.tensor([[10.0], [20.0]], requires_grad=True)
    polynomials(x, family="chebyshev", degree=4).sum().backward()
    assert x.grad.isfinite().all()


def test_harmonics() -> None:
    n = torch.arange(1, 40, dtype=F64)[:, None]
    exact = torch.cat([(n * X[:, None]).cos(), (n * X[:, None]).sin()], dim=1)
    torch.testing.assert_close(harmonics(X, frequencies=39), exact, rtol=0, atol=1e-13)


def test_tails_of_tanh_keep_their_digits() -> None:
    x = torch.tensor([12.0])
    assert tanh_derivative(x, 1).item() == pytest.approx(1 / math.cosh(12.0) ** 2, rel=1e-5)


def test_compose_is_the_chain_rule_of_any_order() -> None:
    # exp(sin(x)), fourth derivative
    ours = compose(lambda n: X.sin().exp(), lambda n: (X + n * math.pi / 2).sin(), 4)
    s, c = X.sin(), X.cos()
    exact = s.exp() * (c**4 - 6 * s * c**2 + 3 * s**2 - 4 * c**2 + s)
    torch.testing.assert_close(ours, exact, rtol=1e-12, atol=1e-12)


def test_quadrature_is_exact_for_polynomials() -> None:
    x, weights = gauss_legendre(torch.tensor([[0.0, 0.5, 2.0], [1.0, 2.0, 4.0]], dtype=F64), 3)
    exact = torch.tensor([2.0**6 / 6, (4.0**6 - 1) / 6], dtype=F64)
    torch.testing.assert_close((weights * x**5).sum(0), exact)
