import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allmlp.errors import AllmlpError
from allmlp.interpret.kan.curve_fit import fit_curves, free_parameters
from allmlp.ops.symbolic import LIBRARY, SymbolicFunction

X = torch.linspace(-1, 1, 200, dtype=torch.float64)
# every function over a stretch of its domain where it looks like itself
TRUE = {
    "x": (3.0, 1.0),
    "x^2": (2.0, 0.3),
    "x^3": (1.0, 0.4),
    "x^4": (1.0, -0.2),
    "x^5": (1.0, 0.5),
    "1/x": (1.0, 1.4),
    "1/x^2": (1.0, -1.5),
    "sqrt": (1.0, 1.0),
    "1/sqrt": (1.0, 1.3),
    "x^1.5": (-1.0, 1.2),
    "exp": (2.5, 0.0),
    "log": (-2.0, 2.2),
    "abs": (1.0, -0.3),
    "sin": (7.3, 0.8),
    "cos": (2.2, 0.1),
    "tan": (1.2, 0.2),
    "tanh": (4.0, 1.0),
    "arcsin": (0.9, 0.05),
    "arctan": (5.0, -1.0),
    "arctanh": (0.9, 0.0),
    "gaussian": (4.0, 1.5),
}


def test_every_function_is_found_at_any_scale() -> None:
    functions = [LIBRARY[name] for name in TRUE]
    curves = torch.stack([LIBRARY[name](a * X + b) for name, (a, b) in TRUE.items()])
    # units that no fixed range of (a, b) would cover, and values that 1e-4 would drown
    x = (X * 50 + 3000).expand_as(curves)
    y = 1e-3 * curves - 7
    fits = fit_curves(x, y, functions)
    own = fits.r2.diagonal()
    assert own.min() > 1 - 1e-10, dict(zip(TRUE, own.tolist(), strict=True))
    for number, function in enumerate(functions):
        a, b, c, d = fits.affine[number, number]
        # -7 leaves 1e-15 of rounding, the variance's share of a thousandth
        torch.testing.assert_close(c * function(a * x[0] + b) + d, y[number], rtol=0, atol=1e-8)
        assert fits.residual[number, number] < 1e-8


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 1e9])
def test_r2_has_no_scale(scale: float) -> None:
    y = scale * (2 * X).sin()[None]
    fits = fit_curves(X[None], y, [LIBRARY["sin"], LIBRARY["x"]])
    assert fits.r2[0, 0] > 1 - 1e-14
    line = torch.stack([X, torch.ones_like(X)], 1)
    left = torch.linalg.lstsq(line, y.T).solution
    expected = 1 - (y - (line @ left).T).square().mean() / y.var(correction=0)
    torch.testing.assert_close(fits.r2[0, 1], expected, rtol=1e-9, atol=0)


def test_domains_are_kept() -> None:
    parabola = X.square()[None]
    for name in ("log", "sqrt", "1/x", "arcsin", "arctanh", "1/x^2"):
        fits = fit_curves(X[None], parabola, [function := LIBRARY[name]])
        a, b, *_ = fits.affine[0, 0]
        argument = a * X + b
        assert function.in_domain(argument).all()
        if function.pole:
            assert argument.sign().unique().numel() == 1


def test_a_function_that_fits_nowhere() -> None:
    narrow = SymbolicFunction(name="narrow", function=torch.exp, complexity=1, low=0.0, high=1e-3)
    fits = fit_curves(X[None], X[None], [narrow, LIBRARY["x"]])
    assert fits.r2[0].tolist() == [-torch.inf, 1.0]


@pytest.mark.parametrize("value", [0.0, 0.1, -1e9])
def test_constant_curves_are_explained(value: float) -> None:
    fits = fit_curves(X[None], torch.full_like(X, value)[None], list(LIBRARY.values()))
    assert fits.r2.tolist() == [[1.0] * len(LIBRARY)]
    assert fits.affine[0, :, 2].abs().max() == 0
    torch.testing.assert_close(fits.affine[0, :, 3], torch.full_like(fits.affine[0, :, 3], value))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.floats(-300, 300), st.integers(0, 10**6))
def test_anything_finite_gives_numbers(count: int, power: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, count, generator=generator, dtype=torch.float64)
    y = torch.randn(2, count, generator=generator, dtype=torch.float64) * 10 ** (power / 3)
    x[1] = x[1, 0]  # a constant feature
    fits = fit_curves(x, y, [LIBRARY[name] for name in ("sin", "1/x", "log", "x^2")], steps=5)
    assert not fits.r2.isnan().any()
    assert fits.affine.isfinite().all()


def test_what_is_free() -> None:
    expected = {"0": 1, "x": 2, "sgn": 2, "x^2": 3, "exp": 3, "log": 3, "abs": 3, "sin": 4}
    assert {name: free_parameters(LIBRARY[name]) for name in expected} == expected


def test_readable_forms() -> None:
    y = torch.stack([(3 * X + 1) ** 2, (2 * X - 1).exp(), 0.5 * (4 * X + 9).sin(), 5 * X])
    names = ["x^2", "exp", "sin", "x"]
    affine = fit_curves(X.expand_as(y), y, [LIBRARY[n] for n in names]).affine.diagonal().T
    close = {"rtol": 1e-6, "atol": 1e-7}
    torch.testing.assert_close(affine[0, :3], torch.tensor([1.0, 1 / 3, 9.0]).double(), **close)
    torch.testing.assert_close(affine[1, :2], torch.tensor([2.0, 0.0]).double(), **close)
    assert affine[2, 0] > 0
    assert affine[2, 1].abs() <= torch.pi
    torch.testing.assert_close(affine[3], torch.tensor([1.0, 0, 5, 0]).double(), **close)


def test_mistakes() -> None:
    with pytest.raises(AllmlpError, match="finite; drop the others"):
        fit_curves(X[None], torch.full_like(X, torch.nan)[None], [LIBRARY["x"]])
    with pytest.raises(AllmlpError, match="at least one sample"):
        fit_curves(torch.zeros(1, 0), torch.zeros(1, 0), [LIBRARY["x"]])
