"""Pre-activations on an affine slice as integer linear forms: the last word on every sign.

On the set of inputs where the units of layers 1..l have a given activation pattern, unit k of layer
l + 1 is an affine function of the m slice coordinates. Up to one positive factor its coefficients
are integers, since weights are rationals. Python's integers do not round.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allmlp.theory.relu_net import Integers, ReluNet, integer_array

__all__ = ["ExactLines", "sign_at_meeting"]

# patterns of the layers before, packed and concatenated
Prefix = bytes
Form = tuple[int, ...]

_KEPT = 512  # prefixes whose features are remembered


class ExactLines:
    """Integer forms of a network on a slice.

    Args:
        net: the network.
        frame: (d, m + 1): the m directions and then the origin, floats or Fractions.
    """

    def __init__(self, net: ReluNet, frame: Integers | NDArray[np.float64]):
        self.net = net
        self._frame = integer_array(np.array(frame, dtype=object))
        self._bytes = [-(-len(bias) // 8) for bias in net.biases[:-1]]
        self._features: OrderedDict[Prefix, tuple[Integers, int]] = OrderedDict()
        self._forms: dict[tuple[Prefix, int, int], Form] = {}

    def prefix(self, bits: bytes, layers: int) -> Prefix:
        """The part of a packed pattern that belongs to the first layers."""
        return bits[: sum(self._bytes[:layers])]

    def features(self, prefix: Prefix) -> tuple[Integers, int]:
        """Coefficients (n_l, m + 1) of the features under a pattern, over a denominator."""
        if not prefix:
            return self._frame
        if prefix in self._features:
            self._features.move_to_end(prefix)
            return self._features[prefix]
        layer, start = 0, 0
        while start + self._bytes[layer] < len(prefix):
            start += self._bytes[layer]
            layer += 1
        forms, denominator = self.forms(prefix[:start], layer)
        packed = np.frombuffer(prefix[start:], np.uint8)
        active = np.unpackbits(packed, count=len(forms)).tolist()
        slope = self.net.slopes[layer]
        factors = np.array([(slope.numerator, slope.denominator)[on] for on in active], object)
        forms, denominator = forms * factors[:, None], denominator * slope.denominator
        self._features[prefix] = (forms, denominator)
        if len(self._features) > _KEPT:
            self._features.popitem(last=False)
        return self._features[prefix]

    def forms(
        self, prefix: Prefix, layer: int, rows: Sequence[int] | slice = slice(None)
    ) -> tuple[Integers, int]:
        """Coefficients (rows, m + 1) of pre-activations of a layer, over a positive denominator."""
        features, below = self.features(prefix)
        weight, bias, denominator = self.net.integer_layers[layer]
        used = np.array([any(row) for row in features.tolist()], dtype=bool)
        z = weight[rows][:, used] @ features[used] if used.any() else _zeros(weight[rows], features)
        z[:, -1] += bias[rows] * below
        return z, denominator * below

    def form(self, prefix: Prefix, layer: int, unit: int) -> Form:
        """The coefficients of one pre-activation, up to a positive factor."""
        key = (prefix, layer, unit)
        if key not in self._forms:
            if len(self._forms) > _KEPT * 64:
                self._forms.clear()
            self._forms[key] = tuple(self.forms(prefix, layer, [unit])[0][0].tolist())
        return self._forms[key]


def _zeros(rows: Integers, features: Integers) -> Integers:
    zeros = np.empty((len(rows), features.shape[1]), dtype=object)
    zeros.fill(0)
    return zeros


def sign_at_meeting(form: Form, first: Form, second: Form) -> int:
    """The sign of an affine form at the point where two lines of the plane meet."""
    (a, b, c), (p, q, r) = first, second
    x, y, w = b * r - c * q, c * p - a * r, a * q - b * p
    value = form[0] * x + form[1] * y + form[2] * w
    return _sign(value) * _sign(w)


def _sign(value: Any) -> int:
    return (value > 0) - (value < 0)
