import numpy as np
import pytest

from allmlp.errors import AllmlpError
from allmlp.scaling import fit_power_law, hold_out

N, D = (a.ravel() for a in np.meshgrid(np.geomspace(1e3, 1e6, 5), np.geomspace(1e4, 1e7, 5)))


def test_the_dearest_runs_are_predicted_by_the_others() -> None:
    loss = 0.5 + 20 * N**-0.42 + 30 * D**-0.31
    dearest = int(np.argmax(N * D))
    loss[dearest] *= 1.1  # what the others cannot know
    held = hold_out(fit_power_law((N, D), loss, bootstrap=0), share=0.1)
    assert len(held.rows) == 3
    assert dearest in held.rows
    assert (N * D)[list(held.rows)].min() >= np.sort(N * D)[-3]
    assert held.largest == pytest.approx(1 - 1 / 1.1, rel=1e-3)
    assert held.mean == pytest.approx(held.largest / 3, rel=1e-2)


def test_breaks_are_kept() -> None:
    x = np.geomspace(1, 1e6, 60)
    loss = 0.1 + 2 * x**-0.15 * (1 + (x / 2e2) ** 2.5) ** -0.2
    held = hold_out(fit_power_law(x, loss, form="broken", bootstrap=0))
    assert list(held.law.params) == ["A", "E", "alpha", "c1", "d1", "f1"]
    assert held.largest < 1e-3


def test_too_few_are_left() -> None:
    x = np.geomspace(1, 100, 5)
    law = fit_power_law(x, 1 + 1 / x, bootstrap=0)
    with pytest.raises(AllmlpError, match="without the 3 dearest runs: saturating has 3"):
        hold_out(law, share=0.5)
    with pytest.raises(AllmlpError, match=r"share in \[0, 1\)"):
        hold_out(law, share=1.0)
