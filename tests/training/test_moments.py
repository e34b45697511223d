from typing import Any

import pytest
import torch
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.models.kan import KAN
from allmlp.training.moments import carry_moments


def problem() -> tuple[Any, Tensor, Tensor]:
    model = KAN([1, 2], grid=20, base=None).double()
    x = torch.linspace(-1, 1, 4001, dtype=torch.float64)[:, None]
    return model, x, torch.cat([torch.sin(2 * x), x**2], dim=1)


def gradient(model: Any, x: Tensor, y: Tensor) -> Tensor:
    model.zero_grad()
    (model(x) - y).square().mean().backward()
    grad = model.layers[0].numeric.spline_weight.grad
    assert grad is not None
    return grad


def test_carried_means_are_gradients_by_the_new_coefficients() -> None:
    model, x, y = problem()
    with torch.no_grad():  # a smooth remainder: what gradients are a density of
        model.layers[0].numeric.spline_weight.zero_()
    adam = torch.optim.Adam(model.parameters(), lr=0.0, betas=(0.0, 0.0))
    grad = gradient(model, x, y).clone()
    adam.step()
    state = adam.state[model.layers[0].numeric.spline_weight]
    torch.testing.assert_close(state["exp_avg"], grad)
    refined = model.refine(40)
    fresh = torch.optim.Adam(refined.parameters())
    carry_moments(adam, fresh, model, refined)
    expected = gradient(refined, x, y)
    carried = fresh.state[refined.layers[0].numeric.spline_weight]
    inner = slice(6, -6)  # splines that the end of the grid cuts off get less
    scale = float(expected[:, inner].abs().max())
    error = (carried["exp_avg"] - expected)[:, inner].abs().max() / scale
    assert error < 0.01
    squares = (carried["exp_avg_sq"] - expected**2)[:, inner].abs().max() / scale**2
    assert squares < 0.03
    assert (carried["exp_avg_sq"] >= 0).all()
    assert carried["step"] == 1
    fresh.step()


def test_other_parameters_keep_their_means() -> None:
    model = KAN([2, 3, 1], norm=True)
    adam = torch.optim.AdamW(model.parameters())
    x = torch.rand(50, 2)
    for _ in range(3):
        adam.zero_grad()
        model(x).square().mean().backward()
        adam.step()
    moved = model.update_grid(x).model
    fresh = torch.optim.AdamW(moved.parameters())
    carry_moments(adam, fresh, model, moved)
    before = {n: adam.state[p]["exp_avg"] for n, p in model.named_parameters()}
    after = {n: fresh.state[p]["exp_avg"] for n, p in moved.named_parameters()}
    assert before.keys() == after.keys()
    for name, mean in after.items():
        # the grid has as many intervals as before, but lies elsewhere
        assert torch.equal(mean, before[name]) == ("spline_weight" not in name), name
        assert mean is not before[name]


def test_frozen_and_unknown_parameters_start_afresh() -> None:
    model = KAN([2, 3, 1])
    sgd = torch.optim.SGD(model.parameters(), momentum=0.9)
    model(torch.rand(5, 2)).sum().backward()
    sgd.step()
    smaller = model.keep(nodes={1: [0, 2]})
    fresh = torch.optim.SGD(smaller.layers[0].parameters(), momentum=0.9)
    carry_moments(sgd, fresh, model, smaller)
    assert not fresh.state


@pytest.mark.parametrize("kind", [torch.optim.LBFGS, torch.optim.Adagrad])
def test_other_memories_are_refused(kind: Any) -> None:
    model, x, y = problem()
    optimizer = kind(model.parameters())

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    refined = model.refine(40)
    with pytest.raises(AllmlpError, match="only running means"):
        carry_moments(optimizer, kind(refined.parameters()), model, refined)
