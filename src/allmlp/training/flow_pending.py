"""What was summed up on the device, as one vector, and the record that it becomes.

A measured step ends with hundreds of numbers on the device. They travel together: one wait.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from allmlp.training.flow_record import (
    ActivationFlow,
    FlowRecord,
    LayerFlow,
    NonFinite,
    ParameterFlow,
)

__all__ = ["Pending", "pending", "stacked", "wide_dtype"]


@dataclass(frozen=True)
class Pending:
    """A finished measurement whose numbers still lie on the device, in one vector."""

    rows: dict[str, Any]
    numbers: Tensor

    def record(self) -> FlowRecord:
        """Fetch the numbers: the one transfer, for which the device is waited."""
        return _record(_filled(self.rows, self.numbers.tolist()))


def pending(rows: dict[str, Any]) -> Pending:
    """The rows of a record, whose numbers may still be tensors of one element."""
    numbers: list[Tensor] = []
    return Pending(_emptied(rows, numbers), stacked(numbers))


def stacked(scalars: list[Tensor]) -> Tensor:
    """Scalars as one vector of `wide_dtype`, on the device of the first."""
    if not scalars:
        return torch.zeros(0)
    first = scalars[0]  # of a model on several devices, the first one's collects
    return torch.stack([x.to(first.device, wide_dtype(first)) for x in scalars])


def wide_dtype(x: Tensor) -> torch.dtype:
    """float64, or float32 on Apple's GPU, which has no float64."""
    return torch.float32 if x.device.type == "mps" else torch.float64


@dataclass(frozen=True)
class _Slot:
    index: int


def _emptied(value: Any, numbers: list[Tensor]) -> Any:
    """The same structure with each tensor moved to `numbers`."""
    if isinstance(value, Tensor):
        numbers.append(value)
        return _Slot(len(numbers) - 1)
    if isinstance(value, dict):
        return {key: _emptied(entry, numbers) for key, entry in value.items()}
    if isinstance(value, list):
        return [_emptied(entry, numbers) for entry in value]
    return value


def _filled(value: Any, numbers: list[float]) -> Any:
    if isinstance(value, _Slot):
        return numbers[value.index]
    if isinstance(value, dict):
        return {key: _filled(entry, numbers) for key, entry in value.items()}
    if isinstance(value, list):
        return [_filled(entry, numbers) for entry in value]
    return value


def _record(rows: dict[str, Any]) -> FlowRecord:
    parameters = tuple(ParameterFlow(**row) for row in rows["parameters"])
    return FlowRecord(
        step=rows["step"],
        gradient=rows["gradient"],
        clipped=rows["clipped"],
        nonfinite=_nonfinite(rows, parameters),
        layers=tuple(LayerFlow(**row) for row in rows["layers"]),
        activations=tuple(_activation(**row) for row in rows["activations"]),
        parameters=parameters,
    )


def _activation(
    *,
    name: str,
    call: int,
    sum: float,
    squares: float,
    elements: int,
    dead: float,
    saturated: float | None,
    examples: int,
) -> ActivationFlow:
    mean = sum / elements
    variance = squares / elements - mean**2
    return ActivationFlow(
        name=name,
        call=call,
        mean=mean,
        # rounding can leave a constant slightly below zero; NaN stays NaN
        std=0.0 if variance < 0 else math.sqrt(variance),
        dead=dead,
        saturated=None if saturated is None else saturated / elements,
        examples=examples,
    )


def _nonfinite(rows: dict[str, Any], parameters: tuple[ParameterFlow, ...]) -> NonFinite | None:
    for parameter in parameters:
        if not math.isfinite(parameter.weight):
            return NonFinite(parameter.name, "weight")
    for name, finite in rows["finite"].items():
        if not finite:
            return NonFinite(name, "output")
    for name, finite in rows["finite gradients"].items():
        if not finite:
            return NonFinite(name, "gradient")
    for parameter in parameters:
        if parameter.gradient is not None and not math.isfinite(parameter.gradient):
            return NonFinite(parameter.name, "gradient")
    return None
