import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from allmlp.ops import mix_tokens

sizes = st.integers(1, 7)


@given(b=sizes, n=sizes, m=sizes, d=sizes)
def test_equals_a_linear_map_on_the_transpose(b: int, n: int, m: int, d: int) -> None:
    x = torch.randn(b, n, d, dtype=torch.float64)
    weight, bias = torch.randn(m, n, dtype=torch.float64), torch.randn(m, dtype=torch.float64)
    reference = F.linear(x.mT, weight, bias).mT
    torch.testing.assert_close(mix_tokens(x, weight, bias), reference, rtol=1e-12, atol=1e-12)


def test_gradcheck() -> None:
    x, weight, bias = (
        torch.randn(*shape, dtype=torch.float64, requires_grad=True)
        for shape in ((2, 3, 4), (5, 3), (5,))
    )
    assert torch.autograd.gradcheck(mix_tokens, (x, weight, bias))


def test_autocast_casts_the_weight_before_expanding_it() -> None:
    x, weight, bias = torch.randn(64, 8, 4), torch.randn(6, 8), torch.randn(6)
    with (
        torch.autocast("cpu", torch.bfloat16),
        torch.profiler.profile(record_shapes=True) as profile,
    ):
        mixed = mix_tokens(x, weight, bias)
    assert mixed.dtype == torch.bfloat16
    # bf16 keeps 8 bits of mantissa, and the sum runs over 8 products of unit normals
    torch.testing.assert_close(mixed.float(), mix_tokens(x, weight, bias), rtol=0.05, atol=0.05)
    cast = [e.input_shapes[0] for e in profile.events() if e.name == "aten::_to_copy"]
    assert [6, 8] in cast
    assert [64, 6, 8] not in cast


@pytest.mark.parametrize("batch", [0, 1])
def test_small_batches(batch: int) -> None:
    assert mix_tokens(torch.ones(batch, 3, 2), torch.ones(4, 3), torch.ones(4)).shape == (
        batch,
        4,
        2,
    )
