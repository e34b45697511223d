import numpy as np
import pytest

from allmlp.errors import AllmlpError
from allmlp.scaling import fit_power_law, optimal_allocation

N, D = (a.ravel() for a in np.meshgrid(np.geomspace(1e3, 1e6, 7), np.geomspace(1e4, 1e7, 7)))
rng = np.random.default_rng(0)
noise = np.exp(0.003 * rng.standard_normal(len(N)))
law = fit_power_law((N, D), (0.5 + 20 * N**-0.42 + 30 * D**-0.31) * noise, bootstrap=100)


@pytest.mark.parametrize("compute", [1e9, 1e12, 1e15])
def test_no_other_division_of_the_budget_is_better(compute: float) -> None:
    best = optimal_allocation(law, compute)
    sizes = np.geomspace(best.parameters / 100, best.parameters * 100, 20001)
    losses = law.predict(sizes, compute / 6 / sizes)
    assert best.parameters == pytest.approx(sizes[np.argmin(losses)], rel=5e-3)
    assert best.loss == pytest.approx(losses.min(), rel=1e-9)
    assert 6 * best.parameters * best.samples == pytest.approx(compute)
    for name, (low, high) in best.intervals.items():
        assert low <= getattr(best, name) <= high


def test_far_from_the_runs_it_says_so() -> None:
    largest = 6 * (N * D).max()
    near, far = (optimal_allocation(law, largest * times) for times in (5, 50))
    assert not near.far
    assert far.far
    assert far.extrapolated == pytest.approx(50)
    assert "50 times the largest compute" in str(far)
    assert "note" not in str(near)


def test_laws_without_a_best_division() -> None:
    with pytest.raises(AllmlpError, match="a law of"):
        optimal_allocation(fit_power_law(N[:7], N[:7] ** -0.5, bootstrap=0), 1e9)
    with pytest.raises(AllmlpError, match="positive"):
        optimal_allocation(law, -1.0)
    with pytest.raises(AllmlpError, match="a level lies between 0 and 1, got 95"):
        optimal_allocation(law, 1e9, level=95.0)
    rising = fit_power_law((N, D), 0.5 + 20 * N**-0.42 + 1e-3 * D**0.2, bootstrap=0)
    with pytest.raises(AllmlpError, match="falls in both variables"):
        optimal_allocation(rising, 1e9)
