"""Plain ReLU networks read from torch modules: affine maps in execution order, as float64 arrays.

Axes: a layer l maps n_{l-1} features to n_l; d inputs, k outputs.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.theory.exact_net import ExactNet, Rational

__all__ = ["IntegerLayer", "ReluNet", "integer_array", "random_relu_net", "read_relu_net"]

Array = NDArray[np.float64]
Integers = NDArray[np.object_]

_SAME = (nn.Identity, nn.Flatten, nn.Dropout)  # eval mode: the values pass
_ACCEPTED = (nn.Linear, nn.ReLU, nn.LeakyReLU, nn.BatchNorm1d, *_SAME)


class IntegerLayer(NamedTuple):
    """`weight / denominator` and `bias / denominator` are the layer, without rounding."""

    weight: Integers  # (n_l, n_{l-1}) Python ints
    bias: Integers  # (n_l,)
    denominator: int


@dataclass(frozen=True, eq=False)
class ReluNet:
    """`h_l = σ_l(W_l h_{l-1} + b_l)` for the hidden layers, and an affine output layer.

    `σ(z)` is z for z > 0 and `slope · z` below; slope 0 is ReLU, slope 1 no activation at all.

    Args:
        weights: (n_l, n_{l-1}) float64 for every affine map, the output last.
        biases: (n_l,) float64.
        slopes: of the hidden layers to the left of 0, one fewer than weights.
        rational: the layers where they are no floats (`ExactNet`); None: the floats are exact.
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    slopes: tuple[Fraction, ...]
    rational: tuple[tuple[Sequence[Sequence[Rational]], Sequence[Rational]], ...] | None = None

    @property
    def in_features(self) -> int:
        """Number of inputs, d."""
        return int(self.weights[0].shape[1])

    @property
    def out_features(self) -> int:
        """Number of outputs, k."""
        return len(self.biases[-1])

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of every hidden layer, without those that have no kink."""
        return tuple(
            len(b) for b, slope in zip(self.biases[:-1], self.slopes, strict=True) if slope != 1
        )

    @property
    def leaky(self) -> bool:
        """Whether some hidden layer bends and yet is 0 on neither side."""
        return any(slope not in (0, 1) for slope in self.slopes)

    def __call__(self, X: ArrayLike) -> Array:
        """Outputs (n, k) of points (n, d), in float64."""
        h = np.asarray(X, dtype=np.float64)
        for weight, bias, slope in zip(self.weights[:-1], self.biases, self.slopes, strict=False):
            z = h @ weight.T + bias
            h = np.where(z > 0, z, float(slope) * z)
        return h @ self.weights[-1].T + self.biases[-1]

    def patterns(self, X: ArrayLike) -> NDArray[np.uint8]:
        """Which units are active (z > 0) at points (n, d): bits, packed layer by layer."""
        h = np.asarray(X, dtype=np.float64)
        packed = []
        for weight, bias, slope in zip(self.weights[:-1], self.biases, self.slopes, strict=False):
            z = h @ weight.T + bias
            packed.append(np.packbits((z > 0) & (slope != 1), axis=1))
            h = np.where(z > 0, z, float(slope) * z)
        return np.concatenate(packed, axis=1) if packed else np.zeros((len(h), 0), np.uint8)

    @cached_property
    def integer_layers(self) -> tuple[IntegerLayer, ...]:
        """Every layer over one common denominator."""
        layers = []
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            rows = weight if self.rational is None else self.rational[i][0]
            shift = bias if self.rational is None else self.rational[i][1]
            stacked = np.concatenate(
                [np.array(rows, dtype=object).ravel(), np.array(shift, dtype=object)]
            )
            integers, denominator = integer_array(stacked)
            layers.append(
                IntegerLayer(
                    integers[: -len(bias)].reshape(weight.shape),
                    integers[-len(bias) :],
                    denominator,
                )
            )
        return tuple(layers)


def integer_array(values: Integers) -> tuple[Integers, int]:
    """Numbers as ints over their least common denominator."""
    ratios = [value.as_integer_ratio() for value in values.ravel().tolist()]
    denominator = int(np.lcm.reduce(np.array([q for _, q in ratios], dtype=object), initial=1))
    integers = np.empty(values.shape, dtype=object)
    integers.ravel()[:] = [p * (denominator // q) for p, q in ratios]
    return integers, denominator


def random_relu_net(
    widths: Sequence[int], *, bias_std: float = 0.1, weight_var: float = 2.0, seed: int = 0
) -> ReluNet:
    """A Gaussian network: weights N(0, weight_var / fan_in), biases N(0, bias_std²), one output.

    Args:
        widths: inputs and hidden layers, for example (2, 64, 64).
        bias_std: of the hidden biases; the output has none.
        weight_var: σ_w²; 2 is He's initialisation.
        seed: of its own generator.
    """
    rng = np.random.default_rng(seed)
    weights, biases = [], []
    for fan_in, fan_out in pairwise(widths):
        weights.append(rng.standard_normal((fan_out, fan_in)) * np.sqrt(weight_var / fan_in))
        biases.append(rng.standard_normal(fan_out) * bias_std)
    weights.append(rng.standard_normal((1, widths[-1])) / np.sqrt(widths[-1]))
    biases.append(np.zeros(1))
    return ReluNet(tuple(weights), tuple(biases), (Fraction(0),) * (len(widths) - 1))


def read_relu_net(model: nn.Module | ExactNet | ReluNet, example: Tensor | None = None) -> ReluNet:
    """The affine maps and activations that a model applies one after the other, in eval mode.

    Any module will do whose forward pass is a chain of Linear, ReLU, LeakyReLU, BatchNorm1d,
    Flatten (of images as well), Identity and Dropout, whatever its class is called. The chain is
    found by running a copy of the model in float64; it is checked that nothing else touches the
    values in between.
    BatchNorm is folded into the neighbouring affine map, in float64.

    Args:
        model: torch module, `ExactNet` (ReLU or leaky) or a network read before.
        example: inputs (b, …) to run it on; needed where the model takes other than (b, d).

    Raises:
        AllmlpError: another module or operation in the chain, weights that are not finite, or a
            model that cannot run on the example.

    Example:
        >>> net = read_relu_net(nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3)))
        >>> net.in_features, net.widths, net.out_features
        (2, (8,), 3)
    """
    if isinstance(model, ReluNet):
        return model
    if isinstance(model, ExactNet):
        return _from_exact(model)
    twin = copy.deepcopy(model).cpu().double().eval()
    for name, tensor in twin.state_dict().items():
        if not tensor.isfinite().all():
            raise AllmlpError(
                f"regions need finite weights, but {name!r} holds NaN or infinity; "
                "load a checkpoint from before it diverged"
            )
    maps = _Maps()
    for name, module, size in _record(twin, example):
        maps.add(name, module, size)
    return maps.finished()


def _from_exact(net: ExactNet) -> ReluNet:
    if net.activation.kinks != (Fraction(0),):
        raise AllmlpError(
            "regions need units that bend once, at 0, but this network has the activation "
            f"{net.activation.name}; write it with ReLU or leaky ReLU"
        )
    left, right = net.activation.slopes
    if right != 1:
        raise AllmlpError(
            f"regions need an activation of slope 1 to the right of 0, but {net.activation.name} "
            f"has {right}; move the factor into the next layer"
        )
    return ReluNet(
        tuple(np.array([[float(w) for w in row] for row in weight]) for weight, _ in net.layers),
        tuple(np.array([float(b) for b in bias]) for _, bias in net.layers),
        (left,) * (net.depth - 1),
        rational=net.layers,
    )


def _steps(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules that compute, in the order of registration; parametrisations belong to theirs."""
    for name, module in model.named_modules():
        if "parametrizations" in name.split("."):
            continue
        if isinstance(module, _ACCEPTED):
            yield name, module
        elif not any(True for _ in module.children()):
            if isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict):
                continue  # empty
            kinds = ", ".join(kind.__name__ for kind in _ACCEPTED)
            raise AllmlpError(
                f"regions need a model made of {kinds}, but {name or 'the model'!r} is a "
                f"{type(module).__name__}; a network with other parts bends elsewhere"
            )


def _record(model: nn.Module, example: Tensor | None) -> list[tuple[str, nn.Module, int]]:
    """Name, module and number of input features of every step, in execution order."""
    seen: list[tuple[str, nn.Module, Tensor, Tensor]] = []
    handles = []
    linears = [module for _, module in _steps(model) if isinstance(module, nn.Linear)]
    if not linears:
        raise AllmlpError("regions need a model with a Linear, but this one has none; pass an MLP")
    entered: list[Tensor] = []

    def on_entry(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        entered.append(inputs[0].clone())  # cloned: what follows may work in place

    for name, module in _steps(model):

        def on_exit(
            module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, name: str = name
        ) -> None:
            seen.append((name, module, entered.pop(), output.clone()))

        handles.append(module.register_forward_pre_hook(on_entry))
        handles.append(module.register_forward_hook(on_exit))
    probe = example
    if probe is None:
        rng = np.random.default_rng(0)  # torch's global state stays as it is
        probe = torch.from_numpy(rng.standard_normal((16, linears[0].in_features)))
    try:
        with torch.no_grad():
            result = model(probe.double())
    except (RuntimeError, IndexError, ValueError, TypeError) as error:
        raise AllmlpError(
            f"the model must run on inputs of shape {tuple(probe.shape)}, but fails ({error}); "
            "pass example=, a batch as it expects it"
        ) from None
    finally:
        for handle in handles:
            handle.remove()
    value, before = probe.double(), "the input"
    for name, _, given, output in seen:
        _require_same(value, given, before, name)
        value, before = output, name
    _require_same(value, result, before, "the output")
    return [(name, module, given.flatten(1).shape[1]) for name, module, given, _ in seen]


def _require_same(left: Tensor, right: Tensor, before: str, after: str) -> None:
    """What one step gives is what the next one takes, up to its shape."""
    if (
        not isinstance(right, Tensor)
        or left.numel() != right.numel()
        or not torch.equal(left.flatten(), right.flatten())
    ):
        raise AllmlpError(
            f"regions need a chain of modules, but between {before!r} and {after!r} something "
            "else changes the values; make it a module of the chain (nn.ReLU, not F.relu; no "
            "residual sums)"
        )


class _Maps:
    """Collects affine maps and slopes, folding BatchNorm."""

    def __init__(self) -> None:
        self.weights: list[Array] = []
        self.biases: list[Array] = []
        self.slopes: list[Fraction] = []
        self.current: tuple[Array, Array] | None = None  # an affine map not yet activated
        self.scaling: tuple[Array, Array] | None = None  # of features that wait for one

    def add(self, name: str, module: nn.Module, size: int) -> None:
        if isinstance(module, nn.Linear):
            weight = _numpy(module.weight)
            bias = np.zeros(len(weight)) if module.bias is None else _numpy(module.bias)
            if weight.shape[1] != size:
                raise AllmlpError(
                    f"{name!r} must act on all {size} features of an example, but acts on "
                    f"{weight.shape[1]}; flatten the features first"
                )
            if self.current is not None:
                self._close(Fraction(1))
            if self.scaling is not None:
                scale, shift = self.scaling
                bias, weight, self.scaling = bias + weight @ shift, weight * scale, None
            self.current = weight, bias
        elif isinstance(module, nn.BatchNorm1d):
            scale, shift = _batch_norm(name, module)
            if self.current is not None:
                weight, bias = self.current
                self.current = weight * scale[:, None], bias * scale + shift
            elif self.scaling is not None:
                self.scaling = self.scaling[0] * scale, self.scaling[1] * scale + shift
            else:
                self.scaling = scale, shift
        elif isinstance(module, nn.ReLU | nn.LeakyReLU):
            self._settle(size)
            slope = module.negative_slope if isinstance(module, nn.LeakyReLU) else 0.0
            self._close(Fraction(slope))

    def finished(self) -> ReluNet:
        if self.current is None:  # the model ends with an activation
            self._settle(len(self.biases[-1]))
        assert self.current is not None
        weight, bias = self.current
        return ReluNet((*self.weights, weight), (*self.biases, bias), tuple(self.slopes))

    def _settle(self, size: int) -> None:
        if self.current is None:
            scale, shift = self.scaling or (np.ones(size), np.zeros(size))
            self.current, self.scaling = (np.diag(scale), shift), None

    def _close(self, slope: Fraction) -> None:
        assert self.current is not None
        self.weights.append(self.current[0])
        self.biases.append(self.current[1])
        self.slopes.append(slope)
        self.current = None


def _batch_norm(name: str, module: nn.BatchNorm1d) -> tuple[Array, Array]:
    """`y = scale x + shift` in eval mode."""
    if module.running_mean is None or module.running_var is None:
        raise AllmlpError(
            f"{name!r} must have running statistics to be affine, but has none; "
            "build it with track_running_stats=True"
        )
    scale = 1 / np.sqrt(_numpy(module.running_var) + module.eps)
    if module.affine:
        scale = scale * _numpy(module.weight)
    shift = -_numpy(module.running_mean) * scale
    return scale, shift + _numpy(module.bias) if module.affine else shift


def _numpy(tensor: Tensor) -> Array:
    array: Array = tensor.detach().numpy()
    return array.astype(np.float64)
