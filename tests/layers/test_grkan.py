import pytest
import torch
from torch.nn import functional as F

from allmlp.errors import AllmlpError
from allmlp.layers import GRKAN, Rational
from allmlp.layers.grkan import RATIONAL_STARTS
from allmlp.ops.rational import DENOMINATORS, rational_function

FUNCTIONS = {
    "identity": (lambda x: x, 0.0),
    "silu": (F.silu, 6e-7),
    "gelu": (F.gelu, 2.1e-3),
    "tanh": (torch.tanh, 2e-6),
    "relu": (torch.relu, 1.5e-2),
}


@pytest.mark.parametrize("form", DENOMINATORS)
@pytest.mark.parametrize("start", RATIONAL_STARTS)
def test_starts_are_the_functions_they_are_named_after(start: str, form: str) -> None:
    rational = Rational(8, denominator_form=form, start=start).double()
    x = torch.linspace(-3, 3, 2001, dtype=torch.float64)[:, None].expand(-1, 8)
    function, error = FUNCTIONS[start]
    # the coefficients went through float32
    assert (rational(x) - function(x)).abs().max().item() <= error + 2e-7


def test_a_start_fits_its_own_form_only() -> None:
    above, below = (torch.tensor([c]) for c in RATIONAL_STARTS["gelu"]["abs_sum"])
    x = torch.linspace(-3, 3, 201)[:, None]
    wrong = rational_function(x, above, below, form="sum_abs")
    assert (wrong - F.gelu(x)).abs().max() > 0.1


def test_groups_learn_on_their_own() -> None:
    rational = Rational(6, groups=3)
    y = rational(torch.randn(5, 6))[:, 2:4].sum()
    above, below = torch.autograd.grad(y, [rational.numerator, rational.denominator])
    assert below[1].all()
    assert not below[[0, 2]].any()
    assert above.shape == (1, 6)


def test_variance_is_kept() -> None:
    for start in RATIONAL_STARTS:
        layer = GRKAN(256, 300, start=start)
        assert layer(torch.randn(2000, 256)).std().item() == pytest.approx(1, rel=0.08)


def test_holds_its_input_alone() -> None:
    rational = Rational(8)
    x = torch.randn(100, 8, requires_grad=True)
    kept = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        rational(x)
    assert sum(kept) == x.numel() + 6 + 32


def test_half_precision_is_computed_in_float32() -> None:
    rational = Rational(8)
    x = torch.randn(50, 8).bfloat16()
    y = rational(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y, rational(x.float()).bfloat16())


def test_mistakes_are_answered() -> None:
    with pytest.raises(AllmlpError, match="divisible by groups=8, got 12; take groups=6"):
        GRKAN(12, 4)
    with pytest.raises(AllmlpError, match="unknown start 'swish'"):
        Rational(8, start="swish")
    with pytest.raises(AllmlpError, match="unknown denominator_form 'abs'"):
        Rational(8, denominator_form="abs")
    with pytest.raises(AllmlpError, match=r"built for 8 features but got inputs of shape \(2, 4\)"):
        Rational(8)(torch.zeros(2, 4))
