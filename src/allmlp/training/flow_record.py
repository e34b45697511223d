"""What one measured step says about a model: plain numbers, ready for a line of JSON."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

__all__ = ["ActivationFlow", "FlowRecord", "LayerFlow", "NonFinite", "ParameterFlow"]

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class LayerFlow:
    """One call of a module that owns a weight (two axes or more); its output is a pre-activation.

    Args:
        name: of the module; the empty name of a model that is itself a layer reads `(model)`.
        call: from 0, for modules that one forward pass calls several times.
        output: root mean square of the output.
        gradient: Euclidean norm of the loss's gradient with respect to the output, over the whole
            batch; None if none arrived (frozen, or not part of the loss).
        idle: share of the units whose gradient is exactly zero for every example.
        examples: numbers behind each unit: batch, times positions.
    """

    name: str
    call: int
    output: float
    gradient: float | None
    idle: float | None
    examples: int


@dataclass(frozen=True)
class ActivationFlow:
    """One call of an activation module.

    Args:
        name: of the module.
        call: as in `LayerFlow`.
        mean: of the output.
        std: of the output.
        dead: share of the units whose output is exactly zero for every example.
        saturated: share of the outputs within 1.5 % of the range from a bound, which for tanh is
            |tanh| > 0.97; None for activations that are not bounded on both sides.
        examples: as in `LayerFlow`.
    """

    name: str
    call: int
    mean: float
    std: float
    dead: float
    saturated: float | None
    examples: int


@dataclass(frozen=True)
class ParameterFlow:
    """One trainable parameter; shared ones appear once, under their first name.

    Args:
        name: as in `named_parameters`.
        weight: Euclidean norm before the step.
        gradient: Euclidean norm of the accumulated gradient before clipping; None without one.
        zeros: share of exact zeros in the gradient.
        update: Euclidean norm of what the step added; None if no step was seen.
    """

    name: str
    weight: float
    gradient: float | None
    zeros: float | None
    update: float | None

    @property
    def update_ratio(self) -> float | None:
        """`update / weight`; None for a weight of zero, which has no scale."""
        return self.update / self.weight if self.update is not None and self.weight else None


@dataclass(frozen=True)
class NonFinite:
    """Where NaN or infinity appeared first.

    Args:
        name: of a module, or of a parameter.
        what: `weight` (before the pass), else `output` (first in the forward pass), else
            `gradient` (first in the backward pass).
    """

    name: str
    what: Literal["weight", "output", "gradient"]


@dataclass(frozen=True)
class FlowRecord:
    """One measured step.

    Args:
        step: optimizer steps taken before it; step 0 shows the initialisation.
        gradient: global norm of the gradient before clipping; None without a backward pass.
        clipped: the same as the optimizer met it; None if it was not seen or is gone.
        nonfinite: the first NaN or infinity, if any.
        layers: in order of execution.
        activations: in order of execution.
        parameters: in the model's order.
    """

    step: int
    gradient: float | None
    clipped: float | None
    nonfinite: NonFinite | None
    layers: tuple[LayerFlow, ...]
    activations: tuple[ActivationFlow, ...]
    parameters: tuple[ParameterFlow, ...]

    def to_json(self) -> dict[str, Any]:
        """Dictionaries, lists, numbers and strings; NaN and infinity as strings.

        `json.dumps` of it is valid JSON, which has no word for NaN, and `float` reads them back.
        """
        return _plain(asdict(self))

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "FlowRecord":
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: fields of something else.
        """
        nonfinite = fields["nonfinite"]
        return cls(
            step=fields["step"],
            gradient=_number(fields["gradient"]),
            clipped=_number(fields["clipped"]),
            nonfinite=None if nonfinite is None else NonFinite(**nonfinite),
            layers=tuple(_parse(LayerFlow, entry) for entry in fields["layers"]),
            activations=tuple(_parse(ActivationFlow, entry) for entry in fields["activations"]),
            parameters=tuple(_parse(ParameterFlow, entry) for entry in fields["parameters"]),
        )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _parse(kind: type[Entry], entry: Mapping[str, Any]) -> Entry:
    return kind(**{key: v if key == "name" else _number(v) for key, v in entry.items()})


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, str) else value
