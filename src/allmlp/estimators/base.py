"""What estimators of tables share: from any table to rows, training, prediction, files.

A final class says what is learned (`_read_targets`, `_task`) and by which network (`_plan`,
`_build`); everything else is here.

Axes: n rows, o outputs.
"""

import copy
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from sklearn.base import BaseEstimator
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)
from torch import Tensor, nn
from torch.optim import Optimizer

from allmlp.data import Table, TableEncoder, fit_encoder, quantile_edges, to_table
from allmlp.errors import AllmlpError, check_integers, check_rates
from allmlp.files import replace_file
from allmlp.training import History, Task, choose_device, fit

__all__ = ["TableEstimator", "Training"]

# rows of a prediction at once: k members of width d take k d floats for each of them
_CHUNK = 2048
# with fewer rows, what a validation part says is chance
_FEWEST_TO_VALIDATE = 20
_FORMAT = "allmlp-estimator"
# raised when a reader of the old form could misread the new one
_SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a network is trained, once all defaults are resolved."""

    lr: float
    clip: float | None
    schedule: str
    max_epochs: int
    patience: int | None
    metric: str | None
    batch_size: int | None
    validation_fraction: float
    max_time: float | None
    ema: float | None
    scaling: Any  # one of the names that `fit_encoder` knows
    min_frequency: int
    bins: int | None  # None needs no edges


class TableEstimator(BaseEstimator, ABC):
    """Base of scikit-learn estimators over tables; not used itself."""

    n_iter_: int
    warm_start: bool
    random_state: int | np.random.RandomState | None
    device: str
    verbose: int

    @abstractmethod
    def _training(self) -> Training:
        """The parameters, checked."""

    @abstractmethod
    def _build(self, num_outputs: int) -> nn.Module:
        """The network for `encoder_` and `edges_`, weights drawn from torch's global state."""

    @abstractmethod
    def _optimizer(self, module: nn.Module) -> Optimizer:
        """Over its parameters."""

    @abstractmethod
    def _task(self) -> Task:
        """What is learned."""

    @abstractmethod
    def _learn_targets(self, y: Any) -> None:
        """Set what is learned of the targets: classes, or mean and deviation."""

    @abstractmethod
    def _targets(self, y: Any) -> np.ndarray:
        """As the task needs them."""

    @abstractmethod
    def _num_outputs(self) -> int:
        """Of the network."""

    @abstractmethod
    def _split(self, targets: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the rows to train on, and of those to validate on."""

    @abstractmethod
    def _example_weights(self, y: Any, weights: np.ndarray | None) -> np.ndarray | None:
        """Of the rows, those of their classes included."""

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        eval_set: tuple[Any, ...] | None = None,
    ) -> "TableEstimator":
        """Learn from a table.

        Args:
            X: (n, columns): a data frame of pandas or polars, an array, rows in lists. Numbers may
                be missing, columns may hold texts.
            y: (n,) labels or values, or (n, o) values.
            sample_weight: (n,), how much each row counts; rows of weight 0 are left out.
            eval_set: (X, y) or (X, y, weights) to validate on, instead of a part of the rows: for
                rows in the order of time, or in groups.

        Returns:
            The estimator.

        Raises:
            AllmlpError: parameters, table or targets that cannot be learned from.
        """
        again = self.warm_start and hasattr(self, "module_")
        training = self._training()
        table = self._table(X, reset=not again)
        table, y, weights = self._rows(table, y, sample_weight)
        if not again:
            self._learn_targets(y)
        targets = self._targets(y)
        seed = self._seed()
        train = np.arange(len(table))
        held = None
        if eval_set is not None:
            held = self._evaluation(eval_set)
        elif training.validation_fraction and len(table) >= _FEWEST_TO_VALIDATE:
            train, validate = self._split(targets, training.validation_fraction, seed)
            held = table.take(validate), targets[validate], _rows_of(weights, validate)
        if not again:
            self._prepare(table, train, targets, training, seed)
        before = self.n_iter_ if again else 0
        self.n_iter_ = before
        self._train(
            self.encoder_.encode(table.take(train)),
            targets[train],
            _rows_of(weights, train),
            None if held is None else (self.encoder_.encode(held[0]), *held[1:]),
            training,
            seed + before,
        )
        if not self.warm_start:
            del self._optimizer_
        return self

    def _pass_over(self, X: Any, y: Any, sample_weight: Any) -> None:
        """`partial_fit` of both kinds."""
        first = not hasattr(self, "module_")
        training = replace(
            self._training(), max_epochs=1, schedule="constant", patience=None, ema=None
        )
        table = self._table(X, reset=first)
        table, y, weights = self._rows(table, y, sample_weight)
        if first:
            self._learn_targets(y)
        targets = self._targets(y)
        seed = self._seed()
        if first:
            self._prepare(table, np.arange(len(table)), targets, training, seed)
            self.n_iter_ = 0
        rows = self.encoder_.encode(table)
        self._train(rows, targets, weights, None, training, seed + self.n_iter_)

    def to(self, device: str) -> "TableEstimator":
        """Move the fitted network; `auto` takes an accelerator if there is one."""
        check_is_fitted(self)
        self.module_.to(choose_device(device))
        return self

    def save(self, path: str | Path) -> None:
        """Write parameters, preparation and weights into one safetensors file.

        Raises:
            AllmlpError: a parameter is neither text nor number.
            OSError: the folder is missing, read-only or full.
        """
        check_is_fitted(self)
        plain, arrays = self.encoder_.state()
        tensors = {f"encoder.{name}": torch.from_numpy(a) for name, a in arrays.items()}
        tensors |= {f"edges.{i}": torch.from_numpy(e) for i, e in enumerate(self.edges_)}
        tensors |= {
            f"module.{name}": t.detach().cpu().contiguous()
            for name, t in self.module_.state_dict().items()
        }
        try:
            record = json.dumps(
                {
                    "schema": _SCHEMA,
                    "class": type(self).__name__,
                    "parameters": self.get_params(),
                    "encoder": plain,
                    "targets": self._target_state(),
                    "n_features_in_": self.n_features_in_,
                    "named": hasattr(self, "feature_names_in_"),
                    "n_iter_": self.n_iter_,
                }
            )
        except TypeError as e:
            raise AllmlpError(
                f"a saved estimator has parameters of texts and numbers only ({e}); name the "
                "optimizer by its path, give random_state as an integer, or use pickle"
            ) from e
        with replace_file(Path(path)) as file:
            file.write(save(tensors, metadata={_FORMAT: record}))

    @classmethod
    def load(cls, path: str | Path, *, device: str = "cpu") -> "TableEstimator":
        """The estimator that `save` wrote; no code in the file is run.

        Raises:
            AllmlpError: the file is missing, damaged, or of another estimator.
        """
        try:
            with safe_open(path, "pt") as file:
                record = json.loads((file.metadata() or {}).get(_FORMAT, "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, json.JSONDecodeError) as e:
            raise AllmlpError(f"{path} cannot be read as an estimator ({e})") from e
        if record.get("class") != cls.__name__ or record.get("schema") != _SCHEMA:
            raise AllmlpError(
                f"{path} holds {record.get('class', 'no estimator')}, form "
                f"{record.get('schema')}, and not {cls.__name__}, form {_SCHEMA}"
            )
        estimator = cls(**record["parameters"])
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        estimator.encoder_ = TableEncoder.from_state(record["encoder"], _below("encoder.", arrays))
        edges = _below("edges.", arrays)
        estimator.edges_ = [edges[str(i)] for i in range(len(edges))]
        estimator.n_features_in_ = record["n_features_in_"]
        if record["named"]:
            estimator.feature_names_in_ = np.array(estimator.encoder_.names, dtype=object)
        estimator.n_iter_ = record["n_iter_"]
        estimator._load_target_state(record["targets"])
        with torch.random.fork_rng(devices=[]):
            estimator.module_ = estimator._build(estimator._num_outputs())
        estimator.module_.load_state_dict(_below("module.", tensors))
        estimator.module_.to(choose_device(device)).eval()
        return estimator

    @abstractmethod
    def _target_state(self) -> dict[str, Any]:
        """What `_learn_targets` set, for JSON."""

    @abstractmethod
    def _load_target_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of `_target_state`."""

    def __getstate__(self) -> dict[str, Any]:
        """Weights on the CPU, and without the optimizer's moments: twice the weights' size."""
        state = dict(super().__getstate__())
        state.pop("_optimizer_", None)
        if "module_" in state and next(self.module_.parameters()).device.type != "cpu":
            state["module_"] = copy.deepcopy(self.module_).cpu()
        return state

    def _seed(self) -> int:
        if self.random_state is None:
            return int(np.random.default_rng().integers(2**31))
        if isinstance(self.random_state, np.random.RandomState):
            return int(self.random_state.randint(2**31 - 1))
        check_integers(type(self).__name__, minimum=0, random_state=int(self.random_state))
        return int(self.random_state)

    def _table(self, X: Any, *, reset: bool) -> Table:
        """Columns under the training's names, checked as scikit-learn checks them."""
        if hasattr(X, "tocsr"):
            raise TypeError(
                "Sparse data was passed, but dense data is required; use '.toarray()' to convert"
            )
        framed = hasattr(X, "columns") or hasattr(X, "column_names")
        if not framed and not isinstance(X, Table):
            X = np.asarray(_object_rows(X)) if isinstance(X, list | tuple) else X
            X = check_array(X, dtype=None, ensure_all_finite=False, estimator=self, input_name="X")
        table = to_table(X)
        if isinstance(X, Table):
            if reset:
                self.n_features_in_ = len(table.names)
                self.feature_names_in_ = np.array(table.names, dtype=object)
        else:
            validate_data(self, X, reset=reset, skip_check_array=True)
        if not reset:
            check_is_fitted(self)
            if not isinstance(X, Table):
                table = Table(self.encoder_.names, table.columns)
        return table

    def _rows(
        self, table: Table, y: Any, sample_weight: Any
    ) -> tuple[Table, Any, np.ndarray | None]:
        """Rows that count, and their weights."""
        if y is None:
            raise AllmlpError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        if hasattr(y, "to_numpy"):
            y = y.to_numpy()
        y = np.asarray(y)
        check_consistent_length(table.columns[0], y)
        weights = None
        if sample_weight is not None:
            # it reads nothing of X but the number of rows
            shape = np.empty((len(table), 1))
            weights = _check_sample_weight(sample_weight, shape, dtype=np.float64)
            if (weights < 0).any() or not weights.any():
                raise AllmlpError("sample_weight must not be negative, and not 0 throughout")
            kept = np.flatnonzero(weights)
            if len(kept) < len(table):
                table, y, weights = table.take(kept), y[kept], weights[kept]
        weights = self._example_weights(y, weights)
        if len(table) < 2:
            raise AllmlpError(
                f"{type(self).__name__} needs at least 2 rows to learn from, got 1 sample "
                "(n_samples=1)"
                if len(table)
                else "a table needs at least 2 rows, got 0 samples"
            )
        return table, y, weights

    def _evaluation(self, eval_set: tuple[Any, ...]) -> tuple[Table, np.ndarray, Any]:
        if not isinstance(eval_set, tuple) or len(eval_set) not in (2, 3):
            raise AllmlpError("eval_set is (X, y) or (X, y, weights)")
        table = to_table(eval_set[0])
        y = np.asarray(eval_set[1])
        check_consistent_length(table.columns[0], y)
        weights = None if len(eval_set) == 2 else np.asarray(eval_set[2], dtype=np.float64)
        # unnamed columns go by their position
        named = hasattr(eval_set[0], "columns") or isinstance(eval_set[0], Table)
        names = table.names if named else tuple(self._names())
        return Table(names, table.columns), self._targets(y), weights

    def _names(self) -> list[str]:
        if hasattr(self, "feature_names_in_"):
            return list(self.feature_names_in_)
        return [f"x{i}" for i in range(self.n_features_in_)]

    def _prepare(
        self,
        table: Table,
        train: np.ndarray,
        targets: np.ndarray,
        training: Training,
        seed: int,
    ) -> None:
        """Learn the preparation and draw the network."""
        self.encoder_ = fit_encoder(
            table,
            scaling=training.scaling,
            min_frequency=training.min_frequency,
            seed=seed,
            rows=train,
        )
        rows = self.encoder_.encode(table.take(train))
        features = rows[:, : len(self.encoder_.numbers)]
        self.edges_ = []
        if training.bins is not None and features.shape[1]:
            self.edges_ = quantile_edges(features, training.bins)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            module = self._build(self._num_outputs())
            if hasattr(module, "fit_scale_"):
                some = torch.randperm(len(rows))[:_CHUNK]
                module.fit_scale_(torch.from_numpy(rows)[some])
        self.module_ = module.to(choose_device(self.device))
        self._optimizer_ = self._optimizer(self.module_)

    def _train(
        self,
        rows: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray | None,
        held: tuple[Any, ...] | None,
        training: Training,
        seed: int,
    ) -> None:
        if not hasattr(self, "_optimizer_"):  # unpickled, or fitted without warm_start
            self._optimizer_ = self._optimizer(self.module_)
        validation = None
        if held is not None:
            validation = held if held[2] is not None else held[:2]
        history = fit(
            self.module_,
            rows,
            targets,
            weights=weights,
            loss=self._task(),
            optimizer=self._optimizer_,
            epochs=training.max_epochs,
            batch_size=_batch_size(len(rows), training.batch_size),
            validation=validation,
            schedule=training.schedule,
            clip=training.clip,
            ema=training.ema,
            early_stop=None if validation is None else training.patience,
            metric=None if validation is None else training.metric,
            keep_best=validation is not None,
            max_seconds=training.max_time,
            seed=seed,
            # a report waits for the device; the epochs' ends have theirs anyway
            log_every=10**6,
            progress=self.verbose > 0,
        )
        self.module_.eval()
        self._record(history)

    def _record(self, history: History) -> None:
        losses = [record["train/loss"] for record in history.records]
        scored = [r[history.metric] for r in history.records if history.metric in r]
        self.history_ = history
        self.loss_curve_ = losses
        self.validation_scores_ = scored or None
        self.n_iter_ += len(losses)

    def _outputs(self, X: Any) -> Tensor:
        """Of the network, members and all, on the CPU."""
        check_is_fitted(self)
        rows = torch.from_numpy(self.encoder_.encode(self._table(X, reset=False)))
        device = next(self.module_.parameters()).device
        with torch.inference_mode():
            parts = [self.module_(part.to(device)).cpu() for part in rows.split(_CHUNK)]
        return torch.cat(parts)


def check_training(owner: str, training: Training) -> None:
    """Require parameters that can be trained with.

    Raises:
        AllmlpError: one of them cannot.
    """
    check_integers(owner, minimum=1, max_epochs=training.max_epochs)
    for name in ("patience", "batch_size"):
        if getattr(training, name) is not None:
            check_integers(owner, minimum=1, **{name: getattr(training, name)})
    check_rates(owner, validation_fraction=training.validation_fraction)


def _batch_size(count: int, wanted: int | None) -> int:
    """So that no batch holds a single row, which batch normalisation cannot do with."""
    size = wanted or (256 if count < 50_000 else 1024)
    size = min(count, max(2, size))
    while count % size == 1:
        size += 1
    return size


def _rows_of(values: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if values is None else values[rows]


def _below(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}


def _object_rows(rows: Any) -> Any:
    """Nested lists with texts in them as objects: numpy would turn 1 beside "a" into "1"."""
    texts = any(isinstance(v, str) for row in rows if isinstance(row, list | tuple) for v in row)
    none = any(v is None for row in rows if isinstance(row, list | tuple) for v in row)
    return np.array(rows, dtype=object) if texts or none else rows
