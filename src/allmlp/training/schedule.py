"""Learning-rate schedules as plain functions of the step.

Each gives the share of the peak learning rate at which optimizer step `step` (from 0) is taken, so
that a run that goes on needs nothing but its step. All change from step to step; lengths that
options give in epochs are fractions of an epoch as well.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from allmlp.errors import AllmlpError, check_choice, unknown_name

__all__ = ["SCHEDULES", "WHOLE_SCHEDULES", "build_schedule", "warmup_cosine"]

Schedule = Callable[[int], float]

# lengths in fractions of an epoch add up to whole steps only nearly
_ROUNDING = 1e-9


def warm_up(step: int, warmup_steps: int) -> float:
    """Linear rise to 1, which the last of the warm-up steps has.

    Example:
        >>> [warm_up(step, 2) for step in range(3)]
        [0.5, 1.0, 1.0]
    """
    return (step + 1) / warmup_steps if step < warmup_steps else 1.0


def constant(x: float, length: float) -> float:
    """1 throughout."""
    return 1.0


def step_decay(x: float, length: float, *, every: float = 30.0, gamma: float = 0.1) -> float:
    """A factor of `gamma` after every `every` epochs (He et al. 2015)."""
    return gamma ** math.floor(x / length / every + _ROUNDING)


def multistep(x: float, length: float, *, milestones: Sequence[float], gamma: float = 0.1) -> float:
    """A factor of `gamma` at each of the milestones, in epochs."""
    return gamma ** sum(x / length >= milestone for milestone in milestones)


def cosine(x: float, length: float, *, floor: float = 0.0) -> float:
    """Half a cosine from 1 to `floor` (Loshchilov and Hutter 2017, arXiv:1608.03983)."""
    return floor + (1 - floor) * (0.5 * (1 + math.cos(math.pi * min(x, length) / length)))


def cosine_restarts(
    x: float, length: float, *, first: float = 10.0, growth: float = 2.0, floor: float = 0.0
) -> float:
    """Half cosines, each `growth` times as long as the one before, the first `first` epochs.

    Loshchilov and Hutter 2017, eq. 5.

    Example:
        >>> [round(cosine_restarts(x, 1.0, first=2.0), 3) for x in (0.0, 1.0, 2.0, 3.0, 4.0)]
        [1.0, 0.5, 1.0, 0.854, 0.5]
    """
    epoch, period = x / length, first
    while epoch >= period * (1 - _ROUNDING):
        epoch = max(0.0, epoch - period)
        period *= growth
    return cosine(epoch, period, floor=floor)


def one_cycle(
    x: float, length: float, *, rise: float = 0.3, start: float = 0.04, end: float = 4e-6
) -> float:
    """Half a cosine from `start` to 1 over the share `rise` of the training, another to `end`.

    Smith and Topin 2017, arXiv:1708.07120; the defaults are those of torch's `OneCycleLR`.
    """
    t = x / length
    if t < rise:
        return cosine(rise - t, rise, floor=start)
    return cosine(t - rise, 1 - rise, floor=end)


def linear(x: float, length: float, *, floor: float = 0.0) -> float:
    """Straight from 1 to `floor`."""
    return 1 - (1 - floor) * min(x / length, 1.0)


def wsd(x: float, length: float, *, decay: float = 0.2, floor: float = 0.0) -> float:
    """1, and straight to `floor` over the last share `decay`: warm-up, stable, decay.

    Hägele et al. 2024, arXiv:2405.18392.
    """
    past = x / length - (1 - decay)
    return 1.0 if past < 0 else linear(past, decay, floor=floor)


def flat_cos(x: float, length: float, *, flat: float = 0.5) -> float:
    """1 over the share `flat`, then half a cosine to 0 (RealMLP, arXiv:2407.04491)."""
    past = x / length - flat
    return 1.0 if past < 0 else cosine(past, 1 - flat)


def coslog4(x: float, length: float) -> float:
    """½ (1 − cos(2π log₂(1 + 15 t))): four cycles, each longer (RealMLP, arXiv:2407.04491)."""
    t = min(x / length, 1.0)
    return 0.5 * (1 - math.cos(2 * math.pi * math.log2(1 + 15 * t)))


# the length that a schedule's steps are counted in, an epoch or the training, and whether they are
# counted from the beginning or from the end of the warm-up
_EPOCH: dict[str, Callable[..., float]] = {"step": step_decay, "multistep": multistep}
_EPOCH_AFTER: dict[str, Callable[..., float]] = {"cosine_restarts": cosine_restarts}
_SHARE: dict[str, Callable[..., float]] = {"one_cycle": one_cycle, "coslog4": coslog4}
_SHARE_AFTER: dict[str, Callable[..., float]] = {
    "constant": constant,
    "cosine": cosine,
    "linear": linear,
    "wsd": wsd,
    "flat_cos": flat_cos,
}
# those whose length is the training, however many steps an epoch has
WHOLE_SCHEDULES = {**_SHARE, **_SHARE_AFTER}
SCHEDULES: dict[str, Callable[..., float]] = {**_SHARE_AFTER, **_EPOCH, **_EPOCH_AFTER, **_SHARE}


def build_schedule(
    name: str,
    *,
    warmup_steps: int,
    total_steps: int,
    steps_per_epoch: int,
    options: Mapping[str, Any] | None = None,
) -> Schedule:
    """A schedule over a whole training, as a function of the steps already taken.

    The warm-up multiplies it by a linear rise to 1. `step` and `multistep` count epochs from the
    beginning, `one_cycle` and `coslog4`, which rise by themselves, span the whole training; all
    others begin when the warm-up is over.

    Args:
        name: one of `SCHEDULES`.
        warmup_steps: 0 is none.
        total_steps: of the whole training.
        steps_per_epoch: for lengths in epochs.
        options: keyword arguments of the schedule.

    Raises:
        AllmlpError: an unknown schedule or option, one that is missing, or a value that makes no
            sense.

    Example:
        >>> cosine = build_schedule("cosine", warmup_steps=2, total_steps=6, steps_per_epoch=1)
        >>> [round(cosine(step), 3) for step in range(7)]
        [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]
    """
    check_choice("schedule", name, SCHEDULES)
    shape, given = SCHEDULES[name], {k: _as_floats(v) for k, v in (options or {}).items()}
    _check_options(name, shape, given)
    skipped = warmup_steps if name in _SHARE_AFTER or name in _EPOCH_AFTER else 0
    in_epochs = name in _EPOCH or name in _EPOCH_AFTER
    # a training that ends within its warm-up never gets beyond it
    length = float(steps_per_epoch if in_epochs else max(1, total_steps - skipped))

    def schedule(step: int) -> float:
        return warm_up(step, warmup_steps) * shape(float(max(0, step - skipped)), length, **given)

    return schedule


def warmup_cosine(step: int, *, warmup_steps: int, total_steps: int) -> float:
    """The schedule of the default recipe: linear warm-up, then half a cosine towards 0.

    The first step is already taken at 1 / warmup_steps of the peak; step `total_steps` would reach
    0.

    Args:
        step: steps already taken.
        warmup_steps: 0 starts at the peak.
        total_steps: steps of the whole training.

    Example:
        >>> [round(warmup_cosine(s, warmup_steps=2, total_steps=6), 3) for s in range(7)]
        [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if step >= total_steps:
        return 0.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / (total_steps - warmup_steps)))


def _as_floats(value: Any) -> Any:
    """Whole numbers as YAML writes them, also in a list."""
    if isinstance(value, list | tuple):
        return [_as_floats(v) for v in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


# name: what its value must be
_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "every": (lambda v: v > 0, "above 0"),
    "first": (lambda v: v > 0, "above 0"),
    "growth": (lambda v: v >= 1, "of at least 1"),
    "gamma": (lambda v: 0 < v <= 1, "in (0, 1]"),
    "floor": (lambda v: 0 <= v <= 1, "in [0, 1]"),
    "start": (lambda v: 0 <= v <= 1, "in [0, 1]"),
    "end": (lambda v: 0 <= v <= 1, "in [0, 1]"),
    "rise": (lambda v: 0 < v < 1, "in (0, 1)"),
    "decay": (lambda v: 0 < v <= 1, "in (0, 1]"),
    "flat": (lambda v: 0 <= v < 1, "in [0, 1)"),
    "milestones": (lambda v: all(m > 0 for m in v), "as a list, [30, 60], all above 0"),
}


def _check_options(name: str, shape: Callable[..., float], given: Mapping[str, Any]) -> None:
    parameters = list(inspect.signature(shape).parameters.values())[2:]
    known = [p.name for p in parameters]
    for parameter in parameters:
        if parameter.default is parameter.empty and parameter.name not in given:
            raise AllmlpError(f"schedule {name} needs the option {parameter.name}")
    for option, value in given.items():
        if option not in known:
            if not known:
                raise AllmlpError(f"schedule {name} has no options, got {option}")
            raise AllmlpError(unknown_name(f"option of schedule {name}", option, known))
        fits, wanted = _RANGES[option]
        try:
            valid = fits(value)
        except TypeError:
            valid = False
        if not valid:
            raise AllmlpError(f"schedule {name} needs {option} {wanted}, got {value!r}")
