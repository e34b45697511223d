"""`TabularClassifier` and `TabularRegressor`: MLPs for tables, in scikit-learn's manner.

Their parameters are the fields of a dataclass: it writes the constructor, which does nothing but
store them, as scikit-learn asks, and shows them all in its signature.

Axes: n rows, o outputs, k classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from allmlp.errors import check_choice, check_integers
from allmlp.estimators.build import Blueprint, build_model, scale_rates
from allmlp.estimators.classifier import NetworkClassifier
from allmlp.estimators.recipes import RECIPES, Recipe
from allmlp.estimators.regressor import NetworkRegressor
from allmlp.estimators.settings import Training, check_training
from allmlp.estimators.table import Preparation, TableEstimator
from allmlp.training import MemberClassification, Task, build_optimizer

__all__ = ["TabularClassifier", "TabularRegressor"]


@dataclass(kw_only=True, eq=False, repr=False)
class _Tabular(TableEstimator):
    """Network and training of both; the parameters are documented at `TabularClassifier`."""

    model: str = "tabm-mini"
    num_embedding: str = "auto"
    embedding_width: int | None = None
    bins: int = 48
    sigma: float | None = None
    width: int | None = None
    depth: int | None = None
    dropout: float | None = None
    members: int | None = None
    scaling: str = "auto"
    categorical_features: Sequence[str | int] | None = None
    min_frequency: int = 2
    category_dropout: float = 0.02
    optimizer: Any = "adamw"
    lr: float | None = None
    weight_decay: float | None = None
    batch_size: int | None = None
    max_epochs: int | None = None
    patience: int | str | None = "auto"
    validation_fraction: float = 0.2
    metric: str | None = None
    max_time: float | None = None
    ema: float | None = None
    warm_start: bool = False
    random_state: int | np.random.RandomState | None = None
    device: str = "cpu"
    verbose: int = 0

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
        classes = isinstance(self, NetworkClassifier)
        patience = self.patience
        if isinstance(patience, str):
            check_choice("patience", patience, ("auto",))
            patience = recipe.patience
        training = Training(
            lr=recipe.lr[0 if classes else 1] if self.lr is None else self.lr,
            clip=recipe.clip,
            schedule=recipe.schedule,
            max_epochs=recipe.max_epochs if self.max_epochs is None else self.max_epochs,
            patience=patience,
            metric=self.metric,
            batch_size=self.batch_size,
            validation_fraction=self.validation_fraction,
            max_time=self.max_time,
            ema="recent" if self.ema is None and recipe.average else self.ema,
        )
        check_training(type(self).__name__, training)
        return training

    def _preparation(self) -> Preparation:
        return Preparation(
            scaling=self._recipe.scaling if self.scaling == "auto" else self.scaling,
            min_frequency=self.min_frequency,
            bins=self.bins if self._embedding() == "ple" else None,
            categories=self.categorical_features or (),
        )

    def _build(self, num_outputs: int) -> nn.Module:
        recipe = self._recipe
        plan = Blueprint(
            model=self.model,
            embedding=self._embedding(),
            embedding_width=self.embedding_width,
            sigma=self.sigma,
            width=recipe.width if self.width is None else self.width,
            depth=recipe.depth if self.depth is None else self.depth,
            dropout=recipe.dropout if self.dropout is None else self.dropout,
            members=self._members(),
            one_hot=recipe.one_hot,
            category_dropout=self.category_dropout,
            classes=isinstance(self, NetworkClassifier),
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


@dataclass(kw_only=True, eq=False, repr=False)
class TabularClassifier(NetworkClassifier, _Tabular):
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
        categorical_features: columns of numbers that are names, such as codes of places, by name or
            position; texts, pandas' categories and booleans are so anyway.
        min_frequency: texts seen less often in a column count as unseen.
        category_dropout: share of texts hidden while training, from which unseen ones learn.
        optimizer: `adamw`, `muon` and others of `training.OPTIMIZERS`, or a class of optimizers or
            its dotted path; other than `adamw` they take their own rates unless told.
        lr: learning rate; None is the model's own.
        weight_decay: of matrices; None is the model's own.
        batch_size: rows a step; None is 256, and 1024 from 50 000 rows on.
        max_epochs: passes over the rows at most; None is the model's own, 200 mostly.
        patience: epochs without a better score before training stops; `auto` is 16, and None for
            `realmlp`, whose schedule ends with `max_epochs`.
        validation_fraction: of the rows, held out to score epochs, stratified; 0 trains
            `max_epochs` on all rows. With fewer than 20 rows nothing is held out.
        metric: that scores epochs: `accuracy` or `loss` (cross-entropy).
        max_time: seconds of training at most.
        ema: decay of an average of the weights, 0.99 say, that is scored and kept; None averages
            about two epochs, at most 100 steps of them (RealMLP: nothing), 0 nothing.
        warm_start: let `fit` go on from the last fit.
        random_state: seed of everything random; global random states are left alone.
        device: cpu, cuda, mps …; `auto` takes an accelerator if there is one.
        verbose: 1 shows progress on stderr.
        label_smoothing: share of the target spread over all classes; None is the model's own.
        class_weight: `balanced`, or a weight for each class; validation counts them as well.

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

    label_smoothing: float | None = None
    class_weight: str | Mapping[Any, float] | None = None

    def _task(self) -> Task:
        smoothing = self.label_smoothing
        if smoothing is None:
            smoothing = self._recipe.label_smoothing
        return MemberClassification(self.metric or "accuracy", smoothing)


@dataclass(kw_only=True, eq=False, repr=False)
class TabularRegressor(NetworkRegressor, _Tabular):
    """Values from a table: an MLP that takes texts, numbers and missing values as they are.

    Targets are standardised for training; several columns of targets are learned together.

    Args:
        metric: that scores epochs: `loss` (squared error) or `mae`.
        validation_fraction: of the rows, held out at random to score epochs.
        others: as in `TabularClassifier`.

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

    def _answers(self, outputs: Tensor) -> Tensor:
        values = super()._answers(outputs)
        if not self._recipe.clamp:
            return values
        return values.clamp(torch.from_numpy(self._low), torch.from_numpy(self._high))
