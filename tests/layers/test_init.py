import math

import pytest
import torch
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.layers import (
    ACTIVATIONS,
    SCHEMES,
    SquaredReLU,
    activation_gain,
    init_linear_,
    init_siren_,
    make_activation,
)
from allmlp.layers.init import lecun_normal_
from allmlp.theory.mean_field import ACTIVATIONS as THEORY
from allmlp.theory.mean_field import MeanField


@pytest.mark.parametrize("shape", [(700, 300), (300, 700), (64, 3, 16, 16)])
def test_lecun_normal_has_variance_one_over_fan_in(shape: tuple[int, ...]) -> None:
    weight = lecun_normal_(torch.empty(shape))
    fan_in = math.prod(shape[1:])
    # the standard error of a sample deviation is below 1/sqrt(2 n) = 0.32 % for n = 49,152
    assert weight.std().item() == pytest.approx(math.sqrt(1 / fan_in), rel=0.015)
    assert weight.abs().max().item() <= 2 / 0.8796 * math.sqrt(1 / fan_in)


def variance(scheme: str, i: int, o: int, gain: float) -> float:
    if scheme.startswith("xavier"):
        return 2 / (i + o)
    return (gain if scheme.startswith("he") else 1.0) ** 2 / i


@pytest.mark.parametrize("scheme", [s for s in SCHEMES if s != "orthogonal"])
@pytest.mark.parametrize(("i", "o"), [(200, 600), (600, 200)])
def test_law_on_layers_that_are_not_square(scheme: str, i: int, o: int) -> None:
    layer = nn.Linear(i, o)
    init_linear_(layer, scheme, gain=1.7)
    std = math.sqrt(variance(scheme, i, o, 1.7))
    # 120,000 entries: the standard error of a sample deviation is 0.2 %
    assert layer.weight.std().item() == pytest.approx(std, rel=0.02)
    assert abs(layer.weight.mean().item()) < 5 * std / math.sqrt(i * o)
    if scheme.endswith("uniform"):
        bound = math.sqrt(3) * std * (1 + 1e-6)  # float32
        assert 0.99 * bound < layer.weight.abs().max().item() <= bound
    assert not layer.bias.any()


@pytest.mark.parametrize(("i", "o"), [(30, 50), (50, 30), (40, 40)])
def test_orthogonal(i: int, o: int) -> None:
    layer = nn.Linear(i, o).double()
    init_linear_(layer, "orthogonal", gain=1.3)
    w = layer.weight
    gram = w @ w.T if o <= i else w.T @ w
    torch.testing.assert_close(gram, 1.69 * torch.eye(len(gram), dtype=torch.float64))


def test_parts_are_drawn_one_by_one() -> None:
    layer = nn.Linear(300, 800)
    init_linear_(layer, "xavier_normal", parts=2)
    # two maps to 400 units, not one to 800
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / 700), rel=0.01)
    init_linear_(layer, "orthogonal", parts=2)
    for half in layer.weight.chunk(2):
        torch.testing.assert_close(half.T @ half, torch.eye(300), atol=1e-5, rtol=0)


def test_default_is_torchs() -> None:
    torch.manual_seed(3)
    expected = nn.Linear(5, 7)
    torch.manual_seed(3)
    layer = nn.Linear(5, 7)
    torch.manual_seed(3)
    init_linear_(layer, "default")
    assert torch.equal(layer.weight, expected.weight)
    assert torch.equal(layer.bias, expected.bias)


def test_siren() -> None:
    first, hidden = nn.Linear(50, 4000), nn.Linear(500, 4000)
    init_siren_(first, first=True)
    init_siren_(hidden, first=False)
    assert first.weight.abs().max().item() == pytest.approx(30 / 50, rel=1e-3)
    assert hidden.weight.abs().max().item() == pytest.approx(math.sqrt(6 / 500), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "square"),
    [
        ("relu", 2.0),
        ("leaky_relu", 2 / (1 + 0.01**2)),
        ("prelu", 2 / (1 + 0.25**2)),
        ("squared_relu", 2 / 3),
        ("identity", 1.0),
        ("sine", 2 / (1 - math.exp(-2))),
        ("selu", 1.0),
    ],
)
def test_gains_in_closed_form(name: str, square: float) -> None:
    # SELU's constants have seven to nine digits in torch and make it 1 to their rounding
    assert activation_gain(make_activation(name)) ** 2 == pytest.approx(square, rel=1e-9)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) & set(THEORY)))
def test_gains_agree_with_the_mean_field(name: str) -> None:
    # two quadratures with other panels
    second = MeanField("sin" if name == "sine" else name, 1.0).moments(1.0)[0]
    assert activation_gain(make_activation(name)) == pytest.approx(second**-0.5, rel=1e-10)


def test_gain_leaves_its_activation_alone() -> None:
    activation = make_activation("prelu")
    activation_gain(activation)
    assert activation.weight.dtype == torch.float32
    assert activation_gain(SquaredReLU()) < 1


def stack(init: object, depth: int = 20) -> list[float]:
    """Mean squares behind ReLU layers of the table in docs/initialisation.md."""
    torch.manual_seed(0)
    x, found = torch.randn(2000, 784), []
    for place in range(depth):
        layer = nn.Linear(784 if place == 0 else 256, 256, bias=False)
        init(layer)
        x = torch.relu(x @ layer.weight.detach().T)
        found.append(float(x.square().mean()))
    return [found[0], found[4], found[19]]


def uniform_with_the_deviation_as_bound(layer: nn.Linear) -> Tensor:
    bound = math.sqrt(2 / layer.in_features)
    return nn.init.uniform_(layer.weight, -bound, bound)


# (scheme, log10 of the mean square after 20 layers, tolerance): one network of width 256 strays by
# exp(sqrt(20 * 5 / 256)), a factor of 1.9 (theory.he_second_moment); three such are allowed for
@pytest.mark.parametrize(
    ("scheme", "expected"),
    [("he_normal", 0.0), ("he_uniform", 0.0), ("orthogonal", 0.0), ("default", -15.5),
     ("xavier_uniform", -5.8)],
)  # fmt: skip
def test_the_measured_table(scheme: str, expected: float) -> None:
    measured = stack(lambda layer: init_linear_(layer, scheme, gain=math.sqrt(2)))
    assert math.log10(measured[2]) == pytest.approx(expected, abs=0.8)


def test_the_two_mistakes() -> None:
    right = stack(lambda layer: init_linear_(layer, "he_uniform", gain=math.sqrt(2)))
    assert right[0] == pytest.approx(1, rel=0.02)
    wrong_bound = stack(uniform_with_the_deviation_as_bound)
    assert wrong_bound[0] == pytest.approx(1 / 3, rel=0.02)
    # a third per layer: 3^-20 = 2.9e-10
    assert math.log10(wrong_bound[2]) == pytest.approx(-9.5, abs=0.8)
    # (out, in) read as (in, out): the first layer of 784 inputs alone shows it
    wrong_axis = stack(
        lambda layer: nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.weight.shape[0]))
    )
    assert wrong_axis[0] == pytest.approx(784 / 256, rel=0.05)


def test_unknown_scheme() -> None:
    with pytest.raises(AllmlpError, match="did you mean he_normal"):
        init_linear_(nn.Linear(2, 2), "henormal")
