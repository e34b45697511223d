import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from allmlp.data import Table
from allmlp.errors import AllmlpError
from allmlp.estimators import KANClassifier, KANRegressor
from allmlp.ops.symbolic import SymbolicFunction

TINY: dict[str, Any] = {"max_epochs": 2, "random_state": 0}
EXPECTED = {
    "check_dtype_object": (
        "what is neither text nor number is refused by an AllmlpError, which is a ValueError; the "
        "check asks estimators without texts for a TypeError"
    ),
    "check_sample_weight_equivalence_on_dense_data": (
        "targets are standardised by their plain mean and deviation; without that weights and "
        "repetitions are equal (tests/training/test_members.py)"
    ),
}
THINNED = {
    "check_class_weight_classifiers": (
        "a class 10⁷ times lighter is to be given up; LBFGS goes on where the heavy one costs "
        "nothing any more, and fits rows of the light one as well"
    ),
}


def checked(expected: dict[str, str], **parameters: Any) -> Callable[..., Any]:
    kinds = [kind(random_state=0, **parameters) for kind in (KANClassifier, KANRegressor)]
    return parametrize_with_checks(kinds, expected_failed_checks=lambda _: expected)


@pytest.mark.unhooked  # some checks pass wrong types on purpose
@pytest.mark.filterwarnings("ignore")  # of the checks' strange data
@checked(EXPECTED, max_epochs=1)  # a step of LBFGS, and nothing is thinned
def test_scikit_learn(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.slow
@pytest.mark.unhooked
@pytest.mark.filterwarnings("ignore")
@checked(EXPECTED | THINNED, max_epochs=2)
def test_scikit_learn_with_thinning(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def measured(count: int = 80) -> tuple[Table, np.ndarray]:
    """2 mass + log(speed), a column of one value between them, far from [-1, 1]."""
    generator = np.random.default_rng(0)
    mass, speed = generator.uniform(100, 300, count), generator.uniform(0.5, 4, count)
    columns = (mass, np.full(count, 7.0), speed)
    return Table(("mass", "flat", "speed"), columns), 0.02 * mass + np.log(speed)


@pytest.fixture(scope="module")
def law() -> KANRegressor:
    table, y = measured()
    return KANRegressor(widths=[3, 1], max_epochs=6, random_state=0).fit(table, y)


def test_the_formula_is_in_the_units_of_the_data(law: KANRegressor) -> None:
    table, y = measured()
    assert law.symbols_ == {"x1": "mass", "x3": "speed"}
    x1, x3 = (sympy.Symbol(name, real=True) for name in law.symbols_)
    assert law.formula_.free_symbols == {x1, x3}
    function = sympy.lambdify((x1, x3), law.formula_)
    mass, _, speed = table.columns
    np.testing.assert_allclose(function(mass, speed), y, rtol=1e-5)
    assert function(1000.0, 9.0) == pytest.approx(20 + np.log(9), rel=1e-4)  # beyond the data
    assert law.law_.functions == ("x", "log")
    assert law.law_.explained > 1 - 1e-9
    assert law.model_.config.widths == (2, 1)


def test_laws_are_a_pareto_list(law: KANRegressor) -> None:
    laws = law.laws()
    assert len(laws) > 1
    complexities, explained = zip(*((one.complexity, one.explained) for one in laws), strict=True)
    assert list(complexities) == sorted(set(complexities))
    assert list(explained) == sorted(set(explained))
    assert law.law_ is laws[-1]  # without noise rows can tell all others from it


def test_files(law: KANRegressor, tmp_path: Path) -> None:
    table, _ = measured()
    answers, formula = law.predict(table), law.formula_
    again = pickle.loads(pickle.dumps(law))
    law.save(tmp_path / "model.safetensors")
    loaded = KANRegressor.load(tmp_path / "model.safetensors")
    for other in (again, loaded):
        np.testing.assert_array_equal(other.predict(table), answers)
    assert loaded.formula_ == formula  # found again
    assert loaded.get_params() == law.get_params()
    with pytest.raises(AllmlpError, match="holds KANRegressor, form 1, and not KANClassifier"):
        KANClassifier.load(tmp_path / "model.safetensors")


def test_plot(law: KANRegressor) -> None:
    for formula in (False, True):
        figure = law.plot(formula=formula)
        assert [t.get_text() for t in figure.axes[0].texts] == ["mass", "speed", "+"]
    names = [t.get_text() for panel in law.plot(formula=True).axes[1:] for t in panel.texts]
    assert names == ["x", "log"]
    x, y = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30.0)
    plain = KANRegressor(widths=[2, 1], max_epochs=1, random_state=0).fit(x, y)
    assert plain.symbols_ == {"x1": "x1", "x2": "x2"}


def test_a_formula_that_is_clearly_worse_is_refused() -> None:
    generator = np.random.default_rng(0)
    x = np.sort(generator.uniform(-1, 1, 200))
    y = np.interp(x, np.linspace(-1, 1, 9), [0, 1, -1, 0.5, 2, -2, 1, 0, 1.0])
    model = KANRegressor(widths=[1, 1], grid=16, sparsity=0.0, max_epochs=3, random_state=0)
    model.fit(x[:, None], y)
    with pytest.raises(AllmlpError, match=r"best one explains \d+\.\d% of them and the network 9"):
        _ = model.formula_
    laws = model.laws()
    assert laws[-1].explained < 0.9


@pytest.mark.slow
def test_functions_of_ones_own() -> None:
    x = np.random.default_rng(0).uniform(0, 10, (100, 1))
    y = x[:, 0] * np.exp(-x[:, 0])
    ricker = SymbolicFunction(
        name="ricker", function=lambda t: t * torch.exp(-t), complexity=2, formula="x*exp(-x)"
    )
    model = KANRegressor(widths=[1, 1], grid=10, max_epochs=20, random_state=0).fit(x, y)
    best = model.laws(functions=[ricker])[-1]
    assert best.functions == ("ricker",)
    assert best.explained > 1 - 1e-6
    assert model.laws()[-1].functions != ("ricker",)  # for this one call


@pytest.mark.slow
def test_several_targets() -> None:
    x = np.random.default_rng(0).uniform(1, 2, (60, 2))
    y = np.column_stack([x[:, 0] ** 2, np.exp(x[:, 1])])
    model = KANRegressor(widths=[2, 2], max_epochs=5, random_state=0).fit(x, y)
    assert model.predict(x).shape == (60, 2)
    first, second = model.formula_
    assert [str(s) for f in (first, second) for s in f.free_symbols] == ["x1", "x2"]
    column = KANRegressor(widths=[2, 1], max_epochs=8, random_state=0).fit(x, y[:, :1])
    assert column.predict(x).shape == (60, 1)
    assert len(column.formula_) == 1


@pytest.mark.slow
def test_classes() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (120, 2))
    y = np.where(x[:, 0] > x[:, 1] ** 2, "above", "below")
    model = KANClassifier(widths=[2, 2], max_epochs=2, random_state=0).fit(x, y)
    assert model.score(x, y) > 0.9
    odds = sympy.lambdify(sympy.symbols("x1 x2", real=True), model.formula_)(*x.T)
    first, second = model.law_.formula(x).T
    np.testing.assert_allclose(odds, second - first, rtol=1e-9)
    assert model.classes_.tolist() == ["above", "below"]
    assert ((odds > 0) == (y == "below")).mean() > 0.75  # after two steps


@pytest.mark.slow
def test_three_classes() -> None:
    rows, kinds = load_iris(return_X_y=True)
    three = KANClassifier(widths=[4, 3], max_epochs=3, random_state=0).fit(rows, kinds)
    assert three.score(rows, kinds) > 0.9
    assert three.predict_proba(rows).shape == (150, 3)


@pytest.mark.unhooked
def test_mistakes() -> None:
    x, y = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30.0)
    with pytest.raises(AllmlpError, match="column 'x1' holds 'red'; leave the column out, or enc"):
        KANRegressor().fit([[1.0, "red"], [2.0, "blue"]], [1.0, 2.0])
    holes = x.copy()
    holes[3, 1] = np.nan
    with pytest.raises(AllmlpError, match=r"column 'x1' has 1 missing values \(NaN\); drop those"):
        KANRegressor().fit(holes, y)
    with pytest.raises(
        AllmlpError, match=r"from 2 \(columns\) to 1 \(values or classes\), got \[3"
    ):
        KANRegressor(widths=[3, 1]).fit(x, y)
    with pytest.raises(AllmlpError, match=r"from 2 \(columns\) to 2 \(values"):
        KANClassifier(widths=[2, 1]).fit(x, y > 3)
    with pytest.raises(AllmlpError, match="sparsity must be at least 0, got -1.0"):
        KANRegressor(sparsity=-1.0).fit(x, y)
    with pytest.raises(AllmlpError, match="unknown dtype 'float16'"):
        KANRegressor(dtype="float16").fit(x, y)
    with pytest.raises(AllmlpError, match="integer grid of at least 1, got 0"):
        KANRegressor(grid=0).fit(x, y)
    model = KANRegressor(widths=[2, 1], max_epochs=1, random_state=0).fit(x, y)
    with pytest.raises(AllmlpError, match="column 'x1' has 1 missing"):
        model.predict(holes)
    assert not hasattr(KANRegressor(), "formula_")  # not fitted


def test_same_seed_same_answers_and_nobody_notices() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (40, 2))
    y = x[:, 0] ** 2
    before = torch.get_rng_state(), _numpy_state()
    settings: dict[str, Any] = {"widths": [2, 1], "max_epochs": 1}
    first, same, other = (
        KANRegressor(**settings, random_state=seed).fit(x, y).predict(x) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], _numpy_state())


def _numpy_state() -> np.ndarray:
    state: Any = np.random.get_state()  # noqa: NPY002
    return state[1].copy()


@pytest.mark.slow
def test_other_ways_of_training() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    y = x[:, 0] ** 2 + x[:, 1]
    settings: dict[str, Any] = {"widths": [2, 1], "random_state": 0}
    model = KANRegressor(
        **settings, optimizer="adamw", batch_size=20, max_epochs=20, dtype="float32"
    ).fit(x, y)
    assert model.model_.layers[0].numeric.spline_weight.dtype == torch.float32
    assert model.score(x, y) > 0.98
    assert model.law_.explained > 0.98  # found and verified in float64
    warm = KANRegressor(**settings, max_epochs=1, warm_start=True).fit(x, y)
    widths, steps, score = warm.model_.config.widths, warm.n_iter_, warm.score(x, y)
    warm.max_epochs = 5
    warm.fit(x, y)
    assert warm.model_.config.widths == widths
    assert warm.n_iter_ > steps
    assert warm.score(x, y) >= score
    assert KANRegressor(**settings, max_time=0.05).fit(x, y).predict(x).shape == (200,)


@pytest.mark.slow
def test_among_scikit_learns_tools() -> None:
    x, y = load_iris(return_X_y=True)
    pipe = make_pipeline(StandardScaler(), KANClassifier(widths=[4, 3], **TINY))
    search = GridSearchCV(pipe, {"kanclassifier__grid": [2, 3]}, cv=2).fit(x, y)
    assert search.best_score_ > 0.85
    assert clone(pipe).get_params()["kanclassifier__widths"] == [4, 3]


@pytest.mark.parametrize(
    ("kind", "scale"),
    [("two rows", 1.0), ("duplicates", 1e-150), ("constant target", 1.0), ("ties", 1e150)],
)
def test_small_and_strange_tables_give_numbers(kind: str, scale: float) -> None:
    generator = np.random.default_rng(0)
    count = 2 if kind == "two rows" else 24
    x = generator.normal(size=(count, 2)) * scale
    y = generator.normal(size=count) * scale
    if kind == "duplicates":
        x, y = x[np.arange(count) % 3], y[np.arange(count) % 3]
    if kind == "constant target":
        y = np.full(count, scale)
    if kind == "ties":
        x = np.round(x / scale) * scale
    model = KANRegressor(widths=[2, 1, 1], max_epochs=2, random_state=0).fit(x, y)
    assert np.isfinite(model.predict(x)).all()
    assert np.isfinite(model.predict(x * 100)).all()
