import pytest
import torch
from torch import Tensor

from allmlp.ops.rational import DENOMINATORS, rational_activation, rational_function

F64 = torch.float64


def problem(groups: int = 3, shared: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    x = torch.randn(4, 6, dtype=F64, requires_grad=True)
    numerator = torch.randn(1 if shared else groups, 6, dtype=F64, requires_grad=True)
    denominator = torch.randn(groups, 4, dtype=F64, requires_grad=True)
    return x, numerator, denominator


@pytest.mark.parametrize("form", DENOMINATORS)
def test_is_the_quotient(form: str) -> None:
    x, a, b = problem()
    for c in range(6):
        powers = torch.stack([x[:, c] ** n for n in range(6)])
        below = b[c // 2, :, None] * powers[1:5]
        q = 1 + (below.sum(0).abs() if form == "abs_sum" else below.abs().sum(0))
        y = rational_function(x, a, b, form=form)[:, c]
        torch.testing.assert_close(y, a[0] @ powers / q, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("form", DENOMINATORS)
@pytest.mark.parametrize("shared", [True, False])
def test_derivatives(form: str, shared: bool) -> None:
    def function(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return rational_activation(x, a, b, form=form)

    inputs = problem(shared=shared)
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)
    x, a, b = inputs
    for order in range(1, 5):
        below = rational_function(x, a, b, form=form, order=order - 1)
        (exact,) = torch.autograd.grad(below.sum(), x)
        ours = rational_function(x, a, b, form=form, order=order)
        torch.testing.assert_close(ours, exact, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("form", DENOMINATORS)
def test_denominators_that_start_at_zero_learn(form: str) -> None:
    x, a, _ = problem()
    b = torch.zeros(3, 4, dtype=F64, requires_grad=True)
    for function in (rational_activation, rational_function):
        (slope,) = torch.autograd.grad(function(x, a, b, form=form).square().sum(), b)
        assert slope.all()


@pytest.mark.parametrize("form", DENOMINATORS)
def test_transforms(form: str) -> None:
    x, a, b = (t.detach() for t in problem())
    function = lambda x: rational_activation(x, a, b, form=form)  # noqa: E731
    slope = rational_function(x, a, b, form=form, order=1)
    rows = torch.func.vmap(torch.func.jacrev(function))(x)
    torch.testing.assert_close(rows.diagonal(dim1=1, dim2=2), slope)
