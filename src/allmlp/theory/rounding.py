"""How far float64 may have carried the affine maps of a network from the true ones.

Over a box of slice coordinates, the error of a feature is at most the error of each coefficient
times the largest value of its coordinate. Both the features' sizes and their errors are measured in
the Euclidean norm over the units, so that one product with the spectral norm carries them through a
layer: `drift' <= max(1, |slope|) (‖W‖_2 drift + γ (‖W‖_F size + ‖b‖))`, with
`γ = (n_in + 8) u / (1 - …)` for any order of summation (Higham 2002, Accuracy and Stability of
Numerical Algorithms, section 3.1). Underflow is left out: products below 1e-300 would escape.

Axes: p maps, m + 1 coefficients (the offset last), n units.
"""

import numpy as np

from allmlp.theory.relu_net import Array, ReluNet

__all__ = ["Rounding", "U"]

U = 2.0**-53  # unit roundoff
_ROOM = 1 + 1e-9  # for the rounding of the norms themselves


class Rounding:
    """Error bounds for one network on one box.

    Args:
        net: the network.
        bound: (m + 1,) largest absolute value of every slice coordinate, then 1.
    """

    def __init__(self, net: ReluNet, bound: Array):
        self._bound = bound
        self._gamma = [(w.shape[1] + 8) * U * 1.01 for w in net.weights]
        self._row_norms = [np.linalg.norm(w, axis=1) * _ROOM for w in net.weights]
        self._spectral = [float(np.linalg.norm(w, 2)) * _ROOM for w in net.weights]
        self._frobenius = [float(np.linalg.norm(w)) * _ROOM for w in net.weights]
        self._biases = [np.abs(b) for b in net.biases]
        self._growth = [max(1.0, abs(float(slope))) for slope in net.slopes]

    def size(self, features: Array) -> Array:
        """(p,) how large features (p, m + 1, n) can be on the box."""
        norms: Array = np.sqrt(np.einsum("pcn,pcn->pc", features, features)) @ self._bound
        return norms * _ROOM

    def slack(self, layer: int, drift: Array, size: Array) -> Array:
        """(p, n) error of the pre-activations of a layer whose input has drift and size (p,)."""
        gamma = self._gamma[layer]
        slack = np.outer(drift + gamma * size, self._row_norms[layer])
        slack += gamma * self._biases[layer]
        return slack

    def drift(self, layer: int, drift: Array, size: Array) -> Array:
        """(p,) drift of the features behind a hidden layer."""
        fresh = self._frobenius[layer] * size + float(np.linalg.norm(self._biases[layer]))
        grown: Array = self._spectral[layer] * drift + self._gamma[layer] * fresh
        return grown * (self._growth[layer] * _ROOM)
