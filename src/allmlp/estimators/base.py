"""What estimators of networks share: rows and targets, training, prediction, files.

A final class joins three answers: how its input becomes rows (`TableEstimator`), what is learned
(`NetworkClassifier`, `NetworkRegressor`), and by which network.

Axes: n rows, o outputs.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
)
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import LBFGS, Optimizer

from allmlp.errors import AllmlpError, check_integers, shown
from allmlp.estimators.saved import Saved, read_estimator, write_estimator
from allmlp.estimators.settings import Training
from allmlp.training import History, Penalty, Task, choose_device, fit, is_schedule_free

__all__ = ["NetworkEstimator", "Readable"]

# rows of a prediction at once: k members of width d take k d floats for each of them
_CHUNK = 2048
# with fewer rows, what a validation part says is chance
_FEWEST_TO_VALIDATE = 20


@runtime_checkable
class Readable(Protocol):
    """What a user handed in, checked, and not yet rows."""

    def __len__(self) -> int: ...

    def take(self, rows: np.ndarray) -> "Readable":
        """Of these rows, in this order."""
        ...


class NetworkEstimator(BaseEstimator, ABC):
    """Base of scikit-learn estimators over networks; not used itself."""

    n_iter_: int
    module_: nn.Module
    warm_start: bool
    random_state: int | np.random.RandomState | None
    device: str
    verbose: int

    @abstractmethod
    def _training(self) -> Training:
        """The parameters, checked."""

    @abstractmethod
    def _build(self, num_outputs: int) -> nn.Module:
        """The network for the rows of `_encode`, weights drawn from torch's global state."""

    @abstractmethod
    def _optimizer(self, module: nn.Module) -> Optimizer:
        """Over its parameters."""

    @abstractmethod
    def _read(self, X: Any, *, reset: bool) -> Readable:
        """What was handed in, checked against the training's, or with `reset` setting it."""

    @abstractmethod
    def _learn_encoder(self, inputs: Readable, rows: np.ndarray, seed: int) -> None:
        """Set what `_encode` needs, by these training rows alone."""

    @abstractmethod
    def _encode(self, inputs: Readable) -> np.ndarray:
        """Rows for the network."""

    @abstractmethod
    def _input_state(self) -> Saved:
        """What `_learn_encoder` and `_read` set."""

    @abstractmethod
    def _load_input_state(self, saved: Saved) -> None:
        """The inverse of `_input_state`."""

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
    def _answers(self, outputs: Tensor) -> Tensor:
        """What the network's outputs, members and all, predict; float64."""

    @abstractmethod
    def _split(self, targets: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the rows to train on, and of those to validate on."""

    @abstractmethod
    def _example_weights(self, y: Any, weights: np.ndarray | None) -> np.ndarray | None:
        """Of the rows, those of their classes included."""

    @abstractmethod
    def _target_state(self) -> dict[str, Any]:
        """What `_learn_targets` set, for JSON."""

    @abstractmethod
    def _load_target_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of `_target_state`."""

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        eval_set: tuple[Any, ...] | None = None,
    ) -> "NetworkEstimator":
        """Learn from rows.

        Args:
            X: n rows, as the class describes them.
            y: (n,) labels or values, or (n, o) values.
            sample_weight: (n,), how much each row counts; rows of weight 0 are left out.
            eval_set: (X, y) or (X, y, weights) to validate on, instead of a part of the rows: for
                rows in the order of time, or in groups.

        Returns:
            The estimator.

        Raises:
            AllmlpError: parameters, rows or targets that cannot be learned from.
        """
        again = self.warm_start and hasattr(self, "module_")
        training = self._training()
        inputs = self._read(X, reset=not again)
        inputs, y, weights = self._counted(inputs, y, sample_weight)
        if not again:
            self._learn_targets(y)
        targets = self._targets(y)
        seed = self._seed()
        train = np.arange(len(inputs))
        held = None
        if eval_set is not None:
            held = self._evaluation(eval_set)
        elif training.validation_fraction and len(inputs) >= _FEWEST_TO_VALIDATE:
            train, validate = self._split(targets, training.validation_fraction, seed)
            held = inputs.take(validate), targets[validate], _rows_of(weights, validate)
        if not again:
            self._prepare(inputs, train, seed)
        before = self.n_iter_ if again else 0
        self.n_iter_ = before
        self._train(
            self._encode(inputs.take(train)),
            targets[train],
            _rows_of(weights, train),
            None if held is None else (self._encode(held[0]), *held[1:]),
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
        inputs = self._read(X, reset=first)
        alone = not first and not any(isinstance(m, _BatchNorm) for m in self.module_.modules())
        inputs, y, weights = self._counted(inputs, y, sample_weight, fewest=1 if alone else 2)
        if first:
            self._learn_targets(y)
        targets = self._targets(y)
        seed = self._seed()
        if first:
            self._prepare(inputs, np.arange(len(inputs)), seed)
            self.n_iter_ = 0
        rows = self._encode(inputs)
        self._train(rows, targets, weights, None, training, seed + self.n_iter_)

    def to(self, device: str) -> "NetworkEstimator":
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
        inputs = self._input_state()
        record = {
            "parameters": _storable(self.get_params()),
            **inputs.record,
            "targets": self._target_state(),
            "n_iter_": self.n_iter_,
        }
        weights = {
            f"module.{name}": t.detach().cpu().contiguous()
            for name, t in self.module_.state_dict().items()
        }
        write_estimator(
            Path(path), type(self).__name__, Saved(record, {**inputs.tensors, **weights})
        )

    @classmethod
    def load(cls, path: str | Path, *, device: str = "cpu") -> "NetworkEstimator":
        """The estimator that `save` wrote; no code in the file is run.

        Raises:
            AllmlpError: the file is missing, damaged, or of another estimator.
        """
        saved = read_estimator(Path(path), cls.__name__)
        parameters = dict(saved.record["parameters"])
        if isinstance(parameters.get("class_weight"), list):
            parameters["class_weight"] = dict(parameters["class_weight"])
        estimator = cls(**parameters)
        estimator._load_input_state(saved)
        estimator.n_iter_ = saved.record["n_iter_"]
        estimator._load_target_state(saved.record["targets"])
        with torch.random.fork_rng(devices=[]):
            estimator.module_ = estimator._build(estimator._num_outputs())
        estimator.module_.load_state_dict(saved.below("module."))
        estimator.module_.to(choose_device(device)).eval()
        return estimator

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
        check_integers(type(self).__name__, minimum=0, random_state=self.random_state)
        return int(self.random_state)

    def _counted(
        self, inputs: Readable, y: Any, sample_weight: Any, fewest: int = 2
    ) -> tuple[Readable, Any, np.ndarray | None]:
        """Rows that count, and their weights."""
        if y is None:
            raise AllmlpError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        y = _array(y)
        # both read nothing of X but the number of rows
        shape = np.empty((len(inputs), 1))
        check_consistent_length(shape, y)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, shape, dtype=np.float64)
            if (weights < 0).any() or not weights.any():
                raise AllmlpError("sample_weight must not be negative, and not 0 throughout")
            kept = np.flatnonzero(weights)
            if len(kept) < len(inputs):
                inputs, y, weights = inputs.take(kept), y[kept], weights[kept]
        weights = self._example_weights(y, weights)
        if len(inputs) < fewest:
            raise AllmlpError(
                f"{type(self).__name__} needs at least 2 rows to learn from, got 1 sample "
                "(n_samples=1)"
                if len(inputs)
                else "a table needs at least 2 rows, got 0 samples"
            )
        return inputs, y, weights

    def _evaluation(self, eval_set: tuple[Any, ...]) -> tuple[Readable, np.ndarray, Any]:
        if not isinstance(eval_set, tuple) or len(eval_set) not in (2, 3):
            raise AllmlpError(f"eval_set is (X, y) or (X, y, weights), got {shown(eval_set)}")
        inputs = self._read(eval_set[0], reset=False)
        y = _array(eval_set[1])
        check_consistent_length(np.empty((len(inputs), 1)), y)
        weights = None if len(eval_set) == 2 else np.asarray(eval_set[2], dtype=np.float64)
        return inputs, self._targets(y), self._example_weights(y, weights)

    def _prepare(self, inputs: Readable, train: np.ndarray, seed: int) -> None:
        """Learn the preparation and draw the network."""
        self._learn_encoder(inputs, train, seed)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            module = self._build(self._num_outputs())
            if hasattr(module, "fit_scale_"):
                some = train[torch.randperm(len(train))[:_CHUNK].numpy()]
                module.fit_scale_(torch.from_numpy(self._encode(inputs.take(some))))
        self.module_ = module.to(choose_device(self.device))
        self._renew_optimizer()

    @property
    def _optimizer_parameters(self) -> tuple[Any, ...]:
        """What `_optimizer` reads of the parameters."""
        return tuple(getattr(self, name, None) for name in ("optimizer", "lr", "weight_decay"))

    def _renew_optimizer(self) -> None:
        self._optimizer_ = self._optimizer(self.module_)
        self._asked_of_optimizer = self._optimizer_parameters

    def _train(
        self,
        rows: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray | None,
        held: tuple[Any, ...] | None,
        training: Training,
        seed: int,
        penalty: Penalty | None = None,
    ) -> None:
        # unpickled, fitted without warm_start, or asked for other steps since
        if (
            not hasattr(self, "_optimizer_")
            or self._asked_of_optimizer != self._optimizer_parameters
        ):
            self._renew_optimizer()
        validation = None
        if held is not None:
            validation = held if held[2] is not None else held[:2]
        whole = isinstance(self._optimizer_, LBFGS)
        # neither has an average beside it, unless somebody asks for one and is told so
        alone = training.ema == "recent" and (whole or is_schedule_free(self._optimizer_))
        history = fit(
            self.module_,
            rows,
            targets,
            weights=weights,
            loss=self._task(),
            penalty=penalty,
            optimizer=self._optimizer_,
            epochs=training.max_epochs,
            batch_size=None if whole else training.batch_of(len(rows)),
            validation=validation,
            schedule=training.schedule,
            clip=None if whole else training.clip,
            ema=None if alone else training.decay(len(rows)),
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
        rows = torch.from_numpy(self._encode(self._read(X, reset=False)))
        device = next(self.module_.parameters()).device
        with torch.inference_mode():
            parts = [self.module_(part.to(device)).cpu() for part in rows.split(_CHUNK)]
        return torch.cat(parts)


def _array(y: Any) -> np.ndarray:
    # pyarrow's to_numpy refuses whatever it would have to copy
    plain = hasattr(y, "to_numpy") and not hasattr(y, "to_pylist")
    return np.asarray(y.to_numpy() if plain else y)


def _storable(parameters: dict[str, Any]) -> dict[str, Any]:
    # keys of JSON are texts, and labels of classes may be numbers
    if not isinstance(parameters.get("class_weight"), dict):
        return parameters
    return {**parameters, "class_weight": list(parameters["class_weight"].items())}


def _rows_of(values: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if values is None else values[rows]
