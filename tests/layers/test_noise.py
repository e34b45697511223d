import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.layers import GaussianNoise


def test_adds_in_training_only_and_draws_anew() -> None:
    noise = GaussianNoise(0.5)
    x = torch.full((20_000,), 3.0, dtype=torch.float64)
    first, second = noise(x), noise(x)
    # five standard errors of mean and deviation
    assert (first - x).mean().item() == pytest.approx(0, abs=5 * 0.5 / 20_000**0.5)
    assert (first - x).std().item() == pytest.approx(0.5, rel=5 / 40_000**0.5)
    assert not torch.equal(first, second)
    assert noise.eval()(x) is x


def test_none_draws_nothing() -> None:
    before = torch.get_rng_state()
    GaussianNoise(0.0)(torch.ones(3))
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(AllmlpError, match=r"std of at least 0, got -0\.1"):
        GaussianNoise(-0.1)
