"""Numbers that say how good probabilities are, as scikit-learn counts them.

Axes: n images, k classes.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from allmlp.errors import AllmlpError

__all__ = [
    "Bin",
    "ClassScores",
    "Scores",
    "calibration_bins",
    "confusion",
    "label_set_hits",
    "score_probabilities",
]

# of the calibration error, as Guo et al. have them
BINS = 15

Probabilities = Float[np.ndarray, "n k"]
Labels = Int[np.ndarray, " n"]


@dataclass(frozen=True)
class ClassScores:
    """One class against all others; None where nothing is there to count.

    Args:
        name: of the class.
        images: that belong to it.
        predicted: images that were taken for it.
        precision: share of the predicted ones that belong to it.
        recall: share of its images that were found: the accuracy of the class.
        f1: harmonic mean of both.
        auroc: probability that an image of the class gets a larger probability of it than another.
    """

    name: str
    images: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None
    auroc: float | None


@dataclass(frozen=True)
class Scores:
    """What probabilities are worth. Shares are fractions.

    Args:
        count: images.
        loss: cross-entropy in nats, the negative log-likelihood.
        accuracy: share of the images whose class has the largest probability.
        top5: share whose class is among the five largest; None with five classes or fewer.
        precision: mean over the classes for which there is one (macro), as the two that follow.
        recall: likewise; the balanced accuracy.
        f1: likewise.
        auroc: one class against the rest, mean over the classes that have images and are not all.
        brier: squared distance of the probabilities from the truth, 0 to 2, mean over images.
        ece: expected calibration error of the largest probability, 15 bins of equal width.
        classes: each class.
    """

    count: int
    loss: float
    accuracy: float
    top5: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    auroc: float | None
    brier: float
    ece: float
    classes: tuple[ClassScores, ...]

    def to_json(self) -> dict[str, Any]:
        """Dictionaries, lists, numbers and None."""
        fields = asdict(self)
        return {**fields, "classes": [*fields["classes"]]}


@dataclass(frozen=True)
class Bin:
    """Images of similar confidence.

    Args:
        low: of the interval (low, high] of the largest probability; the first one holds 0 as well.
        high: of it.
        count: images in it.
        confidence: their mean largest probability; None if there are none.
        accuracy: share of hits among them; likewise.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


def score_probabilities(
    probabilities: Probabilities, labels: Labels, classes: Sequence[str]
) -> Scores:
    """Score a part of some data.

    Args:
        probabilities: of all classes; rows sum to 1.
        labels: indices into `classes`; classes without images are counted as scikit-learn counts
            them with `zero_division=nan`.
        classes: names.

    Raises:
        AllmlpError: no images, other shapes, labels of no class, or values outside [0, 1].

    Source: Brier 1950 (the sum over classes); Guo et al. 2017, arXiv:1706.04599 (ECE); the rest as
    in scikit-learn.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
        >>> scores = score_probabilities(p, np.array([0, 1, 1]), ["cat", "dog"])
        >>> round(scores.accuracy, 3), scores.classes[1].recall, scores.auroc
        (0.667, 0.5, 1.0)
    """
    from sklearn import metrics  # seconds, which a model that only predicts need not wait for

    _check(probabilities, labels, classes)
    k = len(classes)
    every = range(k)
    predicted = probabilities.argmax(axis=1)
    # the truth as one-hot, at the n places that matter only
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    squares = (probabilities.astype(np.float64) ** 2).sum(axis=1) - own**2 + (1 - own) ** 2
    by_class = metrics.precision_recall_fscore_support(
        labels, predicted, labels=every, zero_division=np.nan
    )
    precision, recall, f1, images = (np.asarray(values) for values in by_class)
    areas = _areas(probabilities, labels)
    taken = np.bincount(predicted, minlength=k)
    return Scores(
        count=len(labels),
        loss=float(metrics.log_loss(labels, probabilities, labels=every)) if k > 1 else 0.0,
        accuracy=float(metrics.accuracy_score(labels, predicted)),
        top5=float(metrics.top_k_accuracy_score(labels, probabilities, k=5, labels=every))
        if k > 5
        else None,
        precision=_mean(precision),
        recall=_mean(recall),
        f1=_mean(f1),
        auroc=_mean(areas),
        brier=float(squares.mean()),
        ece=_calibration_error(calibration_bins(probabilities, labels), len(labels)),
        classes=tuple(
            ClassScores(
                name=name,
                images=int(images[i]),
                predicted=int(taken[i]),
                precision=_number(precision[i]),
                recall=_number(recall[i]),
                f1=_number(f1[i]),
                auroc=_number(areas[i]),
            )
            for i, name in enumerate(classes)
        ),
    )


def confusion(probabilities: Probabilities, labels: Labels) -> Int[np.ndarray, "k k"]:
    """How many images of each class (rows) were taken for each class (columns)."""
    from sklearn.metrics import confusion_matrix

    every = range(probabilities.shape[1])
    return confusion_matrix(labels, probabilities.argmax(axis=1), labels=every)


def calibration_bins(probabilities: Probabilities, labels: Labels) -> tuple[Bin, ...]:
    """Images by their largest probability, in bins of equal width."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    hits = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, BINS + 1)
    # (low, high], the first one closed
    number = np.searchsorted(edges[1:-1], confidence, side="left")
    counts = np.bincount(number, minlength=BINS)
    with np.errstate(invalid="ignore"):
        means = np.bincount(number, confidence, minlength=BINS) / counts
        shares = np.bincount(number, hits, minlength=BINS) / counts
    return tuple(
        Bin(
            low=float(edges[i]),
            high=float(edges[i + 1]),
            count=int(counts[i]),
            confidence=_number(means[i]),
            accuracy=_number(shares[i]),
        )
        for i in range(BINS)
    )


def label_set_hits(
    probabilities: Probabilities, accepted: Sequence[Sequence[int]]
) -> tuple[Bool[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """Whether the most probable class is among those that are right for an image.

    Args:
        probabilities: of all classes.
        accepted: for each image the classes that are right; an image without any counts for
            nothing.

    Returns:
        Hits of the images that count, and the positions of those.

    Source: Beyer et al. 2020, arXiv:2006.07159, section 3 (ReaL).
    """
    counted = np.array([i for i, classes in enumerate(accepted) if len(classes)], dtype=np.int64)
    predicted = probabilities.argmax(axis=1)
    return np.array([predicted[i] in accepted[i] for i in counted], dtype=bool), counted


def _check(probabilities: Probabilities, labels: Labels, classes: Sequence[str]) -> None:
    n, k = probabilities.shape
    if n == 0 or len(labels) != n or len(classes) != k:
        raise AllmlpError(
            f"scores need at least one image, as many labels, and a name for each class; got "
            f"probabilities {probabilities.shape}, {len(labels)} labels and {len(classes)} names"
        )
    if labels.min() < 0 or labels.max() >= k:
        raise AllmlpError(
            f"labels must be 0 to {k - 1}, got {labels.min()} to {labels.max()}; give the data's "
            "own class names"
        )
    # NaN fails every comparison
    broken = ~((probabilities >= 0) & (probabilities <= 1 + 1e-5)).all(axis=1)
    if broken.any():
        raise AllmlpError(
            f"probabilities must lie in [0, 1]; {broken.sum()} of {n} rows have others, first row "
            f"{broken.argmax()}; give the softmax of finite logits"
        )


def _areas(probabilities: Probabilities, labels: Labels) -> Float[np.ndarray, " k"]:
    """AUROC of each class from mean ranks (Mann and Whitney 1947); NaN where it has no meaning."""
    from scipy.stats import rankdata

    n, k = probabilities.shape
    areas = np.full(k, np.nan)
    for i in range(k):
        own = labels == i
        inside = int(own.sum())
        if 0 < inside < n:
            ranks = rankdata(probabilities[:, i])
            surplus = ranks[own].sum() - inside * (inside + 1) / 2
            areas[i] = surplus / (inside * (n - inside))
    return areas


def _calibration_error(bins: Sequence[Bin], count: int) -> float:
    gaps = [b.count * abs((b.accuracy or 0.0) - (b.confidence or 0.0)) for b in bins]
    return float(sum(gaps) / count)


def _mean(values: Float[np.ndarray, " k"]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
