"""`TabularClassifier` and `TabularRegressor`: MLPs for tables, in scikit-learn's manner.

Axes: n rows, o outputs, k classes.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_is_fitted
from torch import nn
from torch.optim import Optimizer

from allmlp.data.split import stratified_cut
from allmlp.errors import AllmlpError, check_choice, check_integers, listing
from allmlp.estimators.base import TableEstimator, Training, check_training
from allmlp.estimators.build import Blueprint, build_model, scale_rates
from allmlp.estimators.recipes import RECIPES, Recipe
from allmlp.training import (
    MemberClassification,
    MemberRegression,
    Task,
    build_optimizer,
    mean_answer,
    probabilities,
)

__all__ = ["TabularClassifier", "TabularRegressor"]


class _Tabular(TableEstimator):
    """Network and training of both; their parameters are documented at `TabularClassifier`."""

    model: str
    num_embedding: str
    embedding_width: int | None
    bins: int
    sigma: float | None
    width: int | None
    depth: int | None
    dropout: float | None
    members: int | None
    scaling: str
    min_frequency: int
    category_dropout: float
    optimizer: Any
    lr: float | None
    weight_decay: float | None
    batch_size: int | None
    max_epochs: int | None
    patience: int | None
    validation_fraction: float
    metric: str | None
    max_time: float | None
    ema: float | None

    @property
    def _recipe(self) -> Recipe:
        check_choice("model", self.model, RECIPES)
        return RECIPES[self.model]

    def _members(self) -> int:
        return self._recipe.members if self.members is None else self.members

    def _embedding(self) -> str:
        return self._recipe.embedding if self.num_embedding == "auto" else self.num_embedding

    def _training(self) -> Training:
        recipe = self._recipe
        check_integers(type(self).__name__, minimum=1, bins=self.bins, members=self._members())
        classes = isinstance(self, ClassifierMixin)
        training = Training(
            lr=recipe.lr[0 if classes else 1] if self.lr is None else self.lr,
            clip=recipe.clip,
            schedule=recipe.schedule,
            max_epochs=self.max_epochs or recipe.max_epochs,
            patience=self.patience if recipe.patience else None,
            metric=self.metric,
            batch_size=self.batch_size,
            validation_fraction=self.validation_fraction,
            max_time=self.max_time,
            ema=self.ema,
            scaling=recipe.scaling if self.scaling == "auto" else self.scaling,
            min_frequency=self.min_frequency,
            bins=self.bins if self._embedding() == "ple" else None,
        )
        check_training(type(self).__name__, training)
        return training

    def _build(self, num_outputs: int) -> nn.Module:
        recipe = self._recipe
        plan = Blueprint(
            model=self.model,
            embedding=self._embedding(),
            embedding_width=self.embedding_width,
            sigma=self.sigma,
            width=self.width or recipe.width,
            depth=self.depth or recipe.depth,
            dropout=recipe.dropout if self.dropout is None else self.dropout,
            members=self._members(),
            one_hot=recipe.one_hot,
            category_dropout=self.category_dropout,
            classes=isinstance(self, ClassifierMixin),
        )
        return build_model(plan, self.encoder_, self.edges_, num_outputs)

    def _optimizer(self, module: nn.Module) -> Optimizer:
        recipe, training = self._recipe, self._training()
        decay = recipe.weight_decay if self.weight_decay is None else self.weight_decay
        if self.optimizer == "adamw":
            # fused: on a small model the update is half of a step otherwise
            options = {"betas": recipe.betas, "fused": True}
            made = build_optimizer(
                "adamw", module, lr=training.lr, weight_decay=decay, options=options
            )
        else:
            # rates and decays of the recipes are AdamW's
            own = self.weight_decay or 0.0
            made = build_optimizer(self.optimizer, module, lr=self.lr, weight_decay=own)
        return scale_rates(made, module)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags


class TabularClassifier(ClassifierMixin, _Tabular):
    """Classes from a table: an MLP that takes texts, numbers and missing values as they are.

    Args:
        model: `mlp`, `resnet`, `tabm`, `tabm-mini`, `tabm-packed` or `realmlp`.
        num_embedding: of numbers: `none`, `linear`, `plr`, `plr-lite`, `ple` or `pbld`; `auto` is
            the model's own, `pbld` for `realmlp`, else `ple`.
        embedding_width: numbers that a feature becomes; None is the embedding's own.
        bins: of each feature, for `ple`.
        sigma: spread of the frequencies of `plr` (0.01) and `pbld` (0.1); worth a search.
        width: of the hidden layers; None is the model's own, as below.
        depth: hidden layers, or blocks.
        dropout: after each of them, in [0, 1).
        members: of the TabM models; None is 8 for `tabm-mini`, 32 for the others.
        scaling: of numbers: `quantile`, `robust` or `standard`; `auto` is the model's own.
        min_frequency: texts seen less often in a column count as unseen.
        category_dropout: share of texts hidden while training, from which unseen ones learn.
        optimizer: `adamw`, `muon` and others of `training.OPTIMIZERS`, or a class of optimizers or
            its dotted path; other than `adamw` they take their own rates unless told.
        lr: learning rate; None is the model's own.
        weight_decay: of matrices; None is the model's own.
        batch_size: rows a step; None is 256, and 1024 from 50 000 rows on.
        max_epochs: passes over the rows at most; None is the model's own, 200 mostly.
        patience: epochs without a better score before training stops.
        validation_fraction: of the rows, held out to score epochs, stratified; 0 trains
            `max_epochs` on all rows. With fewer than 20 rows nothing is held out.
        metric: that scores epochs: `accuracy` or `loss` (cross-entropy).
        max_time: seconds of training at most.
        ema: decay of an average of the weights, 0.99 say, that is scored and kept.
        label_smoothing: share of the target spread over all classes; None is the model's own.
        class_weight: `balanced`, or a weight for each class.
        warm_start: let `fit` go on from the last fit.
        random_state: seed of everything random; global random states are left alone.
        device: cpu, cuda, mps …; `auto` takes an accelerator if there is one.
        verbose: 1 shows progress on stderr.

    Attributes:
        classes_: sorted labels.
        n_features_in_: columns seen.
        feature_names_in_: their names, if they are texts.
        encoder_: the preparation of the columns.
        module_: the network.
        n_iter_: epochs trained.
        loss_curve_: training loss by epoch.
        validation_scores_: score by epoch, None without validation.
        history_: all of `allmlp.fit`'s records of the last fit.

    Example:
        >>> X = [["red", 1.0], ["blue", None], ["red", 3.0], ["blue", 4.0]] * 10
        >>> y = ["a", "b", "a", "b"] * 10
        >>> model = TabularClassifier(max_epochs=20, lr=0.01, batch_size=16, random_state=0)
        >>> model = model.fit(X, y)
        >>> model.predict([["blue", 2.0]]).tolist()
        ['b']
    """

    def __init__(
        self,
        *,
        model: str = "tabm-mini",
        num_embedding: str = "auto",
        embedding_width: int | None = None,
        bins: int = 48,
        sigma: float | None = None,
        width: int | None = None,
        depth: int | None = None,
        dropout: float | None = None,
        members: int | None = None,
        scaling: str = "auto",
        min_frequency: int = 2,
        category_dropout: float = 0.02,
        optimizer: Any = "adamw",
        lr: float | None = None,
        weight_decay: float | None = None,
        batch_size: int | None = None,
        max_epochs: int | None = None,
        patience: int | None = 16,
        validation_fraction: float = 0.2,
        metric: str | None = None,
        max_time: float | None = None,
        ema: float | None = None,
        label_smoothing: float | None = None,
        class_weight: str | Mapping[Any, float] | None = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        verbose: int = 0,
    ):
        self.model = model
        self.num_embedding = num_embedding
        self.embedding_width = embedding_width
        self.bins = bins
        self.sigma = sigma
        self.width = width
        self.depth = depth
        self.dropout = dropout
        self.members = members
        self.scaling = scaling
        self.min_frequency = min_frequency
        self.category_dropout = category_dropout
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.metric = metric
        self.max_time = max_time
        self.ema = ema
        self.label_smoothing = label_smoothing
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> "TabularClassifier":
        """One pass over some rows; the first rows decide how columns are prepared.

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
        return probabilities(self._outputs(X).double()).numpy()

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """(n, k) logarithms of `predict_proba`."""
        return np.log(np.clip(self.predict_proba(X), np.finfo(float).tiny, None))

    def decision_function(self, X: Any) -> np.ndarray:
        """(n,) log-odds of the second of two classes; else (n, k) logarithms of probabilities."""
        scores = self.predict_log_proba(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def _task(self) -> Task:
        smoothing = self.label_smoothing
        if smoothing is None:
            smoothing = self._recipe.label_smoothing
        return MemberClassification(self.metric or "accuracy", smoothing)

    def _learn_targets(self, y: np.ndarray) -> None:
        wanted = self.__dict__.get("_wanted_classes")
        self.classes_ = np.unique(self._labels(y)) if wanted is None else wanted

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

    def _split(self, targets: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        order = np.random.default_rng(seed).permutation(len(targets))
        held, kept = stratified_cut(torch.from_numpy(targets[order].astype(np.int64)), [share])
        return np.sort(order[kept.numpy()]), np.sort(order[held.numpy()])

    def _example_weights(self, y: np.ndarray, weights: np.ndarray | None) -> np.ndarray | None:
        if self.class_weight is None:
            return weights
        of_class = compute_sample_weight(self.class_weight, self._labels(y))
        return of_class if weights is None else of_class * weights

    def _target_state(self) -> dict[str, Any]:
        return {"classes": self.classes_.tolist(), "dtype": str(self.classes_.dtype)}

    def _load_target_state(self, state: Mapping[str, Any]) -> None:
        self.classes_ = np.array(state["classes"], dtype=state["dtype"])


class TabularRegressor(RegressorMixin, _Tabular):
    """Values from a table: an MLP that takes texts, numbers and missing values as they are.

    Targets are standardised for training; several columns of targets are learned together.

    Args:
        model: as in `TabularClassifier`, and so all that is not named here.
        num_embedding: likewise.
        embedding_width: likewise.
        bins: likewise.
        sigma: likewise.
        width: likewise.
        depth: likewise.
        dropout: likewise.
        members: likewise.
        scaling: likewise.
        min_frequency: likewise.
        category_dropout: likewise.
        optimizer: likewise.
        lr: likewise.
        weight_decay: likewise.
        batch_size: likewise.
        max_epochs: likewise.
        patience: likewise.
        validation_fraction: of the rows, held out at random to score epochs.
        metric: that scores epochs: `loss` (squared error) or `mae`.
        max_time: likewise.
        ema: likewise.
        warm_start: likewise.
        random_state: likewise.
        device: likewise.
        verbose: likewise.

    Attributes:
        n_features_in_: columns seen.
        feature_names_in_: their names, if they are texts.
        encoder_: the preparation of the columns.
        module_: the network; it answers in standardised targets.
        n_iter_: epochs trained.
        loss_curve_: training loss by epoch, of standardised targets.
        validation_scores_: score by epoch, None without validation.
        history_: all of `allmlp.fit`'s records of the last fit.

    Example:
        >>> X = np.linspace(-1, 1, 80)[:, None]
        >>> model = TabularRegressor(width=32, max_epochs=60, lr=0.01, random_state=0)
        >>> model.fit(X, X[:, 0] ** 2).score(X, X[:, 0] ** 2) > 0.9
        True
    """

    def __init__(
        self,
        *,
        model: str = "tabm-mini",
        num_embedding: str = "auto",
        embedding_width: int | None = None,
        bins: int = 48,
        sigma: float | None = None,
        width: int | None = None,
        depth: int | None = None,
        dropout: float | None = None,
        members: int | None = None,
        scaling: str = "auto",
        min_frequency: int = 2,
        category_dropout: float = 0.02,
        optimizer: Any = "adamw",
        lr: float | None = None,
        weight_decay: float | None = None,
        batch_size: int | None = None,
        max_epochs: int | None = None,
        patience: int | None = 16,
        validation_fraction: float = 0.2,
        metric: str | None = None,
        max_time: float | None = None,
        ema: float | None = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        verbose: int = 0,
    ):
        self.model = model
        self.num_embedding = num_embedding
        self.embedding_width = embedding_width
        self.bins = bins
        self.sigma = sigma
        self.width = width
        self.depth = depth
        self.dropout = dropout
        self.members = members
        self.scaling = scaling
        self.min_frequency = min_frequency
        self.category_dropout = category_dropout
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.metric = metric
        self.max_time = max_time
        self.ema = ema
        self.warm_start = warm_start
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> "TabularRegressor":
        """One pass over some rows; the first rows decide how columns and targets are scaled.

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
        values = mean_answer(self._outputs(X).double()).numpy()
        values = values * self._spread + self._mean
        if self._recipe.clamp:
            values = values.clip(self._low, self._high)
        return values if self._columns else values[:, 0]

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
        return ((values - self._mean) / self._spread).astype(np.float32)

    def _num_outputs(self) -> int:
        return len(self._mean)

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


def _shown(labels: np.ndarray) -> list[str]:
    return [str(label) for label in labels]
