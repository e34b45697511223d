import numpy as np
import pytest
from matplotlib.figure import Figure

from allmlp.errors import AllmlpError
from allmlp.scaling import fit_power_law
from allmlp.scaling.pictures import draw_division, draw_law, plain_ticks

N, D = (a.ravel() for a in np.meshgrid(np.geomspace(1e3, 1e5, 4), np.geomspace(1e4, 1e6, 4)))
law = fit_power_law((N, D), 0.5 + 20 * N**-0.5 + 30 * D**-0.4, bootstrap=0)


@pytest.mark.parametrize(("low", "high"), [(2.05, 3.4), (0.02, 0.9), (0.3, 0.31)])
def test_losses_are_marked_as_people_write_them(low: float, high: float) -> None:
    axes = Figure().subplots()
    axes.set(yscale="log", ylim=(low, high))
    plain_ticks(axes.yaxis)
    axes.figure.draw_without_rendering()
    shown = [label.get_text() for label in axes.get_yticklabels() if label.get_text()]
    inside = [text for text in shown if low <= float(text) <= high]
    assert 3 <= len(inside) <= 8
    assert all("e" not in text and "^" not in text for text in shown)


def test_a_law_is_drawn_in_three_parts_over_its_compute() -> None:
    figure = draw_law(law)
    runs, above, residuals = figure.axes
    np.testing.assert_allclose(runs.lines[0].get_xdata(), 6 * N * D)
    np.testing.assert_allclose(above.lines[0].get_ydata(), law.loss - law.params["E"])
    np.testing.assert_allclose(residuals.lines[1].get_ydata(), law.residuals)


def test_the_best_division_of_every_budget() -> None:
    axes = Figure().subplots()
    draw_division(axes, law, "samples", flops=2.0)
    line = axes.lines[1]
    budget, best = (float(np.asarray(data)[20]) for data in line.get_data())
    sizes = np.geomspace(best / 10, best * 10, 4001)
    losses = law.predict(budget / 2 / sizes, sizes)
    assert best == pytest.approx(sizes[np.argmin(losses)], rel=5e-3)
    rising = fit_power_law((N, D), 0.5 + 20 * N**-0.42 + 1e-3 * D**0.2, bootstrap=0)
    with pytest.raises(AllmlpError, match="falls in both variables"):
        draw_division(Figure().subplots(), rising, "parameters")
