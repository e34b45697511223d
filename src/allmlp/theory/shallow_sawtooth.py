"""How well shallow networks really do on the sawtooth: the best piecewise-linear functions."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from allmlp.errors import AllmlpError
from allmlp.theory.pieces import PiecewiseLinear, simplified
from allmlp.theory.sawtooth import sawtooth

__all__ = ["best_piecewise_linear"]

_VALUES = np.arange(-4, 13) / 8  # -1/2 … 3/2 in eighths


def best_piecewise_linear(n: int, max_pieces: int) -> list[PiecewiseLinear]:
    """For p = 1 … max_pieces the function of p pieces nearest to `T^n` in L1[0, 1], on a lattice.

    Dynamic programming over knots at multiples of 2^-(n+1) and values at multiples of 1/8 in
    [-1/2, 3/2]. The error of each is exact by `l1_distance` and lies above `shallow_l1_bound`;
    functions off the lattice may come a little nearer.

    Args:
        n: iterates, 1 to 5 (the lattice grows with 4^n).
        max_pieces: p up to which to go, at most 2^n.

    Raises:
        AllmlpError: n or max_pieces outside their range.

    Example:
        >>> from allmlp.theory import graph, l1_distance
        >>> target = graph(sawtooth(2))
        >>> [round(float(l1_distance(target, g)), 3) for g in best_piecewise_linear(2, 4)]
        [0.25, 0.215, 0.155, 0.0]
    """
    if not 1 <= n <= 5 or not 1 <= max_pieces <= 2**n:
        raise AllmlpError(
            f"the search takes n from 1 to 5 and up to 2^n pieces, but got n={n} and "
            f"{max_pieces} pieces; use smaller ones"
        )
    positions = 2 ** (n + 1)
    target = np.array([float(v) for v in sawtooth(n).exact(_grid(positions))])
    cost = _segment_costs(target, positions)
    states = len(_VALUES)
    # reach[j, v]: least error on [0, x_j] of a function with p pieces that ends in value v
    reach = np.full((positions + 1, states), np.inf)
    reach[0] = 0.0
    history, best = [], []
    for _ in range(max_pieces):
        through = reach[:, :, None, None] + cost  # from (i, u) to (j, v)
        flat = through.reshape(-1, positions + 1, states)
        choice = flat.argmin(axis=0)
        reach = np.take_along_axis(flat, choice[None], axis=0)[0]
        history.append(choice)
        best.append(_traced(history, int(reach[-1].argmin()), positions))
        reach[0] = np.inf  # the first piece has been placed
    return best


def _grid(positions: int) -> list[Fraction]:
    return [Fraction(i, positions) for i in range(positions + 1)]


def _segment_costs(target: NDArray[np.float64], positions: int) -> NDArray[np.float64]:
    """`∫ |T^n - line|` for lines from value u at x_i to value v at x_j; infinite unless i < j."""
    states = len(_VALUES)
    cost = np.full((positions + 1, states, positions + 1, states), np.inf)
    for i in range(positions):
        for j in range(i + 1, positions + 1):
            share = np.linspace(0, 1, j - i + 1)
            lines = _VALUES[:, None, None] * (1 - share) + _VALUES[None, :, None] * share
            p, q = (lines - target[i : j + 1])[..., :-1], (lines - target[i : j + 1])[..., 1:]
            total = np.abs(p) + np.abs(q)
            # no crossing: a trapezium; a crossing: two triangles
            area = np.where(p * q >= 0, total, (p * p + q * q) / np.where(total, total, 1.0))
            cost[i, :, j, :] = area.sum(axis=-1) / (2 * positions)
    return cost


def _traced(history: list[NDArray[np.intp]], value: int, positions: int) -> PiecewiseLinear:
    states = len(_VALUES)
    position, knots, values = positions, [positions], [value]
    for choice in reversed(history):
        position, value = divmod(int(choice[position, value]), states)
        knots.append(position)
        values.append(value)
    return simplified(
        [Fraction(i, positions) for i in reversed(knots)],
        [Fraction(float(_VALUES[v])) for v in reversed(values)],
    )
