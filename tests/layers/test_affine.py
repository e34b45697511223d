import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.layers import Affine, LayerScale


def test_affine_is_a_diagonal_map_per_channel() -> None:
    affine = Affine(3).double()
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    assert torch.equal(affine(x), x)
    torch.nn.init.normal_(affine.alpha)
    torch.nn.init.normal_(affine.beta)
    torch.testing.assert_close(affine(x), x @ torch.diag(affine.alpha) + affine.beta)
    affine.init_weights()
    assert torch.equal(affine(x), x)


def test_layer_scale_adds_the_scaled_branch() -> None:
    scale = LayerScale(3, start=0.25).double()
    x, branch = torch.randn(2, 2, 4, 3, dtype=torch.float64)
    torch.testing.assert_close(scale(x, branch), x + 0.25 * branch)
    torch.nn.init.normal_(scale.gamma)
    torch.testing.assert_close(scale(x, branch), x + branch @ torch.diag(scale.gamma))
    scale.init_weights()
    assert scale.gamma.tolist() == [0.25] * 3


def test_gradcheck() -> None:
    affine, scale = Affine(3).double(), LayerScale(3, start=0.5).double()
    x, branch = (torch.randn(2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    alpha, beta, gamma = affine.alpha, affine.beta, scale.gamma

    def call(x: torch.Tensor, branch: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        own = dict(zip(("alpha", "beta"), values[:2], strict=True))
        inner = torch.func.functional_call(affine, own, (branch,))
        return torch.func.functional_call(scale, {"gamma": values[2]}, (x, inner))

    assert torch.autograd.gradcheck(call, (x, branch, alpha, beta, gamma))


def test_a_stream_in_float32_stays_so_when_the_branch_is_bf16() -> None:
    scale = LayerScale(2, start=1e-6)
    x = torch.ones(1, 2)
    assert scale(x, torch.ones(1, 2, dtype=torch.bfloat16)).dtype == torch.float32


def test_sizes_are_checked() -> None:
    with pytest.raises(AllmlpError, match="integer width of at least 1, got 0"):
        Affine(0)
    with pytest.raises(AllmlpError, match="integer width of at least 1, got 0"):
        LayerScale(0, start=1.0)
