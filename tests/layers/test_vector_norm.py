import pytest
import torch
from torch import nn

from allmlp.errors import AllmlpError
from allmlp.layers import VECTOR_NORMS, BatchNorm, DyT, vector_norm


def test_batch_norm_is_torchs_but_for_one_example() -> None:
    ours, theirs = BatchNorm(5), nn.BatchNorm1d(5)
    for _ in range(3):
        x = torch.randn(7, 5) * 3 + 1
        assert torch.equal(ours(x), theirs(x))
    before = {k: v.clone() for k, v in ours.state_dict().items()}
    one = torch.randn(1, 5)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        theirs(one)
    # normalised as in evaluation, and nothing learned from it
    assert torch.equal(ours(one), theirs.eval()(one))
    assert all(torch.equal(v, before[k]) for k, v in ours.state_dict().items())
    one.requires_grad_()
    ours(one).sum().backward()
    assert ours.weight.grad is not None
    assert ours.weight.grad.abs().min() > 0


def test_batch_norm_does_not_mix_members() -> None:
    with pytest.raises(AllmlpError, match=r"takes \(batch, 5\), got \(2, 5, 5\); flatten"):
        BatchNorm(5)(torch.zeros(2, 5, 5))


def test_dyt() -> None:
    norm = DyT(3, alpha=0.7).double()
    with torch.no_grad():
        norm.gamma.copy_(torch.tensor([1.0, 2.0, -1.0]))
        norm.beta.copy_(torch.tensor([0.0, 0.5, 1.0]))
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(norm(x), norm.gamma * torch.tanh(0.7 * x) + norm.beta)
    assert torch.autograd.gradcheck(norm, (x,))


@pytest.mark.parametrize("name", ["batch", "layer", "rms"])
def test_statistics_of_what_a_norm_gives(name: str) -> None:
    x = torch.randn(4096, 32) * 5
    y = vector_norm(name, 32)(x)
    axis = 0 if name == "batch" else -1
    # eps against a variance of 25: 4e-7
    torch.testing.assert_close(y.square().mean(axis), torch.ones(y.shape[1 - (axis % 2)]))


def test_names() -> None:
    assert isinstance(vector_norm("none", 3), nn.Identity)
    assert set(VECTOR_NORMS) == {"none", "batch", "layer", "rms", "dyt", "affine"}
    with pytest.raises(AllmlpError, match="did you mean layer"):
        vector_norm("layr", 3)
    with pytest.raises(AllmlpError, match="one number is always zero"):
        vector_norm("layer", 1)


def test_rms_norm_keeps_its_kernel_under_autocast() -> None:
    norm, x = vector_norm("rms", 8), torch.randn(5, 8)
    torch.testing.assert_close(norm(x), nn.RMSNorm(8, eps=1e-5)(x))
    linear = nn.Linear(8, 8)
    with torch.autocast("cpu", torch.bfloat16):  # warnings are errors here
        assert norm(linear(x)).dtype == torch.bfloat16
