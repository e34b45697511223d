import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.layers import ACTIVATIONS, Sine, SquaredReLU, make_activation


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_smooth_enough_to_train(name: str) -> None:
    activation = make_activation(name).double()
    # away from 0, where some bend
    x = torch.tensor([-2.3, -0.7, 0.4, 1.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(activation, (x,))


def test_formulas() -> None:
    x = torch.linspace(-3, 3, 13)
    assert torch.equal(SquaredReLU()(x), torch.where(x > 0, x * x, torch.zeros(())))
    torch.testing.assert_close(Sine(2.5)(x), (2.5 * x).sin())
    assert make_activation("gelu_tanh").approximate == "tanh"


def test_each_call_makes_a_fresh_module() -> None:
    assert make_activation("prelu") is not make_activation("prelu")


def test_errors() -> None:
    with pytest.raises(AllmlpError, match="did you mean leaky_relu"):
        make_activation("leakyrelu")
    with pytest.raises(AllmlpError, match="omega above 0, got -1"):
        Sine(-1.0)
