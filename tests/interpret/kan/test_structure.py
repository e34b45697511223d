import copy

import pytest
import torch
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.interpret.kan import from_formula, interactions, separable_groups, symmetries
from allmlp.models.kan import KAN
from allmlp.training import fit_kan


def points(columns: int, count: int = 300) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, columns, dtype=torch.float64, generator=generator) + 0.5


@pytest.mark.parametrize(
    ("formula", "kind", "groups"),
    [
        ("sin(x1) + x2**2 + x3*x4", "add", [[0], [1], [2, 3]]),
        ("sin(x1) * (1 + x2**2) * exp(x3 + x4)", "multiply", [[0], [1], [2], [3]]),
        ("sin(x1) * (x2 + x3**2) * x4", "multiply", [[0], [1, 2], [3]]),
        ("exp(x1 * x2 + x3 * x4)", "multiply", [[0, 1], [2, 3]]),
        ("tanh(x1 * x2 + x3 * x4)", "add", [[0, 1, 2, 3]]),
    ],
)
def test_groups(formula: str, kind: str, groups: list[list[int]]) -> None:
    model = from_formula(formula, ["x1", "x2", "x3", "x4"])
    assert separable_groups(model, points(4), kind) == groups


def test_scores_have_no_units_and_are_exact() -> None:
    x = points(2, 500)
    for scale in (1.0, 1e6):
        model = from_formula(f"{scale}*x1*x2", ["x1", "x2"])
        found = interactions(model, x)
        # f_12 = 1: the product of the deviations over that of x1 x2
        expected = x[:, 0].std() * x[:, 1].std() / x.prod(1).std()
        assert found[0, 1].item() == pytest.approx(expected.item(), rel=1e-9)
        assert interactions(model, x, "multiply").max() < 1e-9


@pytest.mark.parametrize(
    ("formula", "combination"),
    [
        ("sin(3*(x1 - x2)) + x3", "u - v"),
        ("exp(x1 + x2) * x3", "u + v"),
        ("tanh(x1 * x2) + x3", "u * v"),
        ("sin(x1 / x2) * x3", "u / v"),
        ("sin(x1**2 + x2**2) + x3", "u^2 + v^2"),
        ("sin(x1**2 - x2**2) + x3", "u^2 - v^2"),
    ],
)
def test_symmetries(formula: str, combination: str) -> None:
    first, second, *_ = symmetries(from_formula(formula, ["x1", "x2", "x3"]), points(3))
    assert (first.inputs, first.combination) == ((0, 1), combination)
    assert first.violation < 1e-9
    assert second.violation > 0.05


def test_of_a_trained_network() -> None:
    torch.manual_seed(0)
    x = points(3) - 1
    y = torch.sin(x[:, :1]) + x[:, 1:2] * x[:, 2:]
    model = fit_kan(KAN([3, 3, 1], grid=3).double(), x, y, steps=40).model
    assert separable_groups(model, x, threshold=0.1) == [[0], [1, 2]]


class Flat(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 1 + 0 * x[:, :1]


def test_a_constant_separates_and_has_no_symmetry() -> None:
    assert separable_groups(Flat(), points(2)) == [[0], [1]]
    assert symmetries(Flat(), points(2)) == []


def test_a_linear_model_is_a_sum_and_no_product() -> None:
    model = nn.Linear(2, 1, bias=False).double()
    model.weight.data = torch.tensor([[1.0, -1.0]]).double()
    assert separable_groups(model, points(2)) == [[0], [1]]
    assert separable_groups(model, points(2), "multiply") == [[0, 1]]


def test_mistakes() -> None:
    model, x = KAN([2, 1]).double(), points(2)
    with pytest.raises(AllmlpError, match="at least two rows"):
        interactions(model, x[:1])
    with pytest.raises(AllmlpError, match="outputs 0 to 0, got 3"):
        symmetries(model, x, output=3)
    with pytest.raises(AllmlpError, match="symmetry"):
        symmetries(model, x, names=["u + w"])


def test_the_model_is_asked_as_it_answers_and_stays_as_it_is() -> None:
    model = nn.Sequential(
        nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(), nn.Linear(8, 1)
    )
    before = copy.deepcopy(model.state_dict())
    x = torch.randn(20, 3)
    torch.testing.assert_close(interactions(model, x), interactions(model, x), rtol=0, atol=0)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert model.training
