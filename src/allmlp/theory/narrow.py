"""Width-2 recurrences: the one shape that both memorisers have.

State after hidden layer k: `u_k = relu(p - t_k)` with ascending thresholds t, by the identity
`u_{k+1} = relu(u_k - (t_{k+1} - t_k))`, and a value `v_k >= 0` that carries the label:

    v_{k+1} = relu(a_k v_k + c_k u_k + b_k),   label = s v + e at the end.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from torch import nn

from allmlp.errors import AllmlpError
from allmlp.theory.certificate import Certificate, Claim, Theorem
from allmlp.theory.exact_net import ExactNet, Layer, Rational

__all__ = ["NarrowRecurrence", "StackedNarrowNet"]

# points evaluated together: u, v and one buffer stay in the second-level cache
_BLOCK = 8192


@dataclass(frozen=True)
class NarrowRecurrence:
    """The numbers of a width-2 network behind its projection, as float64 or Fraction arrays.

    Args:
        thresholds: t, ascending, one for each of the K breakpoints.
        signs: a, each +1 or -1.
        gains: c.
        shifts: b.
        start: v before the first breakpoint.
        clipped: whether the last update is followed by a ReLU of its own; if not, it is folded
            into the output.
        sign: s, +1 or -1.
        base: e.
    """

    thresholds: NDArray[Any]
    signs: NDArray[Any]
    gains: NDArray[Any]
    shifts: NDArray[Any]
    start: Any
    clipped: bool
    sign: int
    base: Any

    def __len__(self) -> int:
        return len(self.thresholds)

    def layers(self, direction: Sequence[Rational], offset: Rational | None = None) -> list[Layer]:
        """The affine maps of the whole network.

        Args:
            direction: of the projection to a line.
            offset: if given, the projection is a layer of its own (width 1) that adds it; if
                None, the projection is part of the first layer.
        """
        steps = len(self)
        if steps == 0:
            return [([[0] * len(direction)], [_rational(self.base)])]
        t, a, c, b = (
            [_rational(value) for value in values.tolist()]
            for values in (self.thresholds, self.signs, self.gains, self.shifts)
        )
        s, e = self.sign, _rational(self.base)
        layers: list[Layer] = []
        row = list(direction)
        if offset is not None:
            layers.append(([row], [offset]))
            row = [1]
        layers.append(([row, [0] * len(row)], [-t[0], _rational(self.start)]))
        layers += [([[1, 0], [c[k], a[k]]], [t[k] - t[k + 1], b[k]]) for k in range(steps - 1)]
        if self.clipped:
            layers += [([[c[-1], a[-1]]], [b[-1]]), ([[s]], [e])]
        else:
            layers.append(([[s * c[-1], s * a[-1]]], [s * b[-1] + e]))
        return layers


def _rational(value: Any) -> Rational:
    exact = Fraction(value)
    return exact.numerator if exact.denominator == 1 else exact


class StackedNarrowNet:
    """A width-2 ReLU network of any depth in four float64 arrays.

    A hundred thousand layers as modules would take minutes to call; here they are one array each
    for thresholds, signs, gains and shifts, and a block of points goes through all of them in
    cache. Points are visited in the order of their projection: once every point of a block lies
    left of the thresholds that follow (u = 0), the remaining layers only relabel v by maps that
    the ReLU provably leaves alone, and the label is read off.

    Args:
        direction: of the projection, shape (d,).
        offset: added to the projection.
        recurrence: the rest of the network, in float64.
        theorem: the statement this network is an instance of.
        claims: what was promised and found when it was built.
        notes: sentences for the certificate.

    Example:
        >>> from allmlp.theory import memorize
        >>> net = memorize([[0.0], [1.0], [2.0], [3.0]], [1, 0, 2, 1])
        >>> net([[0.0], [1.0], [2.0], [3.0]])
        array([1., 0., 2., 1.])
        >>> net.width, net.depth
        (2, 6)
    """

    def __init__(
        self,
        direction: Float[np.ndarray, " d"],
        offset: float,
        recurrence: NarrowRecurrence,
        *,
        theorem: Theorem,
        claims: Sequence[Claim] = (),
        notes: Sequence[str] = (),
    ):
        self.direction = direction
        self.offset = offset
        self.recurrence = recurrence
        self.theorem = theorem
        self.claims = tuple(claims)
        self.notes = tuple(notes)

    @property
    def in_features(self) -> int:
        """Number of inputs."""
        return len(self.direction)

    @property
    def width(self) -> int:
        """Units of the largest hidden layer; 0 when all labels are equal."""
        return 2 if len(self.recurrence) else 0

    @property
    def depth(self) -> int:
        """Number of affine maps, the projection and the output included."""
        steps = len(self.recurrence)
        return steps + 2 + self.recurrence.clipped if steps else 1

    @property
    def parameters(self) -> int:
        """Weights and biases, zeros included."""
        steps, d = len(self.recurrence), self.in_features
        if steps == 0:
            return d + 1
        # projection, first pair, 2x2 updates, read-out
        return (d + 1) + 4 + 6 * (steps - 1) + (3 + 2 * self.recurrence.clipped)

    def __call__(self, X: ArrayLike) -> Float[np.ndarray, " n"]:
        """Runs all layers in float64. X has shape (n, d), or (n,) if d is 1.

        Raises:
            AllmlpError: another shape.
        """
        points = X.detach().cpu().numpy() if isinstance(X, torch.Tensor) else np.asarray(X)
        points = np.asarray(points, dtype=np.float64)
        if points.ndim == 1 and self.in_features == 1:
            points = points[:, None]
        if points.ndim != 2 or points.shape[1] != self.in_features:
            raise AllmlpError(
                f"this network takes points of shape (n, {self.in_features}), but got "
                f"{tuple(points.shape)}; reshape them, one row for each point"
            )
        if len(self.recurrence) == 0:
            return np.full(len(points), float(self.recurrence.base))
        # the hidden layer of the projection is a ReLU too
        position = np.maximum(points @ self.direction + self.offset, 0.0)
        order = np.argsort(position)
        labels = np.empty(len(points))
        for start in range(0, len(points), _BLOCK):
            rows = order[start : start + _BLOCK]
            labels[rows] = self._run(position[rows])
        return labels

    def _run(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """Labels of a block of ascending positions, layer by layer."""
        net = self.recurrence
        signs, bases, lowest, highest = self._readouts
        settled = int(np.searchsorted(net.thresholds, position[-1]))  # from here on u is 0
        u = np.maximum(position - net.thresholds[0], 0.0)
        v: NDArray[np.float64] = np.full_like(u, float(net.start))
        buffer = np.empty_like(u)
        for k, (negative, gain, shift, step) in enumerate(self._program):
            if k >= settled:
                label: NDArray[np.float64] = signs[k] * v + bases[k]
                if label.min() >= lowest[k] and label.max() <= highest[k]:
                    return label  # no later ReLU cuts anything off
            np.multiply(u, gain, out=buffer)
            if negative:
                np.subtract(buffer, v, out=v)
            else:
                np.add(buffer, v, out=v)
            if shift != 0.0:
                v += shift
            if step is None and not net.clipped:
                break
            np.maximum(v, 0.0, out=v)
            if step is not None:
                u -= step
                np.maximum(u, 0.0, out=u)
        return net.sign * v + float(net.base)

    @cached_property
    def _program(self) -> list[tuple[bool, float, float, float | None]]:
        """For every update: whether v is negated, c, b, and the step to the next threshold."""
        net = self.recurrence
        steps = [*np.diff(net.thresholds).tolist(), None]
        return list(
            zip(
                (net.signs < 0).tolist(),
                net.gains.tolist(),
                net.shifts.tolist(),
                steps,
                strict=True,
            )
        )

    @cached_property
    def _readouts(self) -> tuple[NDArray[np.float64], ...]:
        """What `label = s v + e` means before every update, and which labels pass the rest.

        Going backwards, `s_k = a_k s_{k+1}` and `e_k = e_{k+1} + s_{k+1} b_k`. A label passes an
        update that ends in sign +1 if it is at least that e, in sign -1 if it is at most that e.
        """
        net = self.recurrence
        signs = np.append(net.signs, float(net.sign))[::-1].cumprod()[::-1]
        later = signs[1:]
        bases = np.append(net.shifts * later, float(net.base))[::-1].cumsum()[::-1]
        after = bases[1:].copy()
        relu = np.ones(len(net), dtype=bool)
        relu[-1] = net.clipped
        low = np.where(relu & (later > 0), after, -math.inf)[::-1]
        high = np.where(relu & (later < 0), after, math.inf)[::-1]
        lowest = np.maximum.accumulate(low)[::-1]
        highest = np.minimum.accumulate(high)[::-1]
        return signs, bases, lowest, highest

    def matrices(self) -> tuple[Float[np.ndarray, "k 2 2"], Float[np.ndarray, "k 2"]]:
        """Weights and biases of the K - 1 updates from two units to two, stacked."""
        net = self.recurrence
        steps = max(len(net) - 1, 0)
        weights = np.zeros((steps, 2, 2))
        weights[:, 0, 0] = 1.0
        weights[:, 1, 0], weights[:, 1, 1] = net.gains[:steps], net.signs[:steps]
        biases = np.stack([-np.diff(net.thresholds), net.shifts[:steps]], axis=1)
        return weights, biases

    def to_exact(self) -> ExactNet:
        """The same network with its float64 weights read as rationals."""
        row = [Fraction(value) for value in self.direction.tolist()]
        return ExactNet(self.recurrence.layers(row, Fraction(self.offset)), theorem=self.theorem)

    def to_torch(self, dtype: torch.dtype = torch.float64) -> nn.Sequential:
        """The same network as torch modules, two for each layer; for some thousand layers."""
        return self.to_exact().to_torch(dtype)

    def certificate(self) -> Certificate:
        """What was promised beside what was built; nothing is evaluated again."""
        return Certificate(self.theorem, self.claims, self.notes)

    def verify(self, X: ArrayLike, y: ArrayLike) -> Certificate:
        """The certificate, and how many labels the layers return exactly (`==`).

        Args:
            X: n points, shape (n, d).
            y: n labels, shape (n,).

        Raises:
            AllmlpError: another number of labels than points.

        Example:
            >>> from allmlp.theory import memorize
            >>> net = memorize([[0.0], [1.0]], [3, 5], method="staircase")
            >>> net.verify([[0.0], [1.0]], [3, 5]).holds, net.verify([[0.0], [1.0]], [3, 4]).holds
            (True, False)
        """
        labels, values = np.asarray(y), self(X)
        if labels.shape != values.shape:
            raise AllmlpError(
                f"verify takes one label for each point, shape {values.shape}, but got "
                f"{labels.shape}; flatten or cut the labels"
            )
        right = int((values == labels).sum())
        fitted = Claim("points fitted", attained=right, promised=len(labels), relation="==")
        return Certificate(self.theorem, (*self.claims, fitted), self.notes)

    def __repr__(self) -> str:
        return (
            f"StackedNarrowNet({self.in_features} inputs, width={self.width}, "
            f"depth={self.depth}, parameters={self.parameters})"
        )
