import math
import sys

import pytest
import torch
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.models.kan import KAN
from allmlp.training import fit, levenberg_marquardt
from allmlp.training.kan_jacobian import kan_jacobian

MODULE = sys.modules["allmlp.training.levenberg_marquardt"]  # the room has the function's name


def points(count: int = 500, columns: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, columns, dtype=torch.float64, generator=generator) * 2 - 1


def law(x: Tensor) -> Tensor:
    return torch.exp(torch.sin(math.pi * x[:, :1]) + x[:, 1:] ** 2)


def test_a_linear_problem_is_solved_at_once() -> None:
    torch.manual_seed(0)
    x, model = points(), KAN([2, 2], grid=4).double()
    y = torch.cat([x.sin().sum(1, keepdim=True), x[:, :1] ** 3], dim=1)
    # the oracle: one least-squares problem, for one layer is linear in its weights
    matrix = kan_jacobian(model, x)[1].flatten(0, 1)
    best = torch.linalg.lstsq(matrix, y.flatten()[:, None], driver="gelsd").solution
    expected = (matrix @ best - y.flatten()[:, None]).square().mean().item()
    history = levenberg_marquardt(model, x, y, steps=15)
    assert history["train/loss"][-1] == pytest.approx(expected, rel=1e-6)
    assert (model(x) - y).square().mean().item() == pytest.approx(expected, rel=1e-6)


def test_parameters_keep_memory_of_their_own() -> None:
    """As views of one vector they lay at other addresses than a copy's: other last digits."""
    torch.manual_seed(0)
    model = KAN([3, 2, 1], grid=5).float()
    places = [parameter.data_ptr() for parameter in model.parameters()]
    x = points(20, 3).float()
    levenberg_marquardt(model, x, x.sum(1, keepdim=True), steps=3)
    assert [parameter.data_ptr() for parameter in model.parameters()] == places


def test_weights_count_like_repetitions() -> None:
    x, y = points(60), law(points(60))
    counts = torch.arange(60) % 3
    models = []
    for repeated in (True, False):
        torch.manual_seed(0)
        model = KAN([2, 1, 1], grid=3).double()
        if repeated:
            again = torch.repeat_interleave(torch.arange(60), counts)
            history = levenberg_marquardt(model, x[again], y[again], steps=5)
        else:
            history = levenberg_marquardt(model, x, y, weights=counts.double(), steps=5)
        models.append((model(x), history["train/loss"][-1]))
    torch.testing.assert_close(models[0][0], models[1][0], rtol=0, atol=1e-7)
    assert models[0][1] == pytest.approx(models[1][1], rel=1e-7)


def test_it_goes_where_lbfgs_does_not_get_to() -> None:
    x = points(200)
    errors = []
    for whole in (True, False):
        torch.manual_seed(0)
        model = KAN([2, 1, 1], grid=5, grid_range=(-2, 3)).double()
        if whole:
            levenberg_marquardt(model, x, law(x), steps=40)
        else:
            fit(model, x, law(x), optimizer="lbfgs", steps=5)  # 100 iterations
        errors.append((model(x) - law(x)).square().mean().sqrt().item())
    assert errors[0] < 0.5 * errors[1]


def test_the_error_never_rises_and_is_finite() -> None:
    torch.manual_seed(0)
    model = KAN([2, 3, 1], grid=3).double()
    losses = levenberg_marquardt(model, points(), 1e6 * law(points()), steps=30)["train/loss"]
    assert losses == sorted(losses, reverse=True)
    assert all(p.isfinite().all() for p in model.parameters())


def test_fewer_samples_than_parameters() -> None:
    torch.manual_seed(0)
    model, x = KAN([2, 5, 1]).double(), points(3)
    history = levenberg_marquardt(model, x, law(x), steps=50)
    assert history["train/loss"][-1] < 1e-20


def test_tiles_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, models = points(), []
    for numbers in (2**22, 1):
        monkeypatch.setattr(MODULE, "_NUMBERS_AT_ONCE", numbers)
        torch.manual_seed(0)
        models.append(KAN([2, 1], grid=3).double())
        levenberg_marquardt(models[-1], x, law(x), steps=5)
    torch.testing.assert_close(models[0](x), models[1](x), rtol=1e-9, atol=1e-9)


def test_it_says_why_it_ended() -> None:
    x, y = points(), law(points())
    torch.manual_seed(0)
    assert levenberg_marquardt(KAN([2, 1]).double(), x, y, steps=2).stopped == "2 steps taken"
    assert "converged" in levenberg_marquardt(KAN([2, 1]).double(), x, y, steps=500).stopped
    assert "over" in levenberg_marquardt(KAN([2, 1]).double(), x, y, max_seconds=1e-9).stopped


def test_mistakes() -> None:
    x, y = points(), law(points())
    with pytest.raises(AllmlpError, match="at most 6000, got"):
        levenberg_marquardt(KAN([30, 30, 1]).double(), points(5, 30), y[:5])
    with pytest.raises(AllmlpError, match="must have the shape of the outputs"):
        levenberg_marquardt(KAN([2, 1]).double(), x, y[:, 0])
    with pytest.raises(AllmlpError, match="finite to begin with, got nan"):
        levenberg_marquardt(KAN([2, 1]).double(), x, y * torch.nan)
    with pytest.raises(AllmlpError, match="at least one example"):
        levenberg_marquardt(KAN([2, 1]).double(), x[:0], y[:0])


@pytest.mark.unhooked
def test_other_models_are_refused() -> None:
    with pytest.raises(AllmlpError, match="trains a KAN, got a Linear"):
        levenberg_marquardt(nn.Linear(2, 1), points().float(), law(points()).float())
