from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.layers import kan_grid
from allmlp.layers.bspline import BSplineBasis
from allmlp.layers.kan import KANLinear
from allmlp.layers.kan_grid import adapt_layer, change_matrix, refine_layer


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


def layer(k: int = 3, outside: str = "linear", **options: Any) -> Any:
    made = KANLinear(3, 4, grid=5, k=k, outside=outside, scale=True, mask=True, **options).double()
    for parameter in made.parameters():
        nn.init.normal_(parameter)
    assert made.mask is not None
    made.mask[1, 2] = 0
    return made


def inside(count: int = 200) -> Tensor:
    return torch.rand(count, 3, dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_whole_multiples_change_nothing_on_the_grid(k: int, factor: int) -> None:
    old = layer(k)
    before = {name: t.clone() for name, t in old.state_dict().items()}
    new = refine_layer(old, 5 * factor)
    x = torch.cat([inside(), torch.tensor([[-1.0, 1.0, 0.2]], dtype=torch.float64)])
    assert (new(x) - old(x)).abs().max() < 1e-12
    assert new.spline_weight.shape == (4, 5 * factor + k, 3)
    torch.testing.assert_close(dict(old.state_dict()), before, rtol=0, atol=0)
    # straight tails go on from the same value and slope
    torch.testing.assert_close(new(3 * x), old(3 * x), rtol=1e-11, atol=1e-11)


def test_tails_of_zero_mode_become_shorter() -> None:
    old = layer(outside="zero")
    new = refine_layer(old, 10)
    x = inside()
    assert (new(x) - old(x)).abs().max() < 1e-12
    assert (new(1.3 + 0 * x) - old(1.3 + 0 * x)).abs().max() > 1e-3


def test_adaptive_knots_double_exactly_too() -> None:
    adapted: Any = adapt_layer(layer(), inside() ** 3)
    assert not adapted.basis.uniform
    x = inside() ** 3
    x = x.clamp(adapted.basis.grid_range()[0], adapted.basis.grid_range()[1])
    assert (refine_layer(adapted, 10)(x) - adapted(x)).abs().max() < 1e-12


def test_other_sizes_are_the_best_approximation() -> None:
    old = layer()
    finer, coarser = refine_layer(old, 7), refine_layer(old, 4)
    x = inside(4000)
    errors = [float((new(x) - old(x)).square().mean().sqrt()) for new in (finer, coarser)]
    assert 1e-3 < errors[0] < errors[1]
    # at samples enough, least squares is the same projection; both are optimal for their measure
    at_samples = refine_layer(old, 7, samples=x)
    error = float((at_samples(x) - old(x)).square().mean().sqrt())
    assert error == pytest.approx(errors[0], rel=0.05)
    assert error <= errors[0] * (1 + 1e-9)


def test_samples_are_least_squares_with_the_smallest_coefficients() -> None:
    old = layer()
    x = inside(6)  # fewer than coefficients
    new = refine_layer(old, 10, samples=x)
    torch.testing.assert_close(new(x), old(x), rtol=1e-9, atol=1e-9)
    matrix = change_matrix(old.basis, new.basis, x)
    design = new.basis(x).permute(2, 0, 1)
    expected = torch.linalg.pinv(design) @ old.basis(x).permute(2, 0, 1)
    torch.testing.assert_close(matrix, expected, rtol=1e-8, atol=1e-8)


def test_scale_and_mask_are_not_applied_again() -> None:
    old = layer()
    x = inside(500)
    new = adapt_layer(old, x, uniform_share=1.0)
    for _ in range(3):
        new = adapt_layer(new, x, uniform_share=1.0)
    assert old.scale is not None
    assert new.scale is not None
    torch.testing.assert_close(new.scale, old.scale, rtol=0, atol=0)
    change = float((new(x) - old(x)).square().mean().sqrt() / old(x).square().mean().sqrt())
    assert change < 0.2  # 2 % here; efficient-kan's scaler makes it 127 %


def test_ties_and_constants_survive() -> None:
    old = layer()
    x = inside(100)
    x[:, 0] = x[:, 0].clamp(min=0)  # what a ReLU leaves
    x[:, 1] = 0.3
    new: Any = adapt_layer(old, x, uniform_share=0.0)
    assert (new.basis.knots.diff(dim=1) > 0).all()
    # those of the old layer were built in float32
    torch.testing.assert_close(new.basis.knots[1], old.basis.knots[1], rtol=0, atol=1e-6)
    assert torch.isfinite(new(x)).all()
    # the constant's spline is still there
    values = torch.tensor([[0.5, 0.3, 0.1], [0.5, -0.7, 0.1]], dtype=torch.float64)
    torch.testing.assert_close(
        new(values).diff(dim=0), old(values).diff(dim=0), rtol=1e-9, atol=1e-9
    )


def test_the_extension_beyond_the_old_grid_is_kept() -> None:
    for outside in ("linear", "clamp", "zero"):
        old = layer(outside=outside)
        x = 2 * inside(300)
        new = adapt_layer(old, x, uniform_share=1.0)
        change = float((new(x) - old(x)).square().mean().sqrt() / old(x).square().mean().sqrt())
        assert change < 0.5, outside
        assert new.out_of_grid_fraction(x) == 0
    assert adapt_layer(layer(outside="error"), 2 * inside()).basis.outside == "error"


def test_dtype_frozen_parameters_and_random_state_stay() -> None:
    old = layer().float()
    old.spline_weight.requires_grad_(False)
    state = torch.get_rng_state()
    new = refine_layer(old, 10)
    assert torch.equal(torch.get_rng_state(), state)
    assert new.spline_weight.dtype == new.basis.knots.dtype == torch.float32
    assert not new.spline_weight.requires_grad
    assert new.base_weight is not None
    assert new.base_weight.requires_grad
    x = inside().float()
    torch.testing.assert_close(new(x), old(x), rtol=1e-5, atol=1e-5)


def test_bad_input() -> None:
    with pytest.raises(AllmlpError, match="grid of at least 1, got 0"):
        refine_layer(layer(), 0)
    with pytest.raises(AllmlpError, match="NaN or infinite, the first in input 0"):
        adapt_layer(layer(), torch.full((3, 3), torch.nan, dtype=torch.float64))
    with pytest.raises(AllmlpError, match="finite samples"):
        refine_layer(layer(), 7, samples=torch.full((3, 3), torch.nan, dtype=torch.float64))


@pytest.mark.unhooked
def test_unknown_refit() -> None:
    with pytest.raises(AllmlpError, match="unknown refit 'sample'; did you mean samples"):
        adapt_layer(layer(), inside(), refit="sample")


def test_single_input_and_interval() -> None:
    one = KANLinear(1, 1, grid=1, k=3).double()
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    assert (refine_layer(one, 1000)(x) - one(x)).abs().max() < 1e-12
    basis = BSplineBasis(1, grid=1).double()
    torch.testing.assert_close(change_matrix(basis, basis), torch.eye(4).double()[None])


def test_inputs_beyond_one_part_are_projected_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = BSplineBasis(5, grid=4).double(), BSplineBasis(5, grid=6).double()
    at_once = change_matrix(old, new)
    monkeypatch.setattr(kan_grid, "_NUMBERS_AT_ONCE", 2 * 4 * (11 + 6) * (7 + 9))  # two inputs
    # batched products of another size round differently
    torch.testing.assert_close(change_matrix(old, new), at_once, rtol=0, atol=1e-13)
