import math
from functools import cache

import pytest
import torch
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.interpret.kan import search_symbolic, symbolic_formula
from allmlp.models.kan import KAN
from allmlp.ops.symbolic import SymbolicFunction
from allmlp.training import fit_kan

NAMES = ["x", "x^2", "x^3", "sin", "exp", "tanh"]


def points(count: int = 200, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 2, dtype=torch.float64, generator=generator) * 2 - 1


def law(x: Tensor) -> Tensor:
    return torch.exp(torch.sin(math.pi * x[:, :1]) + x[:, 1:] ** 2)


def trained(y: Tensor, widths: tuple[int, ...] = (2, 1)) -> KAN:
    torch.manual_seed(0)
    return fit_kan(KAN(widths).double(), points(), y, steps=10).model


@cache
def deep() -> KAN:
    """Sine, parabola and exponential as splines of five intervals."""
    x = points()
    inner = torch.sin(math.pi * x[:, :1]) + x[:, 1:] ** 2
    torch.manual_seed(0)
    model = KAN([2, 1, 1]).double()
    parts = (
        fit_kan(KAN([2, 1]).double(), x, inner),
        fit_kan(KAN([1, 1]).double(), inner, inner.exp(), follow="all"),
    )
    for place, part in enumerate(parts):
        model.layers[place] = part.model.layers[0]
    return model


@pytest.mark.slow
def test_constants_are_fitted_together_and_to_the_targets() -> None:
    """Five intervals: every edge's spline is off by a hundredth, the law is right to rounding."""
    x, y = points(), law(points())
    model = deep()
    assert (model(x) - y).std() > 1e-4 * y.std()
    found = search_symbolic(model, x, y, functions=NAMES, breadth=2, sweeps=1)
    assert dict(found.best.functions) == {(0, 0, 0): "sin", (0, 1, 0): "x^2", (1, 0, 0): "exp"}
    assert found.best.error < 1e-12
    formula = symbolic_formula(found.best.model, x, held_out=points(50, 1))
    assert abs(formula(points(50, 1)) - law(points(50, 1)).numpy()).max() < 1e-10
    assert "x2**2" in str(formula).replace("(x2)", "x2")  # no 1.0000001, no + 1e-17


def test_the_front_is_a_front() -> None:
    x, y = points(), law(points())
    found = search_symbolic(deep(), x, y, functions=NAMES[:5], breadth=2, sweeps=1)
    assert found.best in found.front
    assert found.tried >= len(found.front) >= 2
    for simpler, better in zip(found.front, found.front[1:], strict=False):
        assert simpler.complexity < better.complexity
        assert simpler.error > better.error
    for candidate in found.front:
        error = (candidate.model(x) - y).square().mean().sqrt() / y.std(correction=0)
        assert candidate.error == pytest.approx(error.item(), rel=1e-6, abs=1e-14)


def test_noise_is_not_worth_a_number() -> None:
    x = points()
    generator = torch.Generator().manual_seed(6)
    y = x[:, :1] ** 2 + x[:, 1:]
    y = y + 0.05 * torch.randn(y.shape, dtype=y.dtype, generator=generator)
    found = search_symbolic(trained(y), x, y, functions=[*NAMES[:4], "cos"])
    assert dict(found.best.functions) == {(0, 0, 0): "x^2", (0, 1, 0): "x"}
    assert found.best.error == pytest.approx(0.05 / y.std().item(), rel=0.15)


def test_an_edge_that_does_nothing_becomes_a_constant() -> None:
    x = points()
    y = torch.sin(2 * x[:, :1]) + 3
    found = search_symbolic(trained(y), x, y, functions=["x", "sin"])
    assert dict(found.best.functions) == {(0, 0, 0): "sin", (0, 1, 0): "0"}
    assert "x2" not in str(symbolic_formula(found.best.model, x))


def test_everything_else_of_the_network_stays() -> None:
    bump = SymbolicFunction(
        name="bump", function=lambda x: 1 / (1 + x**2), complexity=2, formula="1/(1 + x**2)"
    )
    x, y = points(), 1 / (1 + 9 * points()[:, :1] ** 2) + points()[:, 1:]
    model = KAN([2, 1], bias=True, functions=[bump]).double().scale_inputs(x)
    model = fit_kan(model, x, y, grids=(20,), steps=20).model
    model = model.set_symbolic({(0, 1, 0): ("x", (1.0, 0.0, 0.5, 0.0))})
    found = search_symbolic(model, x, y, functions=["x", "gaussian", "bump"])
    assert found.best.functions == (((0, 0, 0), "bump"),)
    assert found.best.error < 1e-9
    assert found.best.model.config.grid == 20
    symbolic_formula(found.best.model, x, held_out=points(50, 3))


def test_weights_and_the_number_of_tries() -> None:
    x = points()
    y, weights = x[:, :1] ** 2, torch.ones(len(x), dtype=torch.float64)
    y[::2], weights[::2] = 7.0, 0.0  # rows that do not count
    torch.manual_seed(0)
    model = fit_kan(KAN([2, 1], grid=2).double(), x, y, weights=weights, steps=5).model
    found = search_symbolic(model, x, y, weights=weights, functions=["x", "x^2"], most=5)
    assert found.best.functions[0] == ((0, 0, 0), "x^2")
    assert found.best.error < 1e-9
    assert found.tried <= 5


def test_mistakes() -> None:
    x, y = points(), law(points())
    named = KAN([2, 1]).double().set_symbolic({
        (0, 0, 0): ("x", (1.0, 0.0, 1.0, 0.0)), (0, 1, 0): ("x", (1.0, 0.0, 1.0, 0.0))
    })  # fmt: skip
    with pytest.raises(AllmlpError, match="none to name"):
        search_symbolic(named, x, y)
    narrow = SymbolicFunction(name="narrow", function=torch.exp, complexity=1, low=0.0, high=1e-3)
    with pytest.raises(AllmlpError, match="no function is defined on all that edge"):
        search_symbolic(KAN([2, 1], functions=[narrow]).double(), x, y, functions=["narrow"])
