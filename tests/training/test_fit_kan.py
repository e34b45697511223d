import math
from typing import Any

import pytest
import torch
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.models.kan import KAN
from allmlp.training import KANPenalty, fit_kan


def points(count: int = 400, columns: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, columns, dtype=torch.float64, generator=generator) * 2 - 1


def law(x: Tensor) -> Tensor:
    return torch.exp(torch.sin(math.pi * x[:, :1]) + x[:, 1:] ** 2)


def test_every_grid_starts_where_the_last_one_ended() -> None:
    torch.manual_seed(0)
    x, model = points(), KAN([2, 1, 1], grid=3).double()
    before = model(x)
    found = fit_kan(model, x, law(x), grids=(3, 6, 12), steps=30)
    torch.testing.assert_close(model(x), before, rtol=0, atol=0)  # as it was
    assert [stage.grid for stage in found.stages] == [3, 6, 12]
    assert [len(stage.histories) for stage in found.stages] == [2, 2, 2]
    errors = [stage.error for stage in found.stages]
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert found.error == errors[-1]
    assert found.error == pytest.approx((found.model(x) - law(x)).square().mean().sqrt().item())
    first = found.stages[2].histories[0]["train/loss"][0]
    assert first <= 4 * errors[1] ** 2  # moving a grid costs little, refining nothing


def test_grids_follow_as_asked() -> None:
    torch.manual_seed(0)
    x, model = points() / 2, KAN([2, 2, 1], grid=3).double()

    def ends(**options: Any) -> list[tuple[float, float]]:
        found = fit_kan(model, x, law(x), steps=2, **options).model
        ranges = [layer.numeric.basis.grid_range() for layer in found.layers]
        return [(float(low[0]), float(high[0])) for low, high in ranges]

    start = (-1.0, 1.0)
    assert ends(follow="none") == [start, start]
    hidden = ends(follow="hidden")
    assert hidden[0] == start
    assert hidden[1] != start
    low, high = ends(follow="all", margin=0.0)[0]
    assert (low, high) == pytest.approx((x[:, 0].min().item(), x[:, 0].max().item()))


def test_dtype_and_scaling_stay_with_the_model() -> None:
    torch.manual_seed(0)
    x = points() * torch.tensor([1e3, 1e-3]) + torch.tensor([300.0, 0.0])
    y = law((x - torch.tensor([300.0, 0.0])) / torch.tensor([1e3, 1e-3]))
    model = KAN([2, 1, 1], grid=6)
    found = fit_kan(model, x, y, steps=30, dtype=torch.float64, scale_inputs=True).model
    assert found(x).dtype == torch.float64
    assert found.config.scaled
    assert (found(x) - y).square().mean().sqrt() < 0.05 * y.std()
    copied = KAN.from_config(found.config).double()
    copied.load_state_dict(found.state_dict())
    torch.testing.assert_close(copied(x), found(x), rtol=0, atol=0)


def test_the_best_grid_by_validation_is_returned() -> None:
    torch.manual_seed(0)
    x = points(40, 1)
    generator = torch.Generator().manual_seed(1)
    shaken = torch.sin(3 * x) + 0.1 * torch.randn(x.shape, dtype=x.dtype, generator=generator)
    x_val = points(300, 1)
    found = fit_kan(
        KAN([1, 1]).double(), x, shaken, grids=(3, 30), validation=(x_val, torch.sin(3 * x_val))
    )
    three, thirty = (stage.validation_error for stage in found.stages)
    assert three is not None
    assert thirty is not None
    assert three < thirty  # the finer grid fits the noise
    assert found.model.config.grid == 3
    assert found.error == found.stages[0].error > found.stages[1].error


def test_other_optimizers_start_afresh() -> None:
    torch.manual_seed(0)
    x = points()
    found = fit_kan(
        KAN([2, 3, 1], grid=3).double(),
        x,
        law(x),
        optimizer="lbfgs",
        steps=2,
        updates=2,
        penalty=KANPenalty("pykan", 1e-4),
    )
    assert [len(h.records) for h in found.stages[0].histories] == [1, 1]
    adam = fit_kan(KAN([2, 3, 1]), x, law(x), optimizer="adam", steps=4, lr=1e-2, batch_size=100)
    assert adam.error > 0


def test_what_trains_where_nobody_says() -> None:
    torch.manual_seed(0)
    x = points(60)
    small = fit_kan(KAN([2, 1]).double(), x, law(x), steps=2, updates=1)
    assert "lr" not in small.stages[0].histories[0].records[0]  # Levenberg-Marquardt has none
    kinds = (x[:, 0] > x[:, 1] ** 2).long()
    for model, targets in ((KAN([2, 60, 1]), law(x)), (KAN([2, 2]), kinds), (_affine(), law(x))):
        found = fit_kan(model.double(), x, targets, steps=2, updates=1)
        assert "lr" in found.stages[0].histories[0].records[0]


def _affine() -> KAN:
    return KAN([2, 1, 1], affine=True)


def test_classes_and_weights() -> None:
    torch.manual_seed(0)
    x = points(100)
    kinds = (x[:, 0] > x[:, 1] ** 2).long()
    wrong = kinds.clone()
    wrong[::2] = 1 - kinds[::2]
    weights = torch.ones(100, dtype=torch.float64)
    weights[::2] = 0.0
    model = KAN([2, 2], grid=3).double()
    found = fit_kan(
        model, x, wrong, weights=weights, steps=4, validation=(x, wrong, weights), updates=1
    )
    assert (found.model(x).argmax(1) == kinds).double().mean() > 0.95
    loss = torch.nn.functional.cross_entropy(found.model(x)[1::2], kinds[1::2])
    assert found.error == pytest.approx(loss.item())
    assert found.stages[0].validation_error == pytest.approx(loss.item())


def test_time_is_kept() -> None:
    x = points()
    found = fit_kan(KAN([2, 3, 1]).double(), x, law(x), grids=(3, 6, 12), max_seconds=1e-3)
    assert len(found.stages) == 1


def test_mistakes() -> None:
    x, model = points(), KAN([2, 1])
    whole = "levenberg_marquardt"
    with pytest.raises(AllmlpError, match="takes no penalty"):
        fit_kan(model, x, law(x), optimizer=whole, penalty=KANPenalty())
    with pytest.raises(AllmlpError, match="takes no lr"):
        fit_kan(model, x, law(x), optimizer=whole, lr=0.1)
    kinds = (x[:, 0] > 0).long()
    with pytest.raises(AllmlpError, match="takes no loss cross_entropy"):
        fit_kan(KAN([2, 2]), x, kinds, optimizer=whole, loss="cross_entropy")
    with pytest.raises(AllmlpError, match="max_seconds above 0"):
        fit_kan(model, x, law(x), max_seconds=0.0)


@pytest.mark.unhooked
def test_unknown_ways_to_follow() -> None:
    x = points(10)
    with pytest.raises(AllmlpError, match="follow"):
        fit_kan(KAN([2, 1]), x, law(x), follow="outputs")
