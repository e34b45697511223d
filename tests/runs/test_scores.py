"""Scores are scikit-learn's, on random predictions of every kind."""

import warnings

import hypothesis.strategies as st
import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from sklearn.calibration import calibration_curve

from allmlp.errors import AllmlpError
from allmlp.runs.scores import calibration_bins, confusion, label_set_hits, score_probabilities


@st.composite
def predictions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels: ties, classes without images, one class alone, sure ones."""
    n, k = draw(st.integers(1, 60)), draw(st.integers(2, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = rng.normal(size=(n, k)) * draw(st.sampled_from([0.0, 0.1, 3.0, 60.0]))
    if draw(st.booleans()):
        logits = logits.round()  # ties
    p = np.exp(logits - logits.max(1, keepdims=True))
    p = (p / p.sum(1, keepdims=True)).astype(np.float32)
    present = draw(st.integers(1, k))
    return p, rng.integers(0, present, n)


@settings(deadline=None, max_examples=60)
@given(predictions())
def test_scores_are_those_of_scikit_learn(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    p, labels = drawn
    k = p.shape[1]
    names = [f"class {i}" for i in range(k)]
    ours = score_probabilities(p, labels, names)
    predicted, every = p.argmax(1), range(k)
    assert ours.count == len(labels)
    assert ours.accuracy == pytest.approx(sk.accuracy_score(labels, predicted))
    assert ours.loss == pytest.approx(sk.log_loss(labels, p, labels=every), abs=1e-12)
    brier = sk.brier_score_loss(labels, p, labels=every, scale_by_half=False)
    assert ours.brier == pytest.approx(brier, abs=1e-6)
    if k > 5:
        top5 = sk.top_k_accuracy_score(labels, p, k=5, labels=every)
        assert ours.top5 == pytest.approx(top5)
    else:
        assert ours.top5 is None

    def known(value: float | None) -> float:
        return np.nan if value is None else value

    with warnings.catch_warnings():  # that one class alone has no AUROC
        warnings.simplefilter("ignore", UserWarning)
        macro = sk.precision_recall_fscore_support(
            labels, predicted, labels=every, average="macro", zero_division=np.nan
        )[:3]
    assert [known(v) for v in (ours.precision, ours.recall, ours.f1)] == pytest.approx(
        list(macro), nan_ok=True
    )
    each = sk.precision_recall_fscore_support(labels, predicted, labels=every, zero_division=np.nan)
    for i, c in enumerate(ours.classes):
        row = [known(v) for v in (c.precision, c.recall, c.f1)]
        assert row == pytest.approx([values[i] for values in each[:3]], nan_ok=True)
        assert (c.name, c.images, c.predicted) == (names[i], each[3][i], (predicted == i).sum())
        own = labels == i
        if own.all() or not own.any():
            assert c.auroc is None
        else:
            assert c.auroc == pytest.approx(sk.roc_auc_score(own, p[:, i]))
    areas = [c.auroc for c in ours.classes if c.auroc is not None]
    assert ours.auroc == (pytest.approx(np.mean(areas)) if areas else None)
    np.testing.assert_array_equal(
        confusion(p, labels), sk.confusion_matrix(labels, predicted, labels=every)
    )


@settings(deadline=None, max_examples=30)
@given(predictions())
def test_calibration_is_scikit_learns_curve(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    p, labels = drawn
    confidence = p.max(1).astype(np.float64)
    bins = [b for b in calibration_bins(p, labels) if b.count]
    hits = p.argmax(1) == labels
    share, mean = calibration_curve(hits, confidence, n_bins=15)
    assert [b.accuracy for b in bins] == pytest.approx(list(share))
    assert [b.confidence for b in bins] == pytest.approx(list(mean))
    counts = np.array([b.count for b in bins])
    ece = (counts * np.abs(share - mean)).sum() / counts.sum()
    assert score_probabilities(p, labels, [""] * p.shape[1]).ece == pytest.approx(ece, abs=1e-12)


def test_macro_auroc_is_scikit_learns_where_every_class_is_there() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 200)
    labels = rng.integers(0, 4, 200)
    ours = score_probabilities(p, labels, list("abcd")).auroc
    assert ours == pytest.approx(sk.roc_auc_score(labels, p, multi_class="ovr"))


def test_ties_go_to_the_first_class_as_everywhere() -> None:
    scores = score_probabilities(np.full((4, 8), 1 / 8), np.array([0, 1, 6, 7]), list("abcdefgh"))
    assert scores.accuracy == 0.25
    assert scores.classes[0].predicted == 4


def test_a_model_of_one_class_is_always_right() -> None:
    scores = score_probabilities(np.ones((3, 1)), np.zeros(3, np.int64), ["cat"])
    assert (scores.accuracy, scores.loss, scores.brier, scores.ece) == (1.0, 0.0, 0.0, 0.0)
    assert scores.auroc is None


def test_what_has_no_scores_is_named() -> None:
    good = np.array([[0.5, 0.5], [0.5, 0.5]])
    labels = np.array([0, 1])
    bad = good.copy()
    bad[1, 0] = np.nan
    with pytest.raises(AllmlpError, match="1 of 2 rows have others, first row 1; give the softmax"):
        score_probabilities(bad, labels, ["a", "b"])
    with pytest.raises(AllmlpError, match="labels must be 0 to 1, got 0 to 2"):
        score_probabilities(good, np.array([0, 2]), ["a", "b"])
    with pytest.raises(AllmlpError, match=r"got probabilities \(2, 2\), 2 labels and 3 names"):
        score_probabilities(good, labels, ["a", "b", "c"])
    with pytest.raises(AllmlpError, match="at least one image"):
        score_probabilities(np.zeros((0, 2)), labels[:0], ["a", "b"])


def test_any_of_several_right_classes() -> None:
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.9, 0.1, 0.0]])
    hits, counted = label_set_hits(p, [[1, 0], [0, 2], [], [0]])
    assert hits.tolist() == [True, False, True]
    assert counted.tolist() == [0, 1, 3]
