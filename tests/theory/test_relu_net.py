from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from allmlp.errors import AllmlpError
from allmlp.theory import HARD_SIGMOID, ExactNet, random_relu_net, read_relu_net, sawtooth


class Backwards(nn.Module):
    """Registers its parts in another order than it runs them."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.act, self.first = nn.Linear(5, 2), nn.ReLU(inplace=True), nn.Linear(3, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.act(self.first(x.flatten(1))))


class Residual(nn.Module):
    def __init__(self, functional: bool = False) -> None:
        super().__init__()
        self.inner, self.act, self.functional = nn.Linear(3, 3), nn.ReLU(), functional

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.inner(x)) if self.functional else x + self.act(self.inner(x))


def shaken(model: nn.Module) -> nn.Module:
    """Every parameter and statistic away from its initial value."""
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor))
    return model


@pytest.mark.parametrize(
    ("model", "shape", "widths"),
    [
        (nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), (3,), (4,)),
        (nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.LeakyReLU(0.2)), (3, 4), (4,)),
        (nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 1)), (3,), (5,)),
        (nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(), nn.Identity()), (3,), (4,)),
        (nn.Sequential(nn.ReLU(), nn.Linear(3, 2)), (3,), (3,)),
        (Backwards(), (3,), (5,)),
        (
            shaken(
                nn.Sequential(
                    nn.BatchNorm1d(3), nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4), nn.ReLU(),
                    nn.BatchNorm1d(4, affine=False), nn.BatchNorm1d(4), nn.Linear(4, 4),
                    nn.ReLU(), nn.BatchNorm1d(4),
                )
            ),
            (3,),
            (4, 4),
        ),
        (nn.Sequential(parametrizations.spectral_norm(nn.Linear(3, 3)), nn.ReLU()), (3,), (3,)),
        (nn.Linear(3, 2), (3,), ()),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)  # fmt: skip
def test_the_chain_computes_what_the_model_computes(model: Any, shape: Any, widths: Any) -> None:
    training, weights = model.training, {k: v.clone() for k, v in model.state_dict().items()}
    x = torch.randn(20, *shape)
    net = read_relu_net(model, x)
    assert net.widths == widths
    with torch.no_grad():
        truth = model.double().eval()(x.double()).flatten(1).numpy()
    # float64 on both sides; BatchNorm is folded
    np.testing.assert_allclose(net(x.flatten(1).numpy()), truth, atol=1e-12, rtol=1e-12)
    model.float().train(training)
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())


def test_reading_draws_no_random_number_and_leaves_the_mode() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(), nn.ReLU())
    state = torch.get_rng_state()
    read_relu_net(model)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 1)), "'1' is a GELU"),
        (nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)), "'1' is a LayerNorm"),
        (nn.Sequential(nn.Conv2d(3, 4, 1)), "'0' is a Conv2d"),
        (Residual(), "no residual sums"),
        (Residual(functional=True), "not F.relu"),
        (nn.Sequential(nn.ReLU()), "has none"),
        (nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False), nn.Linear(3, 1)), "running"),
        (nn.Sequential(nn.Linear(3, 4), nn.Linear(3, 4)), "must run on inputs of shape"),
    ],
)
def test_models_that_are_no_chain(model: Any, message: Any) -> None:
    with pytest.raises(AllmlpError, match=message):
        read_relu_net(model)


def test_a_linear_on_the_last_axis_of_a_picture_is_no_plain_layer() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(12, 1))
    with pytest.raises(AllmlpError, match="flatten"):
        read_relu_net(model, torch.randn(2, 3, 4))


def test_diverged_weights() -> None:
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight[0, 0] = float("nan")
    with pytest.raises(AllmlpError, match="finite"):
        read_relu_net(model)


def test_exact_networks_keep_their_rationals() -> None:
    net = ExactNet([([[Fraction(1, 3)]], [0]), ([[1]], [Fraction(1, 7)])])
    layers = read_relu_net(net).integer_layers
    assert (layers[0].weight.tolist(), layers[0].denominator) == ([[1]], 3)
    assert (layers[1].weight.tolist(), layers[1].bias.tolist()) == ([[7]], [1])
    with pytest.raises(AllmlpError, match="hard_sigmoid"):
        read_relu_net(ExactNet([([[1]], [0]), ([[1]], [0])], activation=HARD_SIGMOID))


def test_integers_are_the_floats() -> None:
    net = random_relu_net((2, 7, 5), seed=1)
    for layer, weight, bias in zip(net.integer_layers, net.weights, net.biases, strict=True):
        assert (layer.weight / layer.denominator == weight).all()
        assert (layer.bias / layer.denominator == bias).all()


def test_a_network_read_before_is_itself() -> None:
    net = random_relu_net((2, 3))
    assert read_relu_net(net) is net
    assert read_relu_net(sawtooth(3)).widths == (2, 2, 2)
