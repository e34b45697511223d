"""Estimators whose input is a table: any container becomes columns, and columns become rows.

Axes: n rows.
"""

import numbers
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from allmlp.data import Table, TableEncoder, fit_encoder, quantile_edges, to_table
from allmlp.data.table_encoder import Dtype
from allmlp.errors import AllmlpError, shown
from allmlp.estimators.base import NetworkEstimator, Readable
from allmlp.estimators.saved import Saved

__all__ = ["EncodedRows", "Preparation", "TableEstimator"]


@dataclass(frozen=True, eq=False)
class EncodedRows:
    """Rows that `encoder_` made: an input for whoever asks one fitted estimator many times."""

    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: np.ndarray) -> "EncodedRows":
        """Of these rows, in this order."""
        return EncodedRows(self.rows[rows])


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How columns become numbers, as `fit_encoder` names it.

    Attributes:
        bins: of each number, for embeddings that need their edges; None for others.
        dtype: of the rows.
        categories: columns whose numbers are names, by name or position.
    """

    scaling: Any  # one of the names that `fit_encoder` knows
    min_frequency: int
    bins: int | None
    dtype: Dtype = "float32"
    categories: Sequence[str | int] = ()


class TableEstimator(NetworkEstimator):
    """Base of estimators over tables; not used itself."""

    encoder_: TableEncoder
    edges_: list[np.ndarray]

    @abstractmethod
    def _preparation(self) -> Preparation:
        """The parameters that are about columns."""

    def _read(self, X: Any, *, reset: bool) -> Table | EncodedRows:
        """Columns under the training's names, checked as scikit-learn checks them."""
        if isinstance(X, EncodedRows) and not reset:
            return X
        if hasattr(X, "tocsr"):
            raise TypeError(
                "Sparse data was passed, but dense data is required; use '.toarray()' to convert"
            )
        if not reset:
            check_is_fitted(self)
        if isinstance(X, Table):  # `encode` checks its names
            if reset:
                self.n_features_in_ = len(X.names)
                self.feature_names_in_ = np.array(X.names, dtype=object)
                self._column_names = X.names
            return X
        # of the class: the names of a lazy frame are work, which is refused below
        framed = hasattr(type(X), "columns") or hasattr(type(X), "column_names")
        if not framed:
            X = np.asarray(_object_rows(X)) if isinstance(X, list | tuple) else X
            X = check_array(X, dtype=None, ensure_all_finite=False, estimator=self, input_name="X")
        table = to_table(X)
        validate_data(self, X, reset=reset, skip_check_array=True)
        if reset:
            self._column_names = table.names
        return Table(self._column_names, table.columns)

    def _learn_encoder(self, inputs: Readable, rows: np.ndarray, seed: int) -> None:
        wanted = self._preparation()
        assert isinstance(inputs, Table)  # `_read` makes no other
        table = inputs.take(rows)
        self.encoder_ = fit_encoder(
            table,
            scaling=wanted.scaling,
            min_frequency=wanted.min_frequency,
            seed=seed,
            dtype=wanted.dtype,
            categories=_named(wanted.categories, table.names),
        )
        self.edges_ = []
        if wanted.bins is not None and self.encoder_.numbers:
            features = self.encoder_.encode(table)[:, : len(self.encoder_.numbers)]
            self.edges_ = quantile_edges(features, wanted.bins)

    def _encode(self, inputs: Readable) -> np.ndarray:
        if isinstance(inputs, EncodedRows):
            return inputs.rows
        assert isinstance(inputs, Table)  # `_read` makes no other
        return self.encoder_.encode(inputs)

    def _input_state(self) -> Saved:
        plain, arrays = self.encoder_.state()
        record = {
            "encoder": plain,
            "n_features_in_": self.n_features_in_,
            "named": hasattr(self, "feature_names_in_"),
        }
        tensors = {f"encoder.{name}": torch.from_numpy(a) for name, a in arrays.items()}
        tensors |= {f"edges.{i}": torch.from_numpy(e) for i, e in enumerate(self.edges_)}
        return Saved(record, tensors)

    def _load_input_state(self, saved: Saved) -> None:
        arrays = {name: tensor.numpy() for name, tensor in saved.below("encoder.").items()}
        self.encoder_ = TableEncoder.from_state(saved.record["encoder"], arrays)
        edges = saved.below("edges.")
        self.edges_ = [edges[str(i)].numpy() for i in range(len(edges))]
        self.n_features_in_ = saved.record["n_features_in_"]
        self._column_names = self.encoder_.names
        if saved.record["named"]:
            self.feature_names_in_ = np.array(self.encoder_.names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags


def _named(columns: Sequence[str | int], names: tuple[str, ...]) -> list[str]:
    """Columns by name, of names and positions."""
    if isinstance(columns, str):
        raise AllmlpError(
            f"categorical_features is a list: [{shown(columns)}], not {shown(columns)}"
        )
    found = []
    for column in columns:
        if isinstance(column, numbers.Integral):
            if not -len(names) <= column < len(names):
                raise AllmlpError(f"the table has {len(names)} columns, none at {column}")
            found.append(names[int(column)])
        else:
            found.append(str(column))
    return found


def _object_rows(rows: Any) -> Any:
    """Nested lists with texts in them as objects: numpy would turn 1 beside "a" into "1"."""
    texts = any(isinstance(v, str) for row in rows if isinstance(row, list | tuple) for v in row)
    none = any(v is None for row in rows if isinstance(row, list | tuple) for v in row)
    return np.array(rows, dtype=object) if texts or none else rows
