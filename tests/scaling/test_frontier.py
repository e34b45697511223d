import numpy as np
import pytest

from allmlp.errors import AllmlpError
from allmlp.scaling import isoflop_minima, pareto_frontier


def test_against_comparing_all_pairs() -> None:
    rng = np.random.default_rng(0)
    for _ in range(1000):
        n = int(rng.integers(1, 30))
        c, y = rng.integers(1, 12, n).astype(float), rng.integers(1, 12, n).astype(float)
        found = pareto_frontier(c, y)
        better = (c[None] <= c[:, None]) & (y[None] <= y[:, None])
        strictly = better & ((c[None] < c[:, None]) | (y[None] < y[:, None]))
        kept = {(c[i], y[i]) for i in range(n) if not strictly[i].any()}
        assert {(c[i], y[i]) for i in found} == kept
        assert len(found) == len(kept)  # one of equal runs
        assert np.all(np.diff(c[found]) > 0)
        assert np.all(np.diff(y[found]) < 0)


def test_no_runs_and_bad_runs() -> None:
    assert len(pareto_frontier([], [])) == 0
    with pytest.raises(AllmlpError, match="one entry per run"):
        pareto_frontier([1.0], [1.0, 2.0])
    with pytest.raises(AllmlpError, match="every loss must be finite"):
        pareto_frontier([1.0], [np.nan])


def test_bottoms_of_budgets() -> None:
    budgets = np.array([1e12, 1e14])
    N = np.geomspace(1e4, 1e8, 9)
    place = {1e12: 1e6, 1e14: 1e7}
    table = []
    for c in budgets:
        table += [(n, c * (1 + 0.01 * i), 1 + np.log(n / place[c]) ** 2) for i, n in enumerate(N)]
    table += [(n, 1e16, 1.0) for n in N[:4]]  # few
    table += [(n, 1e18, -(np.log(n) ** 2)) for n in N]  # no minimum
    table += [(n, 1e20, np.log(n / 1e12) ** 2) for n in N]  # outside
    rows = isoflop_minima(*np.array(table).T)
    assert [row.flag for row in rows[2:]] == [
        "fewer than five sizes",
        "no minimum",
        "minimum outside the sizes tried",
    ]
    for row, c in zip(rows, budgets, strict=False):
        assert row.parameters == pytest.approx(place[c], rel=1e-6)
        assert row.loss == pytest.approx(1, abs=1e-9)
        assert row.compute == pytest.approx(c, rel=0.1)
        assert row.runs == 9
