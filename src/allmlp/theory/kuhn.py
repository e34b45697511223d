"""Universal approximation on a cube: ReLU networks that interpolate on Kuhn's triangulation.

The nodal hat of the Kuhn (Freudenthal) triangulation of Z^d is
`φ(x) = relu(1 - (max(0, x_1, …, x_d) - min(0, x_1, …, x_d)))`. A network takes the running
maximum and minimum one coordinate after the other, `M + relu(x_j - M)` and
`m - relu(m - x_j)`; sums and the next differences share a layer.
"""

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allmlp.errors import AllmlpError, check_integers
from allmlp.theory.certificate import Claim, Theorem
from allmlp.theory.exact_net import ExactNet, Layer, Rational
from allmlp.theory.sup_error import Function, sup_on_cube

__all__ = ["kuhn_hat", "kuhn_interpolate", "kuhn_net", "kuhn_size"]

_THEOREM = Theorem(
    "Universal approximation on a cube: one ReLU hat for every grid node",
    "allmlp, docs/theory/approximation.md; the hat is the spike function of Yarotsky 2018, "
    "arXiv:1802.03620",
)
_MOST_NODES = 1024  # beyond, the dense rows of the network no longer fit a laptop


def kuhn_hat(dim: int, *, radius: Rational = 1) -> ExactNet:
    """The network of one hat φ, right on the cube [-radius, radius]^dim.

    Width d + 2 (2 for d = 1), depth d + 2.

    Args:
        dim: d, at least 1.
        radius: positive; inputs are carried through the ReLUs as `x + radius`.

    Example:
        >>> kuhn_hat(2).exact([[0, 0], [Fraction(1, 2), Fraction(1, 4)], [1, 0]]).tolist()
        [Fraction(1, 1), Fraction(1, 2), Fraction(0, 1)]
    """
    check_integers("kuhn_hat", minimum=1, dim=dim)
    if radius <= 0:
        raise AllmlpError(f"the radius must be positive, but is {radius}; use 1")
    layers = _hats([(0,) * dim], [1], scale=1, shift=radius)
    return ExactNet(layers, theorem=_THEOREM, checks=[lambda net: _size_claims(net, dim, 1)])


def kuhn_size(dim: int, cells: int) -> tuple[int, int]:
    """Width and depth of `kuhn_net`: the curse of dimension in one number.

    Example:
        >>> [kuhn_size(d, 10)[0] for d in (1, 2, 3, 6, 10)]
        [22, 484, 5325, 7086248, 103749698412]
    """
    check_integers("kuhn_size", minimum=1, dim=dim, cells=cells)
    nodes = (cells + 1) ** dim
    return (2 * nodes if dim == 1 else 4 * nodes + dim - 2), dim + 2


def kuhn_net(f: Function, dim: int, cells: int, *, lipschitz: float) -> ExactNet:
    """The ReLU network that interpolates f at the grid nodes of [0, 1]^dim.

    `g(x) = Σ_m f(m h) φ(x/h - m)` with h = 1 / cells; sup error at most `L h √d`, since g is a
    convex combination of values of f no further than h√d away.

    Args:
        f: vectorised over rows, (n, dim) -> (n,).
        dim: number of inputs d.
        cells: grid cells along every axis; (cells + 1)^d hats are needed.
        lipschitz: L, a constant of f for the Euclidean distance.

    Raises:
        AllmlpError: more than 1,024 nodes (`kuhn_size` tells beforehand), values of f that are
            not one finite number for each node, or a constant that is not positive.
    """
    width, _ = kuhn_size(dim, cells)
    if (cells + 1) ** dim > _MOST_NODES:
        raise AllmlpError(
            f"a network of this kind is built for at most {_MOST_NODES} nodes, but {cells} cells "
            f"in {dim} dimensions need {(cells + 1) ** dim:,} (width {width:,}); use fewer cells"
        )
    nodes = list(itertools.product(range(cells + 1), repeat=dim))
    samples = np.asarray(f(np.array(nodes, dtype=np.float64) / cells), dtype=np.float64)
    if samples.shape != (len(nodes),) or not np.isfinite(samples).all() or not lipschitz > 0:
        raise AllmlpError(
            f"f must return one finite value for each of {len(nodes)} rows and lipschitz must be "
            f"positive, but f returned shape {samples.shape} and lipschitz is {lipschitz}; "
            "vectorise f over rows and bound its slope"
        )
    values = [Fraction(value) for value in samples.tolist()]

    def checks(net: ExactNet) -> list[Claim]:
        met = sum(
            g == y
            for g, y in zip(
                net.exact([[Fraction(i, cells) for i in node] for node in nodes]),
                values,
                strict=True,
            )
        )
        # interpolation equals the network (tests compare them with ==) and is much faster
        table = samples.reshape((cells + 1,) * dim)
        # on a simplex every partial derivative is a difference quotient along an edge of the grid
        slope = lipschitz * math.sqrt(dim)
        per_axis = cells * max(2, min(16, int((2e5 ** (1 / dim)) / cells)))
        bracket = sup_on_cube(
            lambda x: f(x) - kuhn_interpolate(table, x * cells).astype(np.float64),
            lipschitz + slope,
            dim,
            per_axis,
        )
        promised = lipschitz * math.sqrt(dim) / cells
        return [
            *_size_claims(net, dim, len(nodes)),
            Claim("nodes met", attained=met, promised=len(nodes), relation="=="),
            Claim("error", bracket.found, promised=promised, evidence="float64"),
            # what the gaps between grid points add may exceed the promise where d is large
            Claim("error, gaps covered", bracket.certified, evidence="float64"),
        ]

    layers = _hats(nodes, values, scale=cells, shift=0)
    return ExactNet(layers, theorem=_THEOREM, checks=[checks])


def kuhn_interpolate(table: NDArray[Any], points: NDArray[Any]) -> NDArray[Any]:
    """Barycentric interpolation on Kuhn's triangulation, O(d log d) for each point.

    The simplex of a point is found by sorting the fractional parts of its coordinates; it goes
    from the lower corner of the cell to the upper one, along the axes in that order.

    Args:
        table: values at the integer nodes 0 … cells, shape (cells + 1,) * d.
        points: shape (n, d) within [0, cells]; float64, or an object array of Fractions for an
            exact result.

    Example:
        >>> corner = np.array([[0.0, 0.0], [0.0, 1.0]])  # 1 at (1, 1) only: the minimum
        >>> kuhn_interpolate(corner, np.array([[0.25, 0.75], [1.0, 0.5]]))
        array([0.25, 0.5 ])
    """
    n, d = points.shape
    rows = np.arange(n)
    corner = np.minimum((points // 1).astype(np.int64), np.array(table.shape) - 2)
    fraction = points - corner
    order = np.argsort(-fraction, axis=1, kind="stable")
    weights = np.take_along_axis(fraction, order, axis=1)
    value: NDArray[Any] = (1 - weights[:, 0]) * table[tuple(corner.T)]
    for k in range(d):
        corner[rows, order[:, k]] += 1
        weight = weights[:, k] - weights[:, k + 1] if k + 1 < d else weights[:, k]
        value = value + weight * table[tuple(corner.T)]
    return value


def _hats(
    nodes: Sequence[tuple[int, ...]], values: Sequence[Rational], *, scale: int, shift: Rational
) -> list[Layer]:
    """`Σ values_m φ(scale · x - m)`, with inputs carried as `scale · x + shift >= 0`."""
    dim, count = len(nodes[0]), len(nodes)
    carried = dim - 1  # coordinates 1, …, dim - 1 wait for their turn

    # first coordinate: per node p = relu(z - m), r = relu(m - z); running max and min are 0
    weight = [[scale if j == k else 0 for j in range(dim)] for k in range(1, dim)]
    bias: list[Rational] = [shift] * carried
    for node in nodes:
        weight += [[scale] + [0] * (dim - 1), [-scale] + [0] * (dim - 1)]
        bias += [-node[0], node[0]]
    layers: list[Layer] = [(weight, bias)]
    # per node [max, p] and [-min, r]; after the first coordinate only [p] and [r]
    block = 2
    for k in range(1, dim):
        inputs = carried + block * count
        rows, bias = [], []
        for j in range(1, carried):  # the coordinate in hand is not needed any more
            rows.append([int(i == j) for i in range(inputs)])
            bias.append(0)
        for index, node in enumerate(nodes):
            at = carried + block * index
            half = block // 2
            highest = [int(at <= i < at + half) for i in range(inputs)]
            lowest = [int(at + half <= i < at + block) for i in range(inputs)]
            above = [int(i == 0) - v for i, v in enumerate(highest)]
            below = [-int(i == 0) - v for i, v in enumerate(lowest)]
            rows += [highest, above, lowest, below]
            bias += [0, -shift - node[k], 0, shift + node[k]]
        layers.append((rows, bias))
        carried, block = carried - 1, 4
    peaks = [
        [-int(block * index <= i < block * (index + 1)) for i in range(block * count)]
        for index in range(count)
    ]
    layers.append((peaks, [1] * count))
    layers.append(([list(values)], [0]))
    return layers


def _size_claims(net: ExactNet, dim: int, nodes: int) -> list[Claim]:
    width = 2 * nodes if dim == 1 else 4 * nodes + dim - 2
    return [
        Claim("width", attained=net.width, promised=width, relation="=="),
        Claim("depth", attained=net.depth, promised=dim + 2, relation="=="),
    ]
