"""What is summed up during one measured step. Nothing here waits for the device.

Norms are taken in float64 (float32 on Apple's GPU, which has no float64): the squares of a gradient
of 1e-25 vanish in float32, and a gradient that small is just what is looked for.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList
from torch.utils.hooks import RemovableHandle
from torch.utils.weak import WeakTensorKeyDictionary

from allmlp.errors import AllmlpError
from allmlp.layers.activations import Sine, SquaredReLU
from allmlp.training.flow_pending import Pending, pending, stacked, wide_dtype

__all__ = ["Measurement", "own_modules"]

_BOUNDS = {
    nn.Tanh: (-1.0, 1.0),
    nn.Softsign: (-1.0, 1.0),
    nn.Sigmoid: (0.0, 1.0),
    nn.Hardsigmoid: (0.0, 1.0),
}
_UNBOUNDED = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU,
    nn.SiLU, nn.Mish, nn.Softplus, nn.Hardswish, nn.LogSigmoid, nn.Softshrink, nn.Hardshrink,
    nn.Tanhshrink, nn.Threshold, Sine, SquaredReLU,
)  # fmt: skip
_ACTIVATIONS = (*_UNBOUNDED, *_BOUNDS, nn.Hardtanh)
# units on axis 1
_CONVOLUTIONS = (
    nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip
_CHANNEL_NORMS = (
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, nn.GroupNorm,
    nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d,
)  # fmt: skip
# units where they were
_KEEPS_UNITS = (
    *_ACTIVATIONS, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d,
    nn.AlphaDropout, nn.FeatureAlphaDropout,
)  # fmt: skip
# |tanh| > 0.97 is 1.5 % of the range (-1, 1) from a bound; the slope there is below 0.06
_MARGIN = 0.015


class _Units:
    """Which units were ever different from zero.

    The axis of the units is the one that the maker of the tensor says, or every one but the batch
    axis, of which the one with the most silent units counts.
    """

    def __init__(self) -> None:
        self._active: dict[int, Tensor] = {}
        self.examples = 0

    def add(self, x: Tensor, axis: int | None) -> None:
        axes = [axis] if axis is not None else range(-1, -max(x.ndim, 2), -1)
        for a in axes:
            others = [i for i in range(x.ndim) if i != a % max(x.ndim, 1)]
            active = (x != 0).any(dim=others) if others else x != 0
            known = self._active.get(a)
            # sequences of another length start anew: their positions cannot be matched
            same = known is not None and known.shape == active.shape
            self._active[a] = known | active if same else active
        self.examples += x.numel() // max(max(x.shape[a] for a in axes) if x.ndim else 1, 1)

    def silent(self) -> Tensor:
        """The share, a scalar."""
        shares = [1 - a.to(wide_dtype(a)).mean() for a in self._active.values()]
        return torch.stack(shares).amax()


class _Layer:
    def __init__(self) -> None:
        self.squares: Tensor | None = None
        self.elements = 0
        self.gradient: Tensor | None = None
        self.units = _Units()

    def see_output(self, x: Tensor) -> None:
        self.squares = _plus(self.squares, _norm(x).square())
        self.elements += x.numel()

    def see_gradient(self, gradient: Tensor, axis: int) -> None:
        found = _norm(gradient)
        self.gradient = found if self.gradient is None else torch.hypot(self.gradient, found)
        self.units.add(gradient, axis)


class _Activation:
    def __init__(self) -> None:
        self.sum: Tensor | None = None
        self.squares: Tensor | None = None
        self.saturated: Tensor | None = None
        self.elements = 0
        self.units = _Units()

    def see(self, module: nn.Module, x: Tensor, axis: int | None) -> None:
        self.sum = _plus(self.sum, x.sum(dtype=wide_dtype(x)))
        self.squares = _plus(self.squares, _norm(x).square())
        self.elements += x.numel()
        self.units.add(x, axis)
        bounds = _bounds(module)
        if bounds is not None:
            low, high = bounds
            margin = _MARGIN * (high - low)
            beyond = (x < low + margin) | (x > high - margin)
            self.saturated = _plus(self.saturated, beyond.sum())


class Measurement:
    """The sums of one step: any number of forward and backward passes, and the update.

    Args:
        model: what is measured.
        step: optimizer steps taken before.
    """

    def __init__(self, model: nn.Module, step: int):
        self.step = step
        self.names = {module: name or "(model)" for name, module in own_modules(model)}
        self.parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.passes = 0
        # the weights of a module and of everything inside it
        self.weights = {
            module: frozenset(id(p) for p in module.parameters() if p.ndim >= 2)
            for module in self.names
        }
        self._handles: list[RemovableHandle] = []
        self._finite: dict[str, Tensor] = {}  # by module, in order of execution
        self._finite_gradients: dict[str, Tensor] = {}  # in the order of the backward pass
        self._layers: dict[tuple[str, int], _Layer] = {}
        self._activations: dict[tuple[str, int], _Activation] = {}
        self._norms: dict[str, Tensor] = {}  # of the weights
        self._before: dict[str, Tensor] = {}  # copies of the weights
        self._gradients: dict[str, tuple[Tensor, Tensor]] = {}  # norm, share of zeros
        self._clipped: dict[str, Tensor] = {}
        self._updates: dict[str, Tensor] = {}
        self._calls: dict[nn.Module, int] = {}  # of this pass
        # of tensors of this pass, alive: the axis of their units, and which are layers' outputs
        self._axes = WeakTensorKeyDictionary()
        self._outputs = WeakTensorKeyDictionary()

    def start_pass(self) -> None:
        """The model, or a part of it, is called from outside."""
        self.passes += 1
        self._calls.clear()
        if not self._norms:
            self._norms = {name: _norm(p) for name, p in self.parameters.items()}

    @torch.no_grad()
    def see(self, module: nn.Module, args: tuple[Any, ...], output: Any, inside: Set[int]) -> None:
        """A module has returned.

        Args:
            module: one of `names`.
            args: what it was given.
            output: what it returned.
            inside: the weights of the modules that it called.
        """
        name = self.names[module]
        found = [x for x in _tensors(output) if x.is_floating_point()]
        for x in found:
            finite = torch.isfinite(x).all()
            known = self._finite.get(name)
            self._finite[name] = finite if known is None else known & finite
        call = self._calls[module] = self._calls.get(module, -1) + 1
        # A layer is whoever applies a weight: its owner, or, if the owner was not called (a
        # parent uses the weight in an operation of its own), the nearest parent that was.
        is_layer = not self.weights[module] <= inside
        axis = self._axis(module, args, is_layer)
        for x in found:
            if isinstance(module, _ACTIVATIONS):
                activation = self._activations.setdefault((name, call), _Activation())
                activation.see(module, x, axis)
            # a parent that passes on what its child returned is no second layer
            if is_layer and x not in self._outputs:
                layer = self._layers.setdefault((name, call), _Layer())
                self._see_layer(layer, name, x, axis or -1)
                self._outputs[x] = True
            if axis is not None:
                self._axes[x] = axis

    def _see_layer(self, layer: _Layer, name: str, x: Tensor, axis: int) -> None:
        layer.see_output(x)
        if x.requires_grad:

            @torch.no_grad()
            def hook(gradient: Tensor) -> None:
                layer.see_gradient(gradient, axis)
                finite = torch.isfinite(gradient).all()
                known = self._finite_gradients.get(name)
                self._finite_gradients[name] = finite if known is None else known & finite

            # the tensor itself keeps the hook: an operation in place afterwards does not move it
            self._handles.append(x.register_hook(hook))

    def _axis(self, module: nn.Module, args: tuple[Any, ...], is_layer: bool) -> int | None:
        """The axis of the units in the module's output, from the end; None if it is not known."""
        if isinstance(module, _CONVOLUTIONS):
            return -1 - len(module.kernel_size)
        if is_layer or isinstance(module, nn.LayerNorm | nn.RMSNorm):
            return -1
        given = args[0] if args and isinstance(args[0], Tensor) else None
        if given is None:
            return None
        if isinstance(module, _CHANNEL_NORMS):
            return 1 - given.ndim
        if isinstance(module, _KEEPS_UNITS):
            return -1 if given.ndim <= 2 else self._axes.get(given)
        return None

    @torch.no_grad()
    def see_gradient(self, name: str) -> None:
        """The gradient of a parameter, as accumulated so far."""
        gradient = self.parameters[name].grad
        if gradient is not None:
            zeros = (_dense(gradient) == 0).to(wide_dtype(gradient)).mean()
            self._gradients[name] = _norm(gradient), _whole(zeros)

    @torch.no_grad()
    def copy_weights(self) -> None:
        """Keep the weights before the optimizer's step: one copy of all that train."""
        if not self._before:
            self._before = {name: p.detach().clone() for name, p in self.parameters.items()}

    @torch.no_grad()
    def see_updates(self) -> None:
        """The optimizer has moved parameters, and their gradients are still there.

        Raises:
            AllmlpError: the weights were not copied before the step.
        """
        if not self._before:
            raise AllmlpError(
                "GradFlow.after_step needs what after_backward reads, but it was not called; call "
                "it after the backward passes, before clipping"
            )
        for name, parameter in self.parameters.items():
            self._updates[name] = _norm(parameter.detach() - self._before[name])
            if parameter.grad is not None:
                self._clipped[name] = _norm(parameter.grad)

    @property
    def has_gradients(self) -> bool:
        """Whether a backward pass was seen."""
        return bool(self._gradients)

    def close(self) -> None:
        """Take the hooks off the graph."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def pack(self) -> Pending | None:
        """What was seen so far, as one vector on the device; None without a pass."""
        if not self.passes:
            return None
        rows: dict[str, Any] = {
            "step": self.step,
            "gradient": _total(size for size, _ in self._gradients.values()),
            "clipped": _total(self._clipped.values()),
            "finite": self._finite,
            "finite gradients": self._finite_gradients,
            "layers": [
                {
                    "name": name,
                    "call": call,
                    "output": (layer.squares / max(layer.elements, 1)).sqrt(),
                    "gradient": layer.gradient,
                    "idle": None if layer.gradient is None else layer.units.silent(),
                    "examples": layer.units.examples,
                }
                for (name, call), layer in self._layers.items()
                if layer.squares is not None
            ],
            "activations": [
                {
                    "name": name,
                    "call": call,
                    "sum": seen.sum,
                    "squares": seen.squares,
                    "elements": max(seen.elements, 1),
                    "dead": seen.units.silent(),
                    "saturated": seen.saturated,
                    "examples": seen.units.examples,
                }
                for (name, call), seen in self._activations.items()
            ],
            "parameters": [
                {
                    "name": name,
                    "weight": self._norms[name],
                    "gradient": self._gradients[name][0] if name in self._gradients else None,
                    "zeros": self._gradients[name][1] if name in self._gradients else None,
                    "update": self._updates.get(name),
                }
                for name in self.parameters
            ],
        }
        return pending(rows)


def own_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module once by name, but for the parametrizations, which compute weights.

    Args:
        model: the root, whose name is empty.
    """
    inner = {
        id(module)
        for parent in model.modules()
        if isinstance(parent, ParametrizationList)
        for module in parent.modules()
    }
    return ((name, m) for name, m in model.named_modules() if id(m) not in inner)


def _norm(x: Tensor) -> Tensor:
    """Euclidean norm as a scalar on the device; of the whole tensor if it is distributed."""
    x = _dense(x.detach())
    x = x.abs() if x.is_complex() else x
    return _whole(torch.linalg.vector_norm(x, dtype=wide_dtype(x)))


def _dense(x: Tensor) -> Tensor:
    return x.coalesce().values() if x.layout == torch.sparse_coo else x


def _whole(x: Tensor) -> Tensor:
    # a DTensor has the method; its class would be imported by everybody, and sympy with it
    return x.full_tensor() if hasattr(x, "full_tensor") else x


def _plus(known: Tensor | None, more: Tensor) -> Tensor:
    return more if known is None else known + more


def _total(norms: Iterable[Tensor]) -> Tensor | None:
    found = list(norms)
    return _norm(stacked(found)) if found else None


def _bounds(module: nn.Module) -> tuple[float, float] | None:
    # ReLU6 is a Hardtanh to torch, but its lower bound is where units die, not where they saturate
    if isinstance(module, nn.Hardtanh) and not isinstance(module, nn.ReLU6):
        return module.min_val, module.max_val
    return next((b for kind, b in _BOUNDS.items() if isinstance(module, kind)), None)


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in what a module returns."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from _tensors(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _tensors(entry)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from _tensors(getattr(value, field.name))
