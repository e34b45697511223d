"""Estimators that learn values.

Axes: n rows, o outputs.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_array, check_is_fitted
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.estimators.base import NetworkEstimator
from allmlp.training import MemberRegression, Task, mean_answer

__all__ = ["NetworkRegressor"]


class NetworkRegressor(RegressorMixin, NetworkEstimator):
    """Base of estimators that learn values, standardised; not used itself."""

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> "NetworkRegressor":
        """One pass over some rows; the first rows decide how input and targets are scaled.

        Args:
            X: as in `fit`.
            y: as in `fit`.
            sample_weight: as in `fit`.

        Returns:
            The estimator.

        Raises:
            AllmlpError: as in `fit`.
        """
        self._pass_over(X, y, sample_weight)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """(n,) or (n, o) values, float64."""
        check_is_fitted(self)
        return self._answers(self._outputs(X)).numpy()

    def _task(self) -> Task:
        return MemberRegression()

    def _learn_targets(self, y: np.ndarray) -> None:
        values = self._values(y)
        self._columns = np.ndim(y) == 2
        self._mean, spread = values.mean(axis=0), values.std(axis=0)
        self._spread = np.where(spread > 0, spread, 1.0)
        self._low, self._high = values.min(axis=0), values.max(axis=0)

    def _values(self, y: np.ndarray) -> np.ndarray:
        """(n, o)."""
        y = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y", estimator=self)
        return y[:, None] if y.ndim == 1 else y

    def _targets(self, y: np.ndarray) -> np.ndarray:
        values = self._values(y)
        if values.shape[1] != len(self._mean):
            raise AllmlpError(
                f"targets have {len(self._mean)} columns in training, got {values.shape[1]}"
            )
        return (values - self._mean) / self._spread

    def _num_outputs(self) -> int:
        return len(self._mean)

    def _answers(self, outputs: Tensor) -> Tensor:
        spread, mean = torch.from_numpy(self._spread), torch.from_numpy(self._mean)
        values = mean_answer(outputs.double()) * spread + mean
        return values if self._columns else values[:, 0]

    def _split(self, targets: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        order = np.random.default_rng(seed).permutation(len(targets))
        cut = max(1, round(share * len(targets)))
        return np.sort(order[cut:]), np.sort(order[:cut])

    def _example_weights(self, y: np.ndarray, weights: np.ndarray | None) -> np.ndarray | None:
        return weights

    def _target_state(self) -> dict[str, Any]:
        numbers = {"mean": self._mean, "spread": self._spread, "low": self._low, "high": self._high}
        return {"columns": self._columns, **{k: v.tolist() for k, v in numbers.items()}}

    def _load_target_state(self, state: Mapping[str, Any]) -> None:
        self._columns = state["columns"]
        self._mean, self._spread = np.array(state["mean"]), np.array(state["spread"])
        self._low, self._high = np.array(state["low"]), np.array(state["high"])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
