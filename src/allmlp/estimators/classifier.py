"""Estimators that learn classes.

Axes: n rows, k classes.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_is_fitted
from torch import Tensor

from allmlp.data.split import stratified_cut
from allmlp.errors import AllmlpError, listing
from allmlp.estimators.base import NetworkEstimator
from allmlp.training import probabilities

__all__ = ["NetworkClassifier"]


class NetworkClassifier(ClassifierMixin, NetworkEstimator):
    """Base of estimators that learn classes; not used itself."""

    classes_: np.ndarray
    class_weight: str | Mapping[Any, float] | None

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> "NetworkClassifier":
        """One pass over some rows; the first rows decide how the input is prepared.

        Args:
            X: as in `fit`.
            y: as in `fit`.
            classes: all labels there will be; needed by the first call, if its rows lack some.
            sample_weight: as in `fit`.

        Returns:
            The estimator.

        Raises:
            AllmlpError: as in `fit`, or the first call does not know all classes.
        """
        if not hasattr(self, "module_"):
            if classes is None:
                raise AllmlpError("the first call of partial_fit needs classes, all there will be")
            self._wanted_classes = np.unique(np.asarray(classes))
        elif classes is not None and not np.array_equal(self.classes_, np.unique(classes)):
            raise AllmlpError(
                f"classes must be those of the first call, {listing(_shown(self.classes_))}; got "
                f"{listing(_shown(np.unique(classes)))}"
            )
        try:
            self._pass_over(X, y, sample_weight)
        finally:
            self.__dict__.pop("_wanted_classes", None)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """(n,) labels: the most probable one."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """(n, k) probabilities, float64, of `classes_` in their order."""
        check_is_fitted(self)
        return self._answers(self._outputs(X)).numpy()

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """(n, k) logarithms of `predict_proba`."""
        return np.log(np.clip(self.predict_proba(X), np.finfo(float).tiny, None))

    def decision_function(self, X: Any) -> np.ndarray:
        """(n,) log-odds of the second of two classes; else (n, k) logarithms of probabilities."""
        scores = self.predict_log_proba(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def _learn_targets(self, y: np.ndarray) -> None:
        wanted = self.__dict__.get("_wanted_classes")
        self.classes_ = np.unique(self._labels(y)) if wanted is None else wanted
        weighted = self.class_weight if isinstance(self.class_weight, Mapping) else {}
        unknown = set(weighted) - set(self.classes_.tolist())
        if unknown:
            raise AllmlpError(
                f"class_weight names {listing(sorted(map(str, unknown)))}, the classes are "
                f"{listing(_shown(self.classes_))}"
            )

    def _labels(self, y: np.ndarray) -> np.ndarray:
        labels = column_or_1d(y, warn=True)
        check_array(labels, dtype=None, ensure_2d=False, input_name="y", estimator=self)
        check_classification_targets(labels)
        return labels

    def _targets(self, y: np.ndarray) -> np.ndarray:
        labels = self._labels(y)
        unknown = np.setdiff1d(labels, self.classes_)
        if len(unknown):
            raise AllmlpError(
                f"labels must be among the classes {listing(_shown(self.classes_))}, got "
                f"{listing(_shown(unknown))}"
            )
        return np.searchsorted(self.classes_, labels)

    def _num_outputs(self) -> int:
        return len(self.classes_)

    def _answers(self, outputs: Tensor) -> Tensor:
        return probabilities(outputs.double())

    def _split(self, targets: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        order = np.random.default_rng(seed).permutation(len(targets))
        held, kept = stratified_cut(torch.from_numpy(targets[order].astype(np.int64)), [share])
        return np.sort(order[kept.numpy()]), np.sort(order[held.numpy()])

    def _example_weights(self, y: np.ndarray, weights: np.ndarray | None) -> np.ndarray | None:
        if self.class_weight is None:
            return weights
        labels = self._labels(y)
        if isinstance(self.class_weight, Mapping):  # of all classes: a few rows may lack some
            given = self.class_weight
            of_class = np.array([given.get(c, 1.0) for c in labels.tolist()], dtype=np.float64)
        else:
            of_class = compute_sample_weight(self.class_weight, labels)
        return of_class if weights is None else of_class * weights

    def _target_state(self) -> dict[str, Any]:
        return {"classes": self.classes_.tolist(), "dtype": str(self.classes_.dtype)}

    def _load_target_state(self, state: Mapping[str, Any]) -> None:
        self.classes_ = np.array(state["classes"], dtype=state["dtype"])


def _shown(labels: np.ndarray) -> list[str]:
    return [str(label) for label in labels]
