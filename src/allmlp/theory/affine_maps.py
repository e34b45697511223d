"""The affine map that a network is on each of its activation regions.

Axes: c cells, m + 1 coefficients (the offset last), k outputs.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from allmlp.theory.relu_net import Array, ReluNet
from allmlp.theory.rounding import Rounding, U

__all__ = ["affine_maps", "layer_bytes"]

_CHUNK = 1 << 20  # doubles in one block of maps


def layer_bytes(net: ReluNet) -> list[slice]:
    """Where the bits of each hidden layer stand in a packed pattern."""
    ends = np.cumsum([0, *(-(-len(bias) // 8) for bias in net.biases[:-1])]).tolist()
    return [slice(a, b) for a, b in pairwise(ends)]


def affine_maps(
    net: ReluNet, frame: Array, patterns: NDArray[np.uint8], bound: Array
) -> tuple[Array, Array]:
    """Outputs as affine functions of the slice coordinates, one map for each pattern.

    Neighbours in the list that agree on the first layers share the work on those.

    Args:
        net: the network.
        frame: (d, m + 1) directions and origin.
        patterns: (c, bytes).
        bound: (m + 1,) largest absolute value of every slice coordinate, then 1.

    Returns:
        Coefficients (c, k, m + 1), and a bound (c,) on the error of any output on the box.
    """
    rounding = Rounding(net, bound)
    maps = np.empty((len(patterns), net.out_features, frame.shape[1]))
    slack = np.empty(len(patterns))
    widest = max(net.in_features, *map(len, net.biases))
    step = max(1, _CHUNK // (frame.shape[1] * widest))
    for i in range(0, len(patterns), step):
        part = patterns[i : i + step]
        features = np.ascontiguousarray(frame.T)[None]
        drift = U * rounding.size(features)
        group = np.zeros(len(part), dtype=np.int64)  # which of the maps so far each cell has
        for layer, where in enumerate(layer_bytes(net)):
            size = rounding.size(features)
            z = _affine(net, layer, features)
            fresh = np.ones(len(part), dtype=bool)
            bits = part[:, where]
            fresh[1:] = (group[1:] != group[:-1]) | (bits[1:] != bits[:-1]).any(axis=1)
            first = np.flatnonzero(fresh)
            active = np.unpackbits(bits[first], axis=1, count=z.shape[2])[:, None]
            slope = float(net.slopes[layer])
            features = z[group[first]] * np.where(active, 1.0, slope)
            drift = rounding.drift(layer, drift, size)[group[first]]
            group = np.cumsum(fresh) - 1
        last = len(net.weights) - 1
        size = rounding.size(features)
        out = _affine(net, last, features).transpose(0, 2, 1)
        maps[i : i + step] = out[group]
        slack[i : i + step] = rounding.slack(last, drift, size).max(axis=1)[group]
    return maps, slack


def _affine(net: ReluNet, layer: int, features: Array) -> Array:
    p, m, n_in = features.shape
    z: Array = (features.reshape(-1, n_in) @ net.weights[layer].T).reshape(p, m, -1)
    z[:, -1] += net.biases[layer]
    return z
