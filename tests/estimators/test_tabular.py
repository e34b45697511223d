import copy
import pickle
import warnings
from collections.abc import Callable
from inspect import signature
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import StackingClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from allmlp.errors import AllmlpError
from allmlp.estimators import TabularClassifier, TabularRegressor
from allmlp.estimators.recipes import EMBEDDINGS, RECIPES
from allmlp.estimators.settings import Training

TINY: dict[str, Any] = {
    "model": "mlp",
    "width": 16,
    "depth": 1,
    "members": 2,
    "bins": 4,
    "max_epochs": 20,
    "lr": 0.03,
    "random_state": 0,
}
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": (
        "repeated rows are other batches and other quantiles; with all rows in one batch weights "
        "and repetitions are equal (tests/training/test_members.py)"
    ),
    "check_methods_subset_invariance": (
        "float32 products of one row and of many add up in another order; they agree to 1e-5, the "
        "check asks for 1e-7"
    ),
}


KINDS = (TabularClassifier, TabularRegressor)
SHORT = [("mlp", "ple")]
# every model with every embedding
LONG = [pair for pair in product(RECIPES, EMBEDDINGS) if pair not in SHORT]


# some checks ask for a score, which takes RealMLP more than TINY, and ResNet more steps
LARGER: dict[str, dict[str, Any]] = {
    "resnet": {"batch_size": 16},
    "realmlp": {"max_epochs": 100, "width": 64, "dropout": 0.0},
}


def checked(pairs: list[tuple[str, str]], **options: Any) -> Callable[..., Any]:
    return parametrize_with_checks(
        [
            kind(**{**TINY, **LARGER.get(m, {}), "model": m, "num_embedding": e})
            for m, e in pairs
            for kind in KINDS
        ],
        expected_failed_checks=lambda _: EXPECTED,
        **options,
    )


@pytest.mark.unhooked  # some checks pass wrong types on purpose
@pytest.mark.filterwarnings("ignore")  # of the checks' strange data
@checked(SHORT)
def test_scikit_learn(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.slow
@pytest.mark.unhooked
@pytest.mark.filterwarnings("ignore")
@checked(LONG, xfail_strict=False)  # rounding decides whether some of them agree to 1e-7
def test_scikit_learn_of_all_models_and_embeddings(
    estimator: Any, check: Callable[[Any], None]
) -> None:
    check(estimator)


def test_one_row_and_many_agree() -> None:
    x, y = load_diabetes(return_X_y=True)
    model = TabularRegressor(**TINY).fit(x[:100], y[:100])
    alone = np.concatenate([model.predict(row[None]) for row in x[:20]])
    np.testing.assert_allclose(model.predict(x[:20]), alone, rtol=1e-5)


@pytest.mark.parametrize("model", RECIPES)
def test_every_model_learns(model: str) -> None:
    x, y = load_iris(return_X_y=True)
    settings = {**TINY, "model": model, "batch_size": 16}
    assert TabularClassifier(**settings).fit(x, y).score(x, y) > 0.9
    values = x[:, :2] ** 2
    regressor = TabularRegressor(**settings).fit(x, values)
    assert regressor.predict(x).shape == (150, 2)
    assert regressor.score(x, values) > 0.8


@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_every_embedding_learns(embedding: str) -> None:
    x, y = load_iris(return_X_y=True)
    model = TabularClassifier(**TINY, num_embedding=embedding, embedding_width=5).fit(x, y)
    assert model.score(x, y) > 0.9


def mixed(count: int = 60) -> tuple[list[list[Any]], np.ndarray]:
    """A text, a number that is missing now and then, and noise; the label follows the text."""
    generator = np.random.default_rng(0)
    texts = generator.choice(["red", "green", "blue"], count)
    numbers = [None if i % 7 == 0 else float(v) for i, v in enumerate(generator.normal(size=count))]
    noise = generator.normal(size=count).tolist()
    rows = [list(row) for row in zip(texts.tolist(), numbers, noise, strict=True)]
    return rows, np.where(texts == "red", "yes", "no")


def test_any_container() -> None:
    pandas = pytest.importorskip("pandas")
    polars = pytest.importorskip("polars")
    rows, y = mixed()
    frame = pandas.DataFrame(rows, columns=["colour", "size", "noise"])
    model = TabularClassifier(**TINY).fit(frame, y)
    assert model.feature_names_in_.tolist() == ["colour", "size", "noise"]
    shares = model.predict_proba(frame)
    np.testing.assert_array_equal(model.predict_proba(polars.from_pandas(frame)), shares)
    frame["colour"] = frame["colour"].astype("category")
    np.testing.assert_array_equal(model.predict_proba(frame), shares)
    assert model.score(frame, y) > 0.9
    for values in (rows, np.array(rows, dtype=object)):
        same = TabularClassifier(**TINY).fit(values, y)
        np.testing.assert_array_equal(same.predict_proba(values), shares)
    eager = TabularClassifier(**TINY).fit(polars.from_pandas(frame), polars.Series(y))
    np.testing.assert_array_equal(eager.predict_proba(frame), shares)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame.rename(columns={"size": "length"}))
    with pytest.raises(ValueError, match="same order"):
        model.predict(frame[["size", "colour", "noise"]])


def test_what_was_not_seen_in_training() -> None:
    rows, y = mixed()
    model = TabularClassifier(**TINY).fit(rows, y)
    strange = [["violet", 0.0, 0.0], [None, 0.0, 0.0], [17, None, 0.0]]
    shares = model.predict_proba(strange)
    assert np.isfinite(shares).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-12)
    with pytest.warns(UserWarning, match="missing in x2, where none was in training"):
        model.predict([["red", 1.0, None]])
    assert model.predict([["red", 1.0, 0.0]]).shape == (1,)


def test_the_type_that_holds_a_column_may_change() -> None:
    pandas = pytest.importorskip("pandas")
    generator = np.random.default_rng(0)
    codes, sizes = generator.integers(1, 4, 80), generator.normal(size=80)
    frame = pandas.DataFrame({"code": pandas.Categorical(codes), "size": sizes})
    model = TabularClassifier(**TINY).fit(frame, codes == 2)
    assert model.score(frame, codes == 2) == 1
    shares = model.predict_proba(frame)
    for held in (codes, codes.astype(float), codes.astype(str), codes.astype(object)):
        other = pandas.DataFrame({"code": held, "size": sizes.astype(object)})
        np.testing.assert_array_equal(model.predict_proba(other), shares)


@pytest.mark.parametrize("model", RECIPES)
@pytest.mark.parametrize("count", [2, 3, 25])
def test_fewer_rows_than_a_batch(model: str, count: int) -> None:
    x = np.random.default_rng(0).normal(size=(count, 3))
    settings = {**TINY, "model": model, "max_epochs": 2}  # batches of 256
    assert np.isfinite(TabularRegressor(**settings).fit(x, x[:, 0]).predict(x[:1])).all()
    # batches of one row are what batch norms cannot do with
    settings["batch_size"] = 1
    labels = np.arange(count) % 2
    assert TabularClassifier(**settings).fit(x, labels).predict(x).shape == (count,)


def test_bad_tables() -> None:
    good, y = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 2
    with pytest.raises(ValueError, match="0 sample"):
        TabularClassifier(**TINY).fit(np.empty((0, 2)), [])
    with pytest.raises(AllmlpError, match="at least 2 rows to learn from, got 1 sample"):
        TabularClassifier(**TINY).fit(good[:1], y[:1])
    with pytest.raises(AllmlpError, match="column that varies, but each of x0, x1 holds one"):
        TabularClassifier(**TINY).fit(np.full((30, 2), np.nan), y)
    infinite = good.copy()
    infinite[3, 1] = np.inf
    with pytest.raises(AllmlpError, match="column 'x1' holds infinity"):
        TabularClassifier(**TINY).fit(infinite, y)
    with pytest.raises(TypeError, match="Sparse data was passed"):
        TabularClassifier(**TINY).fit(csr_matrix(good), y)
    with pytest.raises(ValueError, match="contains NaN"):
        TabularRegressor(**TINY).fit(good, np.full(30, np.nan))
    with pytest.raises(AllmlpError, match="unknown model 'tabmini'; did you mean tabm-mini"):
        TabularClassifier(model="tabmini").fit(good, y)
    with pytest.raises(AllmlpError, match="unknown num_embedding 'plre'"):
        TabularClassifier(num_embedding="plre").fit(good, y)
    for name in ("max_epochs", "width", "depth"):
        with pytest.raises(AllmlpError, match=f"integer.* {name} of at least 1, got 0"):
            TabularClassifier(**{**TINY, name: 0}).fit(good, y)
    with pytest.raises(AllmlpError, match="integer patience of at least 1, got 0"):
        TabularClassifier(patience=0).fit(good, y)


def test_one_class_and_constant_columns() -> None:
    x = np.column_stack([np.arange(30.0), np.ones(30), np.full(30, np.nan)])
    only = TabularClassifier(**TINY).fit(x, ["a"] * 30)
    assert only.predict(x[:2]).tolist() == ["a", "a"]
    assert only.predict_proba(x[:2]).tolist() == [[1.0], [1.0]]
    assert only.encoder_.dropped == ("x1", "x2")
    flat = TabularRegressor(**TINY).fit(x, np.full(30, 3.0))
    assert flat.predict(x[:2]) == pytest.approx([3.0, 3.0], abs=0.2)


def test_balanced_classes_find_the_rare_one() -> None:
    generator = np.random.default_rng(0)
    y = np.arange(400) % 20 == 0
    x = generator.normal(size=(400, 2)) + 1.2 * y[:, None]
    recalls = [
        recall_score(y, TabularClassifier(**TINY, class_weight=w).fit(x, y).predict(x))
        for w in (None, "balanced", {False: 1.0, True: 19.0})
    ]
    assert recalls[1] > recalls[0] + 0.3
    assert recalls[2] > recalls[0] + 0.3


def test_rows_of_no_weight_are_not_there() -> None:
    x, y = load_diabetes(return_X_y=True)
    x, y = x[:80], y[:80]
    weights = np.ones(80)
    weights[::4] = 0
    y_wrong = np.where(weights == 0, 1e6, y)
    left_out = TabularRegressor(**TINY).fit(x[weights > 0], y[weights > 0])
    weighted = TabularRegressor(**TINY).fit(x, y_wrong, sample_weight=weights)
    np.testing.assert_allclose(weighted.predict(x), left_out.predict(x), rtol=1e-6)
    with pytest.raises(AllmlpError, match="sample_weight must not be negative"):
        TabularRegressor(**TINY).fit(x, y, sample_weight=-weights)


def test_same_seed_same_predictions_and_nobody_notices() -> None:
    x, y = load_iris(return_X_y=True)
    states = torch.get_rng_state(), _numpy_state()
    first = TabularClassifier(**TINY, dropout=0.3).fit(x, y).predict_proba(x)
    again = TabularClassifier(**TINY, dropout=0.3).fit(x, y).predict_proba(x)
    other = TabularClassifier(**{**TINY, "random_state": 1}).fit(x, y).predict_proba(x)
    TabularClassifier(**{**TINY, "random_state": None, "max_epochs": 1}).fit(x, y)
    with pytest.raises(AllmlpError, match="an integer random_state of at least 0, got -1"):
        TabularClassifier(**{**TINY, "random_state": -1}).fit(x, y)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert torch.equal(states[0], torch.get_rng_state())
    np.testing.assert_array_equal(states[1], _numpy_state())


def _numpy_state() -> np.ndarray:
    state: Any = np.random.get_state()  # noqa: NPY002
    return state[1].copy()


@pytest.mark.parametrize("model", RECIPES)
def test_files(model: str, tmp_path: Path) -> None:
    rows, y = mixed()
    fitted = TabularClassifier(**{**TINY, "max_epochs": 2, "model": model}).fit(rows, y)
    shares = fitted.predict_proba(rows)
    pickled = pickle.dumps(fitted)
    np.testing.assert_array_equal(pickle.loads(pickled).predict_proba(rows), shares)
    np.testing.assert_array_equal(copy.deepcopy(fitted).predict_proba(rows), shares)
    fitted.save(tmp_path / "model.safetensors")
    loaded = TabularClassifier.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(rows), shares)
    assert loaded.get_params() == fitted.get_params()
    with pytest.raises(AllmlpError, match="holds TabularClassifier, form 1, and not TabularRegr"):
        TabularRegressor.load(tmp_path / "model.safetensors")


def test_pickles_hold_weights_and_little_else() -> None:
    x, y = load_diabetes(return_X_y=True)
    model = TabularRegressor(**{**TINY, "width": 256, "depth": 3, "max_epochs": 2}).fit(x, y)
    weights = 4 * sum(p.numel() for p in model.module_.parameters())
    assert len(pickle.dumps(model)) < 2 * weights
    warm = TabularRegressor(**{**TINY, "width": 256, "depth": 3, "max_epochs": 2}, warm_start=True)
    assert len(pickle.dumps(warm.fit(x, y))) < 2 * weights


def test_parameters_are_in_the_signature() -> None:
    for kind in KINDS:
        shown = signature(kind).parameters
        assert list(shown) == list(signature(kind.__init__).parameters)[1:]
        assert {n: p.default for n, p in shown.items()} == kind().get_params()
        assert repr(kind(width=7)) == f"{kind.__name__}(width=7)"
    assert {"class_weight", "label_smoothing"} == KINDS[0]().get_params().keys() - shown.keys()


def test_files_of_values(tmp_path: Path) -> None:
    x, y = load_diabetes(return_X_y=True)
    y = np.column_stack([y, -y])
    fitted = TabularRegressor(**{**TINY, "max_epochs": 2}).fit(x, y)
    fitted.save(tmp_path / "m")
    np.testing.assert_array_equal(
        TabularRegressor.load(tmp_path / "m").predict(x), fitted.predict(x)
    )
    (tmp_path / "n").write_bytes(b"nothing")
    with pytest.raises(AllmlpError, match="cannot be read as an estimator"):
        TabularRegressor.load(tmp_path / "n")
    strange = TabularRegressor(**{**TINY, "max_epochs": 1}, optimizer=torch.optim.SGD).fit(x, y)
    with pytest.raises(AllmlpError, match="texts and numbers only"):
        strange.save(tmp_path / "o")


def test_eval_set_is_what_stops() -> None:
    x, y = load_diabetes(return_X_y=True)
    held = x[300:], y[300:]
    model = TabularRegressor(**{**TINY, "max_epochs": 60, "lr": 0.1}, patience=2)
    model.fit(x[:300], y[:300], eval_set=held)
    scores = model.validation_scores_
    assert model.n_iter_ == len(scores) == len(model.loss_curve_) < 60
    error = (model.predict(held[0]) - held[1]) / y[:300].std()
    assert np.mean(error**2) == pytest.approx(min(scores), rel=1e-4)
    # rows of the validation take no part in the preparation
    assert model.encoder_.numbers[0].median == np.median(x[:300, 0])
    # names of columns are of the container, not of the table
    pandas = pytest.importorskip("pandas")
    framed = pandas.DataFrame(x[:300])
    same = TabularRegressor(**{**TINY, "max_epochs": 60, "lr": 0.1}, patience=2)
    same.fit(framed, y[:300], eval_set=held)
    assert same.validation_scores_ == scores
    with pytest.raises(ValueError, match="X has 2 features, but TabularRegressor is expecting 10"):
        model.fit(x, y, eval_set=(x[:, :2], y))
    with pytest.raises(AllmlpError, match="eval_set is"):
        model.fit(x, y, eval_set=(x,))


def test_weights_are_averaged_over_about_two_epochs() -> None:
    rows = {"validation_fraction": 0.0, "batch_size": 10, "patience": None, "max_time": None}
    asked = {"lr": 1e-3, "clip": None, "schedule": "constant", "max_epochs": 1, "metric": None}

    def decay(count: int, ema: Any) -> float | None:
        return Training(**{**rows, **asked}, ema=ema).decay(count)

    assert decay(10, "recent") == 0.5
    assert decay(95, "recent") == 1 - 1 / 20
    assert decay(10_000, "recent") == 0.99
    assert (decay(95, None), decay(95, 0.0), decay(95, 0.9)) == (None, None, 0.9)
    x, y = load_diabetes(return_X_y=True)
    settings = {**TINY, "batch_size": 32, "max_epochs": 10, "validation_fraction": 0.0}
    fits = [TabularRegressor(**settings, ema=ema).fit(x, y) for ema in (None, 0.0, 1 - 1 / 28)]
    said = [model.predict(x) for model in fits]
    assert not np.array_equal(said[0], said[1])
    np.testing.assert_array_equal(said[0], said[2])  # 442 rows are 14 steps


def test_time_ends_training() -> None:
    x, y = load_diabetes(return_X_y=True)
    model = TabularRegressor(**{**TINY, "max_epochs": 10**6}, patience=None, max_time=0.3)
    assert model.fit(x, y).history_.stopped == "0.3 seconds over"
    assert np.isfinite(model.predict(x)).all()


def test_warm_start_goes_on() -> None:
    x, y = load_diabetes(return_X_y=True)
    settings = {**TINY, "max_epochs": 5, "lr": 0.003, "validation_fraction": 0.0}
    model = TabularRegressor(**settings, warm_start=True).fit(x, y)
    first = model.loss_curve_[-1]
    module, optimizer = model.module_, model._optimizer_
    model.fit(x, y)
    assert model.module_ is module
    assert model._optimizer_ is optimizer
    assert model.n_iter_ == 10
    assert model.loss_curve_[-1] < first
    model.set_params(lr=1e-12).fit(x, y)
    assert model._optimizer_ is not optimizer
    assert max(model.loss_curve_[-5:]) - min(model.loss_curve_[-5:]) < 0.05
    before = {name: t.clone() for name, t in module.state_dict().items()}
    model.fit(x, y)
    torch.testing.assert_close(module.state_dict(), before)


def test_classes_weigh_the_same_wherever_validation_comes_from() -> None:
    x, y = load_iris(return_X_y=True)
    held = x[::3], y[::3]
    weights = {0: 1.0, 1: 5.0, 2: 0.2}
    by_class = TabularClassifier(**TINY, class_weight=weights).fit(x, y, eval_set=held)
    of_rows = [np.array([weights[label] for label in labels]) for labels in (y, held[1])]
    by_row = TabularClassifier(**TINY)
    by_row.fit(x, y, sample_weight=of_rows[0], eval_set=(*held, of_rows[1]))
    assert by_class.validation_scores_ == by_row.validation_scores_


def test_partial_fit_comes_close_to_fit() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2000, 4))
    y = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2])
    settings = {**TINY, "width": 64, "depth": 2, "lr": 0.005, "validation_fraction": 0.0}
    settings |= {"dropout": 0.0, "batch_size": 100, "bins": 16}
    whole = TabularRegressor(**{**settings, "max_epochs": 12}).fit(x, y)
    stream = TabularRegressor(**settings)
    for _ in range(12):
        for part in np.array_split(np.arange(2000), 4):
            stream.partial_fit(x[part], y[part])
    assert stream.n_iter_ == 48
    held = generator.normal(size=(500, 4))
    truth = held[:, 0] * held[:, 1] + np.sin(2 * held[:, 2])
    errors = [np.mean((m.predict(held) - truth) ** 2) / truth.var() for m in (whole, stream)]
    # of the variance: both explain nearly all of it
    assert errors[1] < errors[0] + 0.05


def test_partial_fit_of_classes() -> None:
    x, y = load_iris(return_X_y=True)
    model = TabularClassifier(**TINY)
    with pytest.raises(AllmlpError, match="the first call of partial_fit needs classes"):
        model.partial_fit(x, y)
    model.partial_fit(x[:60], y[:60], classes=[0, 1, 2])  # none of class 2 yet
    assert model.predict_proba(x).shape == (150, 3)
    order = np.random.default_rng(0).permutation(150)
    for _ in range(20):
        model.partial_fit(x[order], y[order])
    assert model.score(x, y) > 0.9
    with pytest.raises(AllmlpError, match="among the classes 0, 1, 2, got 3"):
        model.partial_fit(x[:2], [3, 3])
    with pytest.raises(AllmlpError, match="classes must be those of the first call"):
        model.partial_fit(x[:2], y[:2], classes=[0, 1])


def test_progress_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    x, y = load_iris(return_X_y=True)
    TabularClassifier(**{**TINY, "max_epochs": 2}, verbose=1).fit(x, y)
    assert "epoch 2/2" in capfd.readouterr().err
    TabularClassifier(**{**TINY, "max_epochs": 2}).fit(x, y)
    assert capfd.readouterr().err == ""


def test_the_rest_of_scikit_learn() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    x, y = x[::3, :4], y[::3]
    fast = TabularClassifier(**{**TINY, "max_epochs": 8})
    search = GridSearchCV(fast, {"model": ["mlp", "tabm-mini"], "lr": [0.01]}, cv=2).fit(x, y)
    assert search.best_score_ > 0.8
    assert clone(search.best_estimator_).get_params() == search.best_estimator_.get_params()
    assert cross_val_score(fast, x, y, cv=2, scoring="roc_auc").mean() > 0.85
    calibrated = CalibratedClassifierCV(fast, cv=2).fit(x, y)
    assert calibrated.score(x, y) > 0.8
    stack = StackingClassifier([("net", fast)], LogisticRegression(), cv=2).fit(x, y)
    assert stack.score(x, y) > 0.8
    importance = permutation_importance(fast.fit(x, y), x, y, n_repeats=2, random_state=0)
    assert importance.importances_mean.max() > 0.01


def test_behind_a_column_transformer() -> None:
    pandas = pytest.importorskip("pandas")
    rows, y = mixed()
    frame = pandas.DataFrame(rows, columns=["colour", "size", "noise"])
    prepare = make_column_transformer(
        (OneHotEncoder(), ["colour"]), (StandardScaler(), ["size", "noise"])
    )
    pipe = make_pipeline(prepare, TabularClassifier(**TINY))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's own, of missing values
        assert pipe.fit(frame, y).score(frame, y) > 0.9


def test_class_weights_come_back_from_a_file(tmp_path: Path) -> None:
    X, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    model = TabularClassifier(max_epochs=1, class_weight={0: 1.0, 1: 3.0}).fit(X, y)
    model.save(tmp_path / "a.safetensors")
    again = TabularClassifier.load(tmp_path / "a.safetensors")
    assert again.class_weight == {0: 1.0, 1: 3.0}
    again.fit(X, y)


def test_codes_are_names_if_told_so() -> None:
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 20, 400)
    y = generator.normal(size=20)[codes]
    x = np.stack([10_000 + 37 * codes, generator.normal(size=400)], axis=1)
    settings = {**TINY, "num_embedding": "none", "width": 32}
    asked = [TabularRegressor(**settings, categorical_features=c) for c in (None, [0], ["x0"])]
    scores = [model.fit(x[:300], y[:300]).score(x[300:], y[300:]) for model in asked]
    assert scores[1] == scores[2] > 0.9 > scores[0]
    for wrong, says in (
        ("x0", r"a list: \['x0'\]"),
        (["x2"], "no column 'x2'"),
        ([2], "none at 2"),
    ):
        with pytest.raises(AllmlpError, match=says):
            asked[0].set_params(categorical_features=wrong).fit(x, y)


@pytest.mark.parametrize("optimizer", ["lbfgs", "schedule_free"])
def test_optimizers_that_want_no_average_beside_them(optimizer: str) -> None:
    x, y = load_iris(return_X_y=True)
    settings = {**TINY, "optimizer": optimizer, "max_epochs": 2}
    assert TabularClassifier(**settings).fit(x, y).n_iter_ == 2
    with pytest.raises(AllmlpError, match="ema"):
        TabularClassifier(**{**settings, "optimizer": "schedule_free", "ema": 0.9}).fit(x, y)


def test_patience_is_anybodys() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 60, 1))
    settings = {**TINY, "model": "realmlp", "max_epochs": 30}
    assert TabularRegressor(**settings).fit(x, y[:, 0]).n_iter_ == 30
    assert TabularRegressor(**settings, patience=1).fit(x, y[:, 0]).n_iter_ < 30
    with pytest.raises(AllmlpError, match="patience"):
        TabularRegressor(**settings, patience="never").fit(x, y[:, 0])


def test_a_stream_may_lack_a_class_for_a_while() -> None:
    x, y = load_iris(return_X_y=True)
    model = TabularClassifier(**TINY, class_weight={2: 10.0})
    model.partial_fit(x[:50], y[:50], classes=[0, 1, 2]).partial_fit(x[50:51], y[50:51])
    with pytest.raises(AllmlpError, match="class_weight names 7, the classes are 0, 1, 2"):
        TabularClassifier(**TINY, class_weight={7: 1.0}).fit(x, y)
    batch_norms = TabularClassifier(**{**TINY, "model": "resnet"}).partial_fit(x, y, [0, 1, 2])
    with pytest.raises(AllmlpError, match="at least 2 rows"):
        batch_norms.partial_fit(x[:1], y[:1])
