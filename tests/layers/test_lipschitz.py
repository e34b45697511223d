import math

import pytest
import torch
from torch import nn

from allmlp.layers import ACTIVATIONS, DyT, Gate, lipschitz_bound, make_activation, vector_norm


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"squared_relu"}))
def test_no_activation_is_steeper_than_its_bound(name: str) -> None:
    activation = make_activation(name).double()
    z = torch.linspace(-12, 12, 200_001, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(activation(z).sum(), z)
    steepest = float(slope.abs().max())
    # and the bound is no more than rounded up
    assert steepest <= lipschitz_bound(activation) <= steepest * 1.0001


def test_what_has_no_bound_gets_none() -> None:
    for module in (make_activation("squared_relu"), Gate(nn.ReLU()), nn.Bilinear(2, 2, 2)):
        assert lipschitz_bound(module) == math.inf
    zero = nn.Linear(2, 2, bias=False)
    nn.init.zeros_(zero.weight)
    assert lipschitz_bound(nn.Sequential(zero, Gate(nn.ReLU()))) == math.inf  # not 0 * inf


@pytest.mark.parametrize("name", ["batch", "layer", "rms", "dyt", "affine"])
def test_norms_are_bounded_by_their_own_steepest_inputs(name: str) -> None:
    norm = vector_norm(name, 6).double()
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    norm(torch.randn(50, 6, dtype=torch.float64))
    norm.eval()
    bound = lipschitz_bound(norm)
    worst = 0.0
    for scale in (1e-6, 1e-3, 1.0):  # layer norms are steepest where a row is constant
        for _ in range(20):
            x = torch.randn(1, 6, dtype=torch.float64) * scale
            jacobian = torch.autograd.functional.jacobian(norm, x)[0, :, 0]
            worst = max(worst, float(torch.linalg.matrix_norm(jacobian, 2)))
    assert 0.5 * bound < worst <= bound * (1 + 1e-12)


def test_dyt_is_as_steep_as_claimed_at_zero() -> None:
    norm = DyT(1, alpha=0.5)
    assert lipschitz_bound(norm) == 0.5


def test_norms_without_eps_or_statistics() -> None:
    eps = torch.finfo(torch.float32).eps
    assert lipschitz_bound(nn.RMSNorm(4)) == pytest.approx(eps**-0.5)
    assert lipschitz_bound(nn.RMSNorm(4, elementwise_affine=False)) == pytest.approx(eps**-0.5)
    assert lipschitz_bound(nn.BatchNorm1d(4, track_running_stats=False)) == math.inf


def test_a_bound_is_read_and_changes_nothing() -> None:
    torch.manual_seed(0)
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(6, 6)).train()
    before = {name: t.clone() for name, t in layer.state_dict().items()}
    first = lipschitz_bound(layer)
    assert lipschitz_bound(layer) == first
    assert layer.training
    torch.testing.assert_close(layer.state_dict(), before, rtol=0, atol=0)
