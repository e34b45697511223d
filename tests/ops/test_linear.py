import pytest
import torch
from torch.nn import functional as F

from allmlp.ops import linear, linear_gelu


@pytest.mark.parametrize("approximate", ["tanh", "none"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 7), (0, 7)])
def test_inference_equals_torch(
    approximate: str, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    x, weight, bias = (torch.randn(*s).to(dtype) for s in (shape, (5, 7), (5,)))
    with torch.inference_mode():
        fused = linear_gelu(x, weight, bias, approximate)
    reference = F.gelu(F.linear(x, weight, bias), approximate=approximate)
    assert fused.dtype == dtype
    # bf16: one kernel rounds once, two kernels twice
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 3e-2}[dtype]
    torch.testing.assert_close(fused, reference, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 7), (0, 7)])
def test_plain_product_at_inference(
    with_bias: bool, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    x, weight, bias = (torch.randn(*s).to(dtype) for s in (shape, (5, 7), (5,)))
    given = bias if with_bias else None
    with torch.inference_mode():
        found = linear(x, weight, given)
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 3e-2}[dtype]
    torch.testing.assert_close(found, F.linear(x, weight, given), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 7), (0, 7)])
def test_a_summand_within_the_product(
    with_bias: bool, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    sizes = (shape, (5, 7), (5,), (*shape[:-1], 5))
    x, weight, bias, plus = (torch.randn(*s).to(dtype) for s in sizes)
    given, before = bias if with_bias else None, plus.clone()
    with torch.inference_mode():
        found = linear(x, weight, given, plus)
    assert torch.equal(plus, before)
    assert found.dtype == dtype
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 5e-2}[dtype]
    expected = plus + F.linear(x, weight, given)
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def test_a_summand_of_another_kind() -> None:
    x, weight, bias = torch.randn(3, 7), torch.randn(5, 7), torch.randn(5)
    expected = F.linear(x, weight, bias)
    wide, strided, learning = torch.randn(3, 5).double(), torch.randn(5, 3).T, torch.randn(3, 5)
    with torch.no_grad():
        for plus in (wide, strided):
            # the product is a float32 one in another order
            found = linear(x, weight, bias, plus)
            torch.testing.assert_close(found, plus + expected, rtol=1e-5, atol=1e-6)
        with torch.autocast("cpu", torch.bfloat16):
            found = linear(x, weight, bias, wide.float())
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, wide.float() + expected, rtol=0.05, atol=0.05)
    learning.requires_grad_()
    linear(x, weight, bias, learning).sum().backward()
    assert learning.grad is not None


def test_a_bias_alone_may_learn() -> None:
    x, weight, bias = torch.randn(3, 4), torch.randn(5, 4), torch.randn(5, requires_grad=True)
    assert linear(x, weight, bias).requires_grad
    assert linear_gelu(x, weight, bias, "tanh").requires_grad


def test_autocast_inference_returns_autocasts_dtype() -> None:
    x, weight, bias = torch.randn(3, 7), torch.randn(5, 7), torch.randn(5)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        fused = linear_gelu(x, weight, bias, "tanh")
    assert fused.dtype == torch.bfloat16
    reference = F.gelu(F.linear(x, weight, bias), approximate="tanh")
    torch.testing.assert_close(fused.float(), reference, rtol=0.05, atol=0.05)


def test_strided_input() -> None:
    x, weight, bias = torch.randn(7, 3).T, torch.randn(5, 7), torch.randn(5)
    with torch.no_grad():
        fused = linear_gelu(x, weight, bias, "tanh")
    torch.testing.assert_close(fused, F.gelu(F.linear(x, weight, bias), approximate="tanh"))


def test_gradients_flow() -> None:
    x, weight, bias = (
        torch.randn(*shape, dtype=torch.float64, requires_grad=True)
        for shape in ((3, 4), (5, 4), (5,))
    )

    def call(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return linear_gelu(x, weight, bias, "tanh")

    assert torch.autograd.gradcheck(call, (x, weight, bias))
    # a frozen weight alone does not make it inference
    assert linear_gelu(x, weight.detach(), bias.detach(), "tanh").requires_grad
    assert linear_gelu(x.detach(), weight.detach(), bias, "tanh").requires_grad
