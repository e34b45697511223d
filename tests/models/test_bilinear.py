import pytest
import torch
from torch import nn

from allmlp import BilinearMLP
from allmlp.errors import AllmlpError


def test_the_formula() -> None:
    model = BilinearMLP(6, 3, hidden=5, embed=5, depth=2, bias=True, residual=True).double()
    x = torch.randn(4, 6, dtype=torch.float64)
    z = x @ model.embed.weight.T
    for block in model.blocks:
        left = z @ block.left.weight.T + block.left.bias
        z = z + left * (z @ block.right.weight.T + block.right.bias)
    torch.testing.assert_close(model(x), z @ model.head.weight.T, rtol=1e-12, atol=1e-12)


def test_parameters() -> None:
    def count(model: nn.Module) -> int:
        return sum(p.numel() for p in model.parameters())

    assert count(BilinearMLP(784, 10, hidden=64)) == 2 * 64 * 784 + 10 * 64
    paper = BilinearMLP(784, 10, hidden=512, embed=512, bias=True)
    assert count(paper) == 784 * 512 + 2 * 512**2 + 2 * 512 + 10 * 512


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_degree_doubles_with_every_layer(depth: int) -> None:
    model = BilinearMLP(6, 3, hidden=5, depth=depth).double()
    x = torch.randn(4, 6, dtype=torch.float64)
    torch.testing.assert_close(model(-2 * x), 2.0 ** (2**depth) * model(x), rtol=1e-12, atol=1e-12)


def test_noise_in_training_only() -> None:
    model = BilinearMLP(6, 3, hidden=5, input_noise=0.3)
    x = torch.ones(2, 6)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_from_config_gives_the_same_sizes() -> None:
    model = BilinearMLP(6, 3, hidden=5, embed=4, depth=2, bias=True, gate="silu", input_noise=0.1)
    again = BilinearMLP.from_config(model.config)
    assert again.config == model.config
    again.load_state_dict(model.state_dict())
    x = torch.randn(2, 3, 6)
    assert torch.equal(again.eval()(x), model.eval()(x))


def test_mistakes_are_answered() -> None:
    with pytest.raises(AllmlpError, match="the first one maps 6 to 5; set embed=5"):
        BilinearMLP(6, 3, hidden=5, residual=True)
    with pytest.raises(AllmlpError, match="integer depth of at least 1, got 0"):
        BilinearMLP(6, 3, depth=0)
    with pytest.raises(AllmlpError, match="integer embed of at least 1, got 0"):
        BilinearMLP(6, 3, embed=0)
    with pytest.raises(AllmlpError, match=r"takes 6 inputs, got inputs of shape \(2, 1, 2, 3\)"):
        BilinearMLP(6, 3)(torch.zeros(2, 1, 2, 3))
