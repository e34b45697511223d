"""From a trained KAN to laws: prune, refine, name the edges, train again, verify, compare.

Paper: Liu et al. 2024, arXiv:2404.19756, §2.5 (the order of these steps).
DIFF: several prices of complexity give several laws, and held-out data choose among them.
Axes: n rows, i inputs, o outputs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.interpret.kan import (
    AutoSymbolic,
    Formula,
    active_edges,
    add_function,
    auto_symbolic,
    prune,
    symbolic_formula,
    tidy,
)
from allmlp.interpret.kan.formula import Scaling
from allmlp.interpret.kan.symbolic import PRICE
from allmlp.models.kan import KAN
from allmlp.ops.symbolic import SymbolicFunction
from allmlp.training import Task, fit

__all__ = ["Law", "Rows", "choose_law", "find_laws", "prune_network"]

# bits for a unit of complexity (`auto_symbolic`): from generous to nearly linear
PRICES = (PRICE / 4, PRICE, 4 * PRICE, 16 * PRICE)
# intervals on which functions are told apart: a spline on three or five is close to several
_GRID = 10


@dataclass(frozen=True, eq=False)
class Rows:
    """Examples as a network takes them, in float64."""

    x: Float[Tensor, "n i"]
    y: Tensor  # (n, o) values, or (n,) classes
    weights: Float[Tensor, " n"] | None = None


@dataclass(frozen=True, eq=False)
class Law:
    """A network of formulas, what it says in the data's own units, and how well it does.

    `explained` is 1 - loss / loss of the best constant, on held-out rows if there are any: R² of
    values, and of classes the share of their entropy (McFadden's R²).
    """

    model: KAN
    formula: Formula
    short: tuple[Any, ...]  # the expressions, shortened as far as `_tolerance` allows
    functions: tuple[str, ...]  # of the edges, in order
    explained: float
    losses: Float[Tensor, " n"]  # of every row that it was judged by

    @property
    def complexity(self) -> int:
        """Nodes of the expressions' trees."""
        return self.formula.complexity


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
) -> tuple[list[Law], float]:
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
        steps: of LBFGS, each time.

    Returns:
        The laws, the simplest first, and what the network explained.

    Raises:
        AllmlpError: no law was found, and why.
    """

    def train(network: KAN) -> None:
        fit(
            network,
            rows.x,
            rows.y,
            weights=rows.weights,
            loss=task,
            optimizer="lbfgs",
            steps=steps,
        )

    fine = prune_network(model, rows.x)
    if fine.config.basis == "bspline" and fine.config.grid < _GRID:
        fine = fine.refine(_GRID)
    train(fine)
    fine = prune_network(fine, rows.x)  # what the fit no longer needs
    for function in functions:
        fine = add_function(fine, function)
    dry = auto_symbolic(fine, rows.x, dry_run=True)
    judged = rows if held is None else held
    laws: list[Law] = []
    refused: list[str] = []
    for choice in _choices(dry):
        named = fine.set_symbolic({edge: (name, affine) for edge, name, affine in choice})
        train(named)
        try:
            formula = symbolic_formula(
                named,
                rows.x,
                held_out=None if held is None else held.x,
                names=names,
                inputs=inputs,
                outputs=outputs,
            )
        except AllmlpError as e:
            refused.append(str(e))
            continue
        losses = _losses(named, judged)
        functions_of = tuple(name for _, name, _ in choice)
        explained = _explained(losses, judged)
        short = tidy(formula, _raw(rows.x, inputs), tolerance=_tolerance(explained))
        laws.append(Law(named, formula, short, functions_of, explained, losses))
    if not laws:
        why = refused[0] if refused else "no function is defined on all that an edge reads"
        raise AllmlpError(f"the network has no formula: {why}")
    # of the network as it was and as it is after pruning: a law has to live up to the better one
    reference = max(_explained(_losses(one, judged), judged) for one in (model, fine))
    return _pareto(laws), reference


def choose_law(laws: Sequence[Law]) -> Law:
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


Choice = tuple[tuple[tuple[int, int, int], str, tuple[float, float, float, float]], ...]


def _choices(dry: AutoSymbolic) -> list[Choice]:
    """For every price the best function of each edge; each combination of names once."""
    found: dict[tuple[str, ...], Choice] = {}
    for price in PRICES:
        best = [min(ranked, key=lambda c: c.bits_at(price)) for ranked in dry.candidates]
        found.setdefault(
            tuple(c.function for c in best), tuple((c.edge, c.function, c.affine) for c in best)
        )
    return list(found.values())


def _tolerance(explained: float) -> float:
    """What shortening may change, in deviations of the outputs: 0.1 %, or as noise drowns 1 %."""
    return min(1e-2, max(1e-3, 0.3 * math.sqrt(max(0.0, 1 - explained))))


def _raw(x: Float[Tensor, "n i"], inputs: Scaling) -> np.ndarray:
    """In the data's own units."""
    centres, spreads = (np.asarray(part, dtype=np.float64) for part in inputs)
    return x.double().cpu().numpy() * spreads + centres


def _pareto(laws: Sequence[Law]) -> list[Law]:
    """By complexity, each better than all that are simpler."""
    kept: list[Law] = []
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
