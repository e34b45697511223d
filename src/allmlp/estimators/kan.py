"""`KANRegressor` and `KANClassifier`: KANs in scikit-learn's manner, with the formula they found.

Axes: n rows, o outputs, k classes.
"""

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.optim import Optimizer

from allmlp.data import Table
from allmlp.errors import AllmlpError, check_choice, check_integers
from allmlp.estimators.classifier import NetworkClassifier
from allmlp.estimators.kan_law import TableLaw, choose_law, find_laws, prune_network
from allmlp.estimators.kan_rows import as_rows, keep_rows
from allmlp.estimators.regressor import NetworkRegressor
from allmlp.estimators.saved import Saved
from allmlp.estimators.settings import Training, check_training
from allmlp.estimators.table import EncodedRows, Preparation, TableEstimator
from allmlp.interpret.kan import Diagram, diagram, draw_kan
from allmlp.models.kan import KAN
from allmlp.models.kan_config import KANConfig, as_tuples
from allmlp.ops.symbolic import SymbolicFunction
from allmlp.training import KANPenalty, MemberClassification, Penalty, Task, build_optimizer

__all__ = ["KANClassifier", "KANRegressor"]

# rows up to which LBFGS is the default: each of its steps passes over all of them twenty times
_WHOLE = 10_000
# what a formula may explain less than the network
_WORSE = 0.05


@dataclass(kw_only=True, eq=False, repr=False)
class _KANEstimator(TableEstimator):
    """Network, training and laws of both; the parameters are documented at `KANRegressor`."""

    widths: Sequence[int | Sequence[int]] | None = None
    grid: int = 3
    k: int = 3
    sparsity: float = 1e-3
    optimizer: Any = "auto"
    lr: float | None = None
    batch_size: int | None = None
    max_epochs: int | None = None
    patience: int | None = 16
    validation_fraction: float = 0.2
    metric: str | None = None
    max_time: float | None = None
    dtype: Literal["float32", "float64"] = "float64"
    warm_start: bool = False
    random_state: int | np.random.RandomState | None = None
    device: str = "cpu"
    verbose: int = 0

    @property
    def model_(self) -> KAN:
        """The network; it reads scaled columns."""
        check_is_fitted(self)
        return cast(KAN, self.module_)

    @property
    def symbols_(self) -> dict[str, str]:
        """The symbols of formulas, and the names of their columns.

        x1 is the first column, and its own name if it has no other. A column that holds one value
        only has no symbol.
        """
        check_is_fitted(self)
        symbols = {name: f"x{place}" for place, name in enumerate(self._column_names, start=1)}
        named = hasattr(self, "feature_names_in_")
        read = [column.name for column in self.encoder_.numbers]
        return {symbols[name]: name if named else symbols[name] for name in read}

    def laws(self, functions: Sequence[SymbolicFunction] = ()) -> tuple[TableLaw, ...]:
        """Formulas of different lengths, the shortest first; each is better than the ones before.

        They are found on up to 2000 of the training's rows, kept for this, and verified on them and
        on rows that were held out of training: formula and network are the same function there.

        Args:
            functions: of one's own, tried beside the library's.

        Raises:
            AllmlpError: nothing was found, and why.
        """
        return self._laws(tuple(functions))[0]

    @property
    def law_(self) -> TableLaw:
        """The simplest of `laws()` that held-out rows cannot tell from the best one.

        Raises:
            AllmlpError: it explains clearly less than the network does.
        """
        laws, network = self._laws(())
        law = choose_law(laws)
        if not law.explained >= network - _WORSE and not np.isnan(network):
            raise AllmlpError(
                f"a formula must explain the targets about as well as the network, but the best "
                f"one explains {law.explained:.1%} of them and the network {network:.1%}; try "
                "other widths, more rows, or functions of your own: laws(functions=[...]). "
                "laws() has what was found"
            )
        return law

    def plot(self, *, formula: bool = False) -> Figure:
        """The network, drawn on the kept rows: every edge its function (`interpret.kan.draw_kan`).

        Args:
            formula: draw the network of `law_` instead of `model_`.
        """
        model, x, names = self._shown(formula)
        return draw_kan(model, x, names=names)

    def diagram(self, *, formula: bool = False) -> Diagram:
        """What `plot` draws, for a page: `report.kan_page(model.diagram(), title=...)`.

        Args:
            formula: as in `plot`; without it every edge has a function suggested for it.
        """
        model, x, names = self._shown(formula)
        return diagram(model, x, names=names, suggest=not formula)

    def kept_rows(self) -> Tensor:
        """(n, inputs) of the training's rows, 2000 at most, as `model_` reads them."""
        example = next(self.model_.parameters())
        return torch.from_numpy(self._kept["x"]).to(example.device, example.dtype)

    def _shown(self, formula: bool) -> tuple[KAN, Tensor, list[str]]:
        """A network, the kept rows as it takes them, and the names of what it reads."""
        model = self.law_.law.model if formula else self.model_
        names = list(self.symbols_.values())
        read = range(len(names)) if model.inputs is None else model.inputs.tolist()
        x = self.kept_rows().to(next(model.parameters()))
        return model, x, [names[column] for column in read]

    def _laws(self, functions: tuple[SymbolicFunction, ...]) -> tuple[tuple[TableLaw, ...], float]:
        check_is_fitted(self)
        known = self.__dict__.get("_found")
        if known is not None and not functions:
            return known
        kept = self._kept
        # in float64 whatever the training was: formula and network are compared to 1e-7
        model = copy.deepcopy(self.model_).double().cpu()
        centres, spreads = zip(*(c.numbers for c in self.encoder_.numbers), strict=True)
        found, network = find_laws(
            model,
            as_rows(kept),
            as_rows(kept, "held_") if "held_x" in kept else None,
            self._task(),
            inputs=([float(v) for v in centres], [float(v) for v in spreads]),
            outputs=self._output_scaling(),
            names=list(self.symbols_),
            functions=functions,
            steps=self._training().max_epochs,
        )
        if not functions:
            self._found = tuple(found), network
        return tuple(found), network

    @abstractmethod
    def _output_scaling(self) -> tuple[list[float], list[float]] | None:
        """Means and deviations of the targets, where they are scaled."""

    def _read(self, X: Any, *, reset: bool) -> Table | EncodedRows:
        table = super()._read(X, reset=reset)
        if isinstance(table, EncodedRows):
            return table
        for name, values in zip(table.names, table.columns, strict=True):
            if values.dtype == object:
                text = next((v for v in values if v is not None), None)
                raise AllmlpError(
                    f"a KAN reads numbers, but column {name!r} holds {text!r}; leave the column "
                    "out, or encode it, for example by scikit-learn's OneHotEncoder"
                )
            missing = int(np.isnan(values).sum())
            if missing:
                raise AllmlpError(
                    f"a KAN reads numbers, but column {name!r} has {missing} missing values (NaN); "
                    "drop those rows, or fill them, for example by scikit-learn's SimpleImputer"
                )
        return table

    def _training(self) -> Training:
        check_choice("dtype", self.dtype, ("float32", "float64"))
        check_integers(type(self).__name__, minimum=1, grid=self.grid)
        if not self.sparsity >= 0:
            raise AllmlpError(f"sparsity must be at least 0, got {self.sparsity}")
        training = Training(
            lr=self.lr or 0.0,  # `_optimizer` knows the defaults
            clip=None,
            schedule="constant",
            max_epochs=50 if self.max_epochs is None else self.max_epochs,
            patience=self.patience,
            metric=self.metric,
            batch_size=self.batch_size,
            validation_fraction=self.validation_fraction,
            max_time=self.max_time,
            ema=None,
        )
        check_training(type(self).__name__, training)
        return training

    def _preparation(self) -> Preparation:
        return Preparation(scaling="range", min_frequency=1, bins=None, dtype=self.dtype)

    def _learn_encoder(self, inputs: Any, rows: np.ndarray, seed: int) -> None:
        super()._learn_encoder(inputs, rows, seed)
        self._count = len(rows)

    def _build(self, num_outputs: int) -> nn.Module:
        stored = self.__dict__.pop("_stored_config", None)
        dtype = getattr(torch, self.dtype)
        if stored is not None:
            return KAN.from_config(stored).to(dtype)
        features = len(self.encoder_.numbers)
        if self.widths is None:
            widths: list[Any] = [features, 2 * features + 1, num_outputs]
        else:
            widths = [*self.widths]
            ends = [sum(w) if isinstance(w, Sequence) else w for w in (widths[0], widths[-1])]
            if len(widths) < 2 or ends != [self.n_features_in_, num_outputs]:
                raise AllmlpError(
                    f"widths must be the whole list, from {self.n_features_in_} (columns) to "
                    f"{num_outputs} (values or classes), got {widths}"
                )
            widths[0] = features  # columns of one value are left out
        return KAN(widths, grid=self.grid, k=self.k).to(dtype)

    def _optimizer(self, module: nn.Module) -> Optimizer:
        name = self.optimizer
        if name == "auto":
            name = "lbfgs" if self._count <= _WHOLE else "adamw"
        # AdamW's usual 1e-3 is slow on splines, whose coefficients are of size one
        lr = 1e-2 if self.lr is None and name == "adamw" else self.lr
        return build_optimizer(name, module, lr=lr, weight_decay=0.0)

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
        self._kept = keep_rows(rows, targets, weights, held, seed)
        self.__dict__.pop("_found", None)
        # a network is thinned when it is new, and not by partial_fit, which sees one epoch
        if self.sparsity and self.n_iter_ == 0 and training.max_epochs > 1:
            half = None if training.max_time is None else training.max_time / 2
            training = replace(training, max_time=half)
            thinning = replace(training, patience=None, metric=None)
            thin = KANPenalty("pykan", self.sparsity)
            super()._train(rows, targets, weights, None, thinning, seed, thin)
            self.module_ = prune_network(self.model_, self.kept_rows())
            self._renew_optimizer()
        super()._train(rows, targets, weights, held, training, seed, penalty)

    def _input_state(self) -> Saved:
        saved = super()._input_state()
        kept = {f"kept.{name}": torch.from_numpy(array) for name, array in self._kept.items()}
        record = {**saved.record, "config": asdict(self.model_.config), "count": self._count}
        return Saved(record, {**saved.tensors, **kept})

    def _load_input_state(self, saved: Saved) -> None:
        super()._load_input_state(saved)
        self._kept = {name: tensor.numpy() for name, tensor in saved.below("kept.").items()}
        self._count = saved.record["count"]
        config = dict(saved.record["config"])
        options = config.pop("options")
        self._stored_config = KANConfig(**as_tuples(config), options=options)

    def __getstate__(self) -> dict[str, Any]:
        """Without the laws, which are found again from the kept rows."""
        state = super().__getstate__()
        state.pop("_found", None)
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = False
        tags.input_tags.categorical = False
        tags.input_tags.string = False
        return tags


@dataclass(kw_only=True, eq=False, repr=False)
class KANRegressor(NetworkRegressor, _KANEstimator):
    """Values from columns of numbers, and the formula behind them.

    Each column is mapped to [-1, 1] by the training's least and largest value, targets are
    standardised; both are undone in predictions and formulas. Training has two parts, each of
    `max_epochs`: with a penalty that thins edges (`sparsity`), then, after what does nothing was
    pruned, without.

    Args:
        widths: nodes of every layer, inputs and outputs included; [sums, products] where nodes
            multiply. None is [n_features, 2 n_features + 1, outputs].
        grid: intervals of the splines.
        k: their degree.
        sparsity: strength of the penalty that thins edges (pykan's lamb); 0 keeps them all.
        optimizer: `auto` is `lbfgs` up to 10 000 rows and `adamw` beyond; or another name of
            `training.OPTIMIZERS`, a class of optimizers or its dotted path.
        lr: learning rate; None is 1e-2 for `adamw` and the class's own for others.
        batch_size: rows a step, but for LBFGS, which takes all; None is 256, and 1024 from 50 000
            rows on.
        max_epochs: passes over the rows at most, of LBFGS steps, in each part of training and for
            every law; None is 50.
        patience: epochs without a better score before training stops.
        validation_fraction: of the rows, held out to score epochs and to judge formulas; 0 trains
            on all rows. With fewer than 20 rows nothing is held out.
        metric: that scores epochs: `loss` (squared error) or `mae`.
        max_time: seconds of training at most.
        dtype: float64, which formulas need digits of, or float32.
        warm_start: let `fit` go on from the last fit.
        random_state: seed of everything random; global random states are left alone.
        device: cpu, cuda …; `auto` takes an accelerator if there is one.
        verbose: 1 shows progress on stderr.

    Attributes:
        formula_: the law as a sympy expression in the units of X and y, with x1 for the first
            column; a list of them if there are several targets. It is found on first access, which
            takes as long as `fit` again, verified on the data, and refused where it explains
            clearly less than the network (`law_`, `laws()` tell more).
        symbols_: which column each symbol stands for.
        model_: the network, an `allmlp.KAN` of scaled columns.
        n_features_in_: columns seen.
        feature_names_in_: their names, if they are texts.
        encoder_: the scaling of the columns.
        n_iter_: epochs trained.
        loss_curve_: training loss by epoch, of standardised targets, after pruning.
        validation_scores_: score by epoch, None without validation.
        history_: all of `allmlp.fit`'s records of the last part of training.

    Example:
        >>> X = np.random.default_rng(0).uniform(1, 3, (100, 2))
        >>> y = 2 * X[:, 0] + np.log(X[:, 1])
        >>> model = KANRegressor(widths=[2, 1], max_epochs=4, random_state=0)
        >>> model.fit(X, y).score(X, y) > 0.99
        True
        >>> model.law_.functions, sorted(map(str, model.formula_.free_symbols))
        (('x', 'log'), ['x1', 'x2'])
    """

    @property
    def formula_(self) -> Any:
        """The law as a sympy expression, or a list of them."""
        expressions = list(self.law_.formula.expressions)
        return expressions if self._columns else expressions[0]

    def _output_scaling(self) -> tuple[list[float], list[float]]:
        return self._mean.tolist(), self._spread.tolist()


@dataclass(kw_only=True, eq=False, repr=False)
class KANClassifier(NetworkClassifier, _KANEstimator):
    """Classes from columns of numbers, and formulas of their scores.

    Args:
        widths: as in `KANRegressor`, and so all that is not named here; the last entry is the
            number of classes.
        grid: likewise.
        k: likewise.
        sparsity: likewise.
        optimizer: likewise.
        lr: likewise.
        batch_size: likewise.
        max_epochs: likewise.
        patience: likewise.
        validation_fraction: of the rows, held out, stratified.
        metric: that scores epochs: `loss` (cross-entropy) or `accuracy`.
        max_time: likewise.
        dtype: likewise.
        class_weight: `balanced`, or a weight for each class.
        warm_start: likewise.
        random_state: likewise.
        device: likewise.
        verbose: likewise.

    Attributes:
        classes_: sorted labels.
        formula_: of two classes the log-odds of the second as a sympy expression in the units of X;
            of more a list with a score for each class, whose softmax are the probabilities.
        symbols_: as in `KANRegressor`, and so all others.

    Example:
        >>> X = np.random.default_rng(0).uniform(-1, 1, (200, 2))
        >>> model = KANClassifier(widths=[2, 2], max_epochs=5, random_state=0)
        >>> model.fit(X, X[:, 0] > X[:, 1] ** 2).score(X, X[:, 0] > X[:, 1] ** 2) > 0.9
        True
    """

    class_weight: str | Mapping[Any, float] | None = None

    @property
    def formula_(self) -> Any:
        """The scores as sympy expressions; of two classes the log-odds of the second."""
        expressions = list(self.law_.formula.expressions)
        return expressions[1] - expressions[0] if len(expressions) == 2 else expressions

    def _task(self) -> Task:
        return MemberClassification(self.metric or "loss")

    def _output_scaling(self) -> None:
        return None
