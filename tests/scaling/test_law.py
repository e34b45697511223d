import json
import math
from pathlib import Path

import numpy as np
import pytest

from allmlp.errors import AllmlpError
from allmlp.scaling import PowerLawFit, fit_power_law

x = np.geomspace(1, 1e4, 14)
loss = (0.5 + 2 * x**-0.5) * np.exp(0.01 * np.random.default_rng(0).standard_normal(14))
law = fit_power_law(x, loss, bootstrap=60)


@pytest.mark.parametrize("form", ["power", "saturating", "shifted"])
@pytest.mark.parametrize("delta", [1e-3, math.inf])
def test_a_law_survives_json(form: str, delta: float, tmp_path: Path) -> None:
    before = fit_power_law(x, loss, form=form, delta=delta, bootstrap=5, exclude=[3])
    before.save(tmp_path / "law.json")
    after = PowerLawFit.load(tmp_path / "law.json")
    assert after.to_dict() == before.to_dict()
    assert after.delta == delta
    np.testing.assert_array_equal(after.predict(x), before.predict(x))
    assert str(after) == str(before)


def test_broken_laws_keep_their_breaks(tmp_path: Path) -> None:
    u = np.geomspace(1, 1e6, 40)
    before = fit_power_law(u, 0.1 + u**-0.2 / (1 + u / 1e3) ** 0.3, form="broken", bootstrap=0)
    before.save(tmp_path / "law.json")
    np.testing.assert_array_equal(
        PowerLawFit.load(tmp_path / "law.json").predict(u), before.predict(u)
    )


def test_files_that_hold_something_else(tmp_path: Path) -> None:
    path = tmp_path / "law.json"
    with pytest.raises(AllmlpError, match="cannot be read"):
        PowerLawFit.load(path)
    for content, message in [
        ("{", "cannot be read"),
        ("[]", "holds a list"),
        ("{}", "law.json is no fitted law .no field 'delta'.; write one by `allmlp scale fit`"),
        (json.dumps({**law.to_dict(), "colour": 1}), "colour"),
        (json.dumps({**law.to_dict(), "form": "cubic"}), "cubic"),
    ]:
        path.write_text(content, encoding="utf-8")
        with pytest.raises(AllmlpError, match=message):
            PowerLawFit.load(path)


def test_predictions_take_any_shape_and_say_what_they_cannot() -> None:
    assert law.predict(3.0).shape == ()
    assert law.predict(np.ones((2, 5))).shape == (2, 5)
    assert np.all(np.diff(law.predict(x)) < 0)
    low, high = law.predict_interval(x)
    middle = law.predict(x)
    assert np.all((low <= middle) & (middle <= high))
    wide_low, wide_high = law.predict_interval(x, level=0.99)
    assert np.all(wide_low <= low)
    assert np.all(wide_high >= high)
    with pytest.raises(AllmlpError, match="a law of 1 variable, got 2"):
        law.predict(1.0, 2.0)
    with pytest.raises(AllmlpError, match="positive finite"):
        law.predict(0.0)
    with pytest.raises(AllmlpError, match="between 0 and 1"):
        law.intervals(level=95.0)
    with pytest.raises(AllmlpError, match="bootstrap=1000"):
        fit_power_law(x, loss, bootstrap=0).intervals()


def test_two_variables_broadcast() -> None:
    N, D = np.meshgrid(np.geomspace(1e3, 1e6, 5), np.geomspace(1e4, 1e7, 5))
    both = fit_power_law(
        (N.ravel(), D.ravel()), (0.5 + 20 * N**-0.5 + 30 * D**-0.4).ravel(), bootstrap=0
    )
    assert both.predict(N[:1], D[:, :1]).shape == (5, 5)
    np.testing.assert_allclose(both.predict(N, D).ravel(), both.loss, rtol=1e-9)


def test_the_table_names_what_matters() -> None:
    shown = str(law)
    assert "L = E + A x^-alpha" in shown
    assert "14 runs, Huber delta 0.001" in shown
    assert shown.count("95 %") == 3


@pytest.mark.parametrize("resample", ["runs", "residuals"])
def test_resamples_are_repeatable_and_around_the_fit(resample: str) -> None:
    a, b, c = (
        fit_power_law(x, loss, bootstrap=40, resample=resample, seed=seed) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(a.samples, b.samples)
    assert not np.array_equal(a.samples, c.samples)
    low, high = a.intervals(0.9)["E"]
    assert low < a.params["E"] < high


def test_intervals_are_those_of_the_law_that_is_reported() -> None:
    # no floor: fits with one would put their exponents above
    rng = np.random.default_rng(4)
    u = np.geomspace(1, 1e3, 40)
    y = 3 * u**-0.5 * np.exp(0.2 * rng.standard_normal(40))
    fit = fit_power_law(u, y, bootstrap=100)
    assert fit.params["E"] == 0
    for name, (low, high) in fit.intervals().items():
        assert low <= fit.params[name] <= high, name
    assert 0 < np.mean(fit.samples[:, list(fit.params).index("E")] == 0) <= 1


def test_the_quick_covariance_agrees_with_resamples_in_size() -> None:
    rng = np.random.default_rng(0)
    u = np.geomspace(1, 1e5, 60)
    y = (0.5 + 2 * u**-0.5) * np.exp(0.01 * rng.standard_normal(60))
    fit = fit_power_law(u, y, delta=math.inf, bootstrap=300)
    quick = math.sqrt(fit.covariance[2, 2])  # of alpha
    assert quick == pytest.approx(fit.samples[:, 2].std(), rel=0.3)
