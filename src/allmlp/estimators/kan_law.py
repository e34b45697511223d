"""From a trained KAN to laws of a table: prune, refine, search, verify, compare.

Paper: Liu et al. 2024, arXiv:2404.19756, §2.5 (the order of these steps).
DIFF: the functions of all edges are searched together (`interpret.kan.search_symbolic`), which
gives several laws, and held-out data choose among them.
Axes: n rows, i inputs, o outputs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.estimators.kan_rows import Rows
from allmlp.interpret.kan import (
    Formula,
    Law,
    active_edges,
    add_function,
    prune,
    search_symbolic,
    symbolic_formula,
    tidy,
)
from allmlp.interpret.kan.formula import Scaling
from allmlp.models.kan import KAN
from allmlp.ops.symbolic import SymbolicFunction
from allmlp.training import Task, fit, fit_kan

__all__ = ["TableLaw", "choose_law", "find_laws", "prune_network"]

# on three intervals a sine's top and a parabola are the same spline
_GRIDS = (5, 10, 20)
_ROWS_AN_INTERVAL = 15  # what a spline needs (paper, §2.4: errors turn up below it)
_TRIED = 100  # combinations of functions: of five edges all that a search wants, of fifty a few


@dataclass(frozen=True, eq=False)
class TableLaw:
    """A law, what it says in the data's own units, and how well it does.

    `explained` is 1 - loss / loss of the best constant, on held-out rows if there are any: R² of
    values, and of classes the share of their entropy (McFadden's R²).
    """

    law: Law
    formula: Formula
    short: tuple[Any, ...]  # the expressions, shortened as far as `_tolerance` allows
    explained: float
    losses: Float[Tensor, " n"]  # of every row that it was judged by

    @property
    def complexity(self) -> int:
        """The law's: of its functions and their free numbers."""
        return self.law.complexity

    @property
    def functions(self) -> tuple[str, ...]:
        """Of the edges, in order."""
        return tuple(name for _, name in self.law.functions)


def find_laws(
    model: KAN,
    rows: Rows,
    held: Rows | None,
    task: Task,
    *,
    inputs: Scaling,
    outputs: Scaling | None,
    names: Sequence[str],
    functions: Sequence[SymbolicFunction] = (),
    steps: int = 50,
) -> tuple[list[TableLaw], float]:
    """Laws that a network can be read as, none of which is both longer and worse than another.

    Args:
        model: trained and pruned, on `rows`; it stays as it is.
        rows: to train on and to verify on.
        held: to judge and verify by; None takes `rows`.
        task: what is learned.
        inputs: middles and half ranges that the data were scaled by.
        outputs: means and deviations of the targets; None for classes.
        names: of the inputs, in formulas.
        functions: of one's own, tried beside the library's.
        steps: of training, on every grid.

    Returns:
        The laws, the simplest first, and what the network explained.

    Raises:
        AllmlpError: no law was found, and why.
    """
    judged = rows if held is None else held
    fine = _refined(model, rows, held, task, steps)
    for function in functions:
        fine = add_function(fine, function)
    y, weights = _goal(fine, rows)
    found = search_symbolic(fine, rows.x, y, weights=weights, most=_TRIED)
    laws: list[TableLaw] = []
    refused: list[str] = []
    for candidate in found.front:
        law = candidate
        if not rows.y.is_floating_point():  # it has the network's scores, not yet the best ones
            law = _trained(law, rows, task, steps)
        try:
            formula = symbolic_formula(
                law.model,
                rows.x,
                held_out=None if held is None else held.x,
                names=names,
                inputs=inputs,
                outputs=outputs,
            )
        except AllmlpError as e:
            refused.append(str(e))
            continue
        losses = _losses(law.model, judged)
        explained = _explained(losses, judged)
        short = tidy(formula, _raw(rows.x, inputs), tolerance=_tolerance(explained))
        laws.append(TableLaw(law, formula, short, explained, losses))
    if not laws:
        raise AllmlpError(f"the network has no formula: {refused[0]}")
    # of the network as it was and as it is after pruning: a law has to live up to the better one
    reference = max(_explained(_losses(one, judged), judged) for one in (model, fine))
    return _pareto(laws), reference


def _refined(model: KAN, rows: Rows, held: Rows | None, task: Task, steps: int) -> KAN:
    """The network trained on finer and finer grids and pruned in between, as long as that helps."""
    own = model.config.grid
    finest = len(rows.x) // _ROWS_AN_INTERVAL
    finer = [g for g in _GRIDS if own < g <= finest and model.config.basis == "bspline"]
    parts = None if held is None else [t for t in (held.x, held.y, held.weights) if t is not None]
    best, least = model, math.inf
    for grid in (own, *finer):
        found = fit_kan(
            prune_network(best, rows.x),
            rows.x,
            rows.y,
            weights=rows.weights,
            loss=task,
            grids=None if grid == own else (grid,),
            steps=steps,
            validation=None if parts is None else tuple(parts),
        )
        error = found.stages[-1].validation_error
        if not (found.error if error is None else error) < least:
            break
        best, least = found.model, found.error if error is None else error
    return prune_network(best, rows.x)


def _trained(law: Law, rows: Rows, task: Task, steps: int) -> Law:
    """The same functions with constants that serve the task itself."""
    network = law.model.keep()
    fit(
        network,
        rows.x,
        rows.y,
        weights=rows.weights,
        loss=task,
        optimizer="lbfgs",
        steps=steps,
    )
    return replace(law, model=network)


@torch.no_grad()
def _goal(model: KAN, rows: Rows) -> tuple[Tensor, Tensor | None]:
    """What formulas are fitted to by least squares, and the rows' weights.

    Of classes the network's scores, weighted by how much of the loss is lost with them: the middle
    of its second derivative, p (1 - p), as in Newton's way to a logistic regression.
    """
    if rows.y.is_floating_point():
        return rows.y, rows.weights
    scores = model(rows.x)
    unsure = 1 - scores.softmax(1).square().sum(1)
    unsure = unsure + 1e-3 * unsure.mean() + 1e-12
    return scores, unsure if rows.weights is None else unsure * rows.weights


def choose_law(laws: Sequence[TableLaw]) -> TableLaw:
    """The simplest law that the rows cannot tell from the best one.

    Its losses may exceed the best law's by one standard error of their mean difference.
    """
    best = min(laws, key=lambda law: float(law.losses.mean()))
    for law in sorted(laws, key=lambda law: law.complexity):
        differences = law.losses - best.losses
        error = differences.std(correction=0) / math.sqrt(len(differences))
        if float(differences.mean()) <= float(error):
            return law
    return best


def prune_network(model: KAN, x: Float[Tensor, "n i"]) -> KAN:
    """What `prune` leaves; all of it, where nothing that carries anything would be left."""
    small = prune(model, x).model
    layers = {edge[0] for edge in active_edges(small)}
    return small if len(layers) == small.config.depth else model


def _tolerance(explained: float) -> float:
    """What shortening may change, in deviations of the outputs: 0.1 %, or as noise drowns 1 %."""
    return min(1e-2, max(1e-3, 0.3 * math.sqrt(max(0.0, 1 - explained))))


def _raw(x: Float[Tensor, "n i"], inputs: Scaling) -> np.ndarray:
    """In the data's own units."""
    centres, spreads = (np.asarray(part, dtype=np.float64) for part in inputs)
    return x.double().cpu().numpy() * spreads + centres


def _pareto(laws: Sequence[TableLaw]) -> list[TableLaw]:
    """By complexity, each better than all that are simpler."""
    kept: list[TableLaw] = []
    for law in sorted(laws, key=lambda law: (law.complexity, float(law.losses.mean()))):
        if not kept or law.losses.mean() < kept[-1].losses.mean():
            kept.append(law)
    return kept


@torch.no_grad()
def _losses(model: KAN, rows: Rows) -> Float[Tensor, " n"]:
    return _weighted(_loss_of(model(rows.x), rows.y), rows)


def _loss_of(outputs: Tensor, y: Tensor) -> Tensor:
    if y.is_floating_point():
        return (outputs - y).square().mean(1)
    return F.cross_entropy(outputs, y, reduction="none")


def _weighted(losses: Tensor, rows: Rows) -> Tensor:
    return losses if rows.weights is None else losses * rows.weights / rows.weights.mean()


def _explained(losses: Float[Tensor, " n"], rows: Rows) -> float:
    weights = torch.ones(len(rows.x)).to(rows.x) if rows.weights is None else rows.weights
    weights = weights / weights.sum()
    if rows.y.is_floating_point():
        constant = (weights[:, None] * rows.y).sum(0).expand_as(rows.y)
    else:
        shares = rows.x.new_zeros(int(rows.y.max()) + 1).index_add_(0, rows.y, weights)
        constant = shares.clamp(min=torch.finfo(shares.dtype).tiny).log().expand(len(rows.y), -1)
    baseline = float(_weighted(_loss_of(constant, rows.y), rows).mean())
    return 1.0 - float(losses.mean()) / baseline if baseline > 0 else float("nan")
