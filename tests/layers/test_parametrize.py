import copy

import pytest
import torch
from torch import nn

from allmlp.errors import AllmlpError
from allmlp.layers import parametrize_linear


def test_spectral_norm_against_svd() -> None:
    layer = parametrize_linear(nn.Linear(60, 40), "spectral")
    nn.init.normal_(layer.parametrizations.weight.original)
    for _ in range(50):
        layer(torch.zeros(1, 60))  # one power iteration each, in training
    assert torch.linalg.svdvals(layer.weight)[0].item() == pytest.approx(1, abs=0.01)
    before = layer.eval().weight
    assert torch.equal(before, layer.weight)  # none in evaluation


def test_more_iterations_tighten_the_bound() -> None:
    excess = []
    for steps in (1, 20):
        torch.manual_seed(1)
        layer = parametrize_linear(nn.Linear(60, 40), "spectral", power_iterations=steps)
        nn.init.normal_(layer.parametrizations.weight.original)
        layer(torch.zeros(1, 60))
        excess.append(torch.linalg.svdvals(layer.eval().weight)[0].item() - 1)
    assert abs(excess[1]) < 0.2 * abs(excess[0])


def test_weight_norm_starts_as_the_layer_was() -> None:
    layer = nn.Linear(6, 4)
    weight = layer.weight.detach().clone()
    parametrize_linear(layer, "weight")
    torch.testing.assert_close(layer.weight, weight)
    layer.parametrizations.weight.original1.data.mul_(7)  # lengths are original0's alone
    torch.testing.assert_close(layer.weight, weight)


@pytest.mark.parametrize("kind", ["spectral", "weight"])
def test_state_and_copies(kind: str) -> None:
    layer = parametrize_linear(nn.Linear(6, 4), kind)
    layer(torch.randn(2, 6))
    other = parametrize_linear(nn.Linear(6, 4), kind)
    other.load_state_dict(layer.state_dict())
    x = torch.randn(3, 6)
    for twin in (other, copy.deepcopy(layer)):
        assert torch.equal(twin.eval()(x), layer.eval()(x))
    assert "weight" not in layer.state_dict()


def test_unknown_kind() -> None:
    with pytest.raises(AllmlpError, match="did you mean spectral"):
        parametrize_linear(nn.Linear(2, 2), "spectrall")
