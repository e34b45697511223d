"""Steps that do not know the loss's unit."""

import copy

import pytest
import torch
from torch import Tensor, nn

from allmlp import fit
from allmlp.training.scaled_lbfgs import ScaledLBFGS

CURVATURE = torch.logspace(0, 4, 12, dtype=torch.float64)


def path(scale: float, kind: type[torch.optim.LBFGS], steps: int = 4) -> list[Tensor]:
    x = nn.Parameter(torch.ones(12, dtype=torch.float64))
    optimizer = kind(
        [x], line_search_fn="strong_wolfe", tolerance_grad=0.0, tolerance_change=0.0, history_size=5
    )

    def closure() -> float:
        optimizer.zero_grad()
        loss = scale * (CURVATURE * (x**2 + x**4)).sum()
        loss.backward()
        return loss.item()

    places = []
    for _ in range(steps):
        before = float(scale * (CURVATURE * (x**2 + x**4)).sum().detach())
        assert float(optimizer.step(closure)) == pytest.approx(before, rel=1e-12)
        places.append(x.detach().clone())
    return places


@pytest.mark.parametrize("power", [-60, -7, 3])
def test_the_unit_of_the_loss_changes_no_bit(power: int) -> None:
    for one, other in zip(path(1.0, ScaledLBFGS), path(2.0**power, ScaledLBFGS), strict=True):
        assert torch.equal(one, other)


def test_a_small_loss_is_solved_where_torch_forgets_its_curvature() -> None:
    forgets, scaled = (
        float(path(1e-16, kind, 20)[-1].abs().max()) for kind in (torch.optim.LBFGS, ScaledLBFGS)
    )
    assert scaled < 1e-4 < 1e-3 < forgets


def test_it_goes_on_from_its_state() -> None:
    whole = path(1e-9, ScaledLBFGS, 4)
    x = nn.Parameter(torch.ones(12, dtype=torch.float64))
    options = {"line_search_fn": "strong_wolfe", "tolerance_grad": 0.0, "tolerance_change": 0.0}
    optimizer = ScaledLBFGS([x], history_size=5, **options)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = 1e-9 * (CURVATURE * (x**2 + x**4)).sum()
        loss.backward()
        return loss

    for _ in range(2):
        optimizer.step(closure)
    state = copy.deepcopy(optimizer.state_dict())
    optimizer = ScaledLBFGS([x], history_size=5, **options)
    optimizer.load_state_dict(state)
    for _ in range(2):
        optimizer.step(closure)
    assert torch.equal(x.detach(), whole[-1])


def test_no_gradient_and_an_infinite_one_are_left_as_they_are() -> None:
    x = nn.Parameter(torch.zeros(2))
    optimizer = ScaledLBFGS([x], line_search_fn="strong_wolfe")

    def flat() -> Tensor:
        optimizer.zero_grad()
        loss = (0 * x).sum()
        loss.backward()
        return loss

    assert float(optimizer.step(flat)) == 0.0
    assert torch.equal(x.detach(), torch.zeros(2))


def test_fit_takes_it() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 5, generator=generator, dtype=torch.float64)
    y = 1e-6 * x @ torch.randn(5, 1, generator=generator, dtype=torch.float64)
    model = nn.Linear(5, 1, dtype=torch.float64)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e-6)
    history = fit(model, x, y, optimizer="lbfgs", steps=10)
    assert history.records[-1]["train/loss"] < 1e-30
