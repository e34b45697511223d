import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allmlp.errors import AllmlpError
from allmlp.theory import cosine_series, spectral_net

waves = st.dictionaries(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)),
    st.floats(-1, 1).filter(lambda a: abs(a) > 1e-3),
    min_size=1,
    max_size=4,
)


@settings(max_examples=10, deadline=None)
@given(coefficients=waves)
def test_one_hidden_layer_keeps_the_promised_error(coefficients: Any) -> None:
    net = spectral_net(coefficients, error=0.05)
    assert net.depth == 2
    points = np.random.default_rng(0).uniform(size=(100, 3))
    error = np.abs(net(points) - cosine_series(coefficients, points)).max()
    promised = net.certificate().promised_error
    assert promised <= 0.05 + 1e-12
    assert error <= promised + 1e-12


def bessel_i(order: int) -> Any:
    """Modified Bessel function I_k(1), by its series."""
    return sum(0.5 ** (2 * m + order) / math.factorial(m) / math.factorial(m + order)
               for m in range(25))  # fmt: skip


def test_a_series_cut_off_promises_its_tail_too() -> None:
    # exp(cos πx) cos(πy) = (I_0 + 2 Σ I_k cos(kπx)) cos(πy)
    kept = 5
    coefficients: dict[tuple[int, ...], float] = {
        (k, 1): (1 + (k > 0)) * bessel_i(k) for k in range(kept)
    }
    tail = sum(2 * bessel_i(k) for k in range(kept, 30))
    net = spectral_net(coefficients, error=0.01, tail=tail)
    certificate = net.certificate()
    assert certificate.holds
    points = np.random.default_rng(0).uniform(size=(500, 2))
    truth = np.exp(np.cos(np.pi * points[:, 0])) * np.cos(np.pi * points[:, 1])
    assert np.abs(net(points) - truth).max() <= certificate.promised_error


def test_a_constant() -> None:
    net = spectral_net({(0, 0): 0.5}, error=0.1)
    assert net([[0.3, 0.9]]).tolist() == [0.5]


@pytest.mark.parametrize("coefficients", [{}, {(1,): 1.0, (1, 0): 1.0}, {(-1,): 1.0}])
def test_bad_series(coefficients: Any) -> None:
    with pytest.raises(AllmlpError, match="frequencies"):
        spectral_net(coefficients, error=0.1)


def test_bad_error() -> None:
    with pytest.raises(AllmlpError, match="positive"):
        spectral_net({(1,): 1.0}, error=0.0)
