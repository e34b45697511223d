"""The verdict on one measured step, with its thresholds, and the table for people."""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from allmlp.errors import listing
from allmlp.training.flow_record import FlowRecord, LayerFlow

__all__ = ["FlowReport", "Verdict", "depth_ratio", "judge", "weight_ratios"]

# docs/gradflow.md shows what these are measured against
VANISHING = 1e-3  # gradient of early over that of late hidden layers; its inverse is exploding
DEAD = 0.4  # share of the units of one activation
SATURATED = 0.5  # share of the outputs of one activation
# A healthy ReLU unit is silent for about every second example, so for all of 32 by chance 2^-32;
# in a batch of two, every fourth one is.
EXAMPLES = 32
_ROWS = 40  # of a table; the middle of a longer one is left out

Kind = Literal[
    "nonfinite", "blocked", "unused", "vanishing", "exploding", "dead", "saturated", "healthy"
]


@dataclass(frozen=True)
class Verdict:
    """One finding.

    Args:
        kind: of the finding; `healthy` stands alone.
        where: the module or parameter that shows it most; empty for the whole model.
        fact: what was measured.
        remedy: what to do about it.
    """

    kind: Kind
    where: str
    fact: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.fact}" + (f"\n  -> {self.remedy}" if self.remedy else "")


@dataclass(frozen=True)
class FlowReport:
    """A record with its verdicts; `str` is a table.

    Args:
        record: the step that is judged.
    """

    record: FlowRecord

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """At least one, the gravest first."""
        return judge(self.record)

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return self.verdicts[0].kind == "healthy"

    def __str__(self) -> str:
        parts = [f"gradient flow at step {self.record.step}", *map(str, self.verdicts), ""]
        if self.record.layers:
            parts += [*_layer_table(self.record), ""]
        if self.record.activations:
            parts += [*_activation_table(self.record), ""]
        if self.record.gradient is not None:
            parts.append(f"global gradient norm {self.record.gradient:.3g}{self._clipped()}")
        return "\n".join(parts).rstrip()

    def _clipped(self) -> str:
        before, after = self.record.gradient, self.record.clipped
        # clip_grad_norm_ also scales by 1 - 1e-6 or so when it has nothing to clip
        if before is None or after is None or after > 0.999 * before:
            return ""
        return f", clipped to {after:.3g}"


def judge(record: FlowRecord) -> tuple[Verdict, ...]:
    """What is wrong with a step, the gravest first; `healthy` if nothing is.

    A number that is not finite spoils all others, so that finding stands alone.
    """
    if record.nonfinite is not None:
        return (_nonfinite(record),)
    rules = (_blocked, _unused, _depth, _dead, _saturated)
    found = tuple(verdict for rule in rules for verdict in rule(record))
    return found or (_healthy(record),)


def depth_ratio(record: FlowRecord) -> float | None:
    """Gradient at the early hidden layers over that at the late ones.

    The gradients are those with respect to pre-activations. Early and late are the medians over the
    first and the last quarter of the hidden layers, in order of execution: of seven or fewer just
    the first and the last. The last layer of all is no hidden layer; its scale (a head that starts
    at or near zero, pooling in front of it) is common to all below and says nothing about depth.
    Layers whose gradient is exactly zero are left out.

    Returns:
        None with fewer than two hidden layers that get a gradient.
    """
    norms = [layer.gradient for layer in _hidden(record) if layer.gradient]
    if len(norms) < 2:
        return None
    quarter = max(1, len(norms) // 4)
    late = statistics.median(norms[-quarter:])
    return statistics.median(norms[:quarter]) / late


def _hidden(record: FlowRecord) -> Sequence[LayerFlow]:
    return record.layers[:-1]


def _nonfinite(record: FlowRecord) -> Verdict:
    assert record.nonfinite is not None
    name, what = record.nonfinite.name, record.nonfinite.what
    facts = {
        "weight": f"{name} was not finite before step {record.step}",
        "output": f"the output of {name} is the first that is not finite, at step {record.step}",
        "gradient": f"the gradient is not finite from {name} on down, at step {record.step}, "
        "while every output is finite",
    }
    remedies = {
        "weight": "an earlier step broke it; measure every step to see which module was first",
        "output": "look at what it computes (logarithms, divisions, exponentials, fp16 beyond "
        "65504) and at its inputs; lower the learning rate or clip the gradient",
        "gradient": "look at the derivative there: a square root, norm or logarithm at zero, or "
        "the loss itself",
    }
    return Verdict("nonfinite", name, facts[what], remedies[what])


def _blocked(record: FlowRecord) -> Iterator[Verdict]:
    if record.gradient is None:
        yield Verdict(
            "blocked",
            "",
            "no gradient reached any parameter",
            "call backward before the report, on a loss that depends on trainable parameters",
        )
        return
    zero = [layer.name for layer in record.layers if layer.gradient == 0]
    if zero:
        yield Verdict(
            "blocked",
            zero[-1],
            f"the gradient is exactly zero at {len(zero)} of {len(record.layers)} layers "
            f"({listing(zero)})",
            "at step 0 this is what a head or branch that starts at zero does: look at a later "
            f"step; otherwise look at what follows {zero[-1]} (all units dead, a mask, fp16 below "
            "6e-8)",
        )


def _unused(record: FlowRecord) -> Iterator[Verdict]:
    unused = [p.name for p in record.parameters if p.gradient is None]
    if unused and record.gradient is not None:
        yield Verdict(
            "unused",
            unused[0],
            f"no gradient reached {len(unused)} of {len(record.parameters)} trainable parameters "
            f"({listing(unused)})",
            "freeze or remove them if the loss need not depend on them; otherwise look for a "
            "detach, no_grad or a part that is never called",
        )


def _depth(record: FlowRecord) -> Iterator[Verdict]:
    ratio = depth_ratio(record)
    if ratio is None:
        return
    names = [layer.name for layer in _hidden(record) if layer.gradient]
    if ratio < VANISHING:
        yield Verdict(
            "vanishing",
            names[0],
            f"the gradient shrinks to {ratio:.1e} of its size on its way from {names[-1]} to "
            f"{names[0]}",
            "draw weights with variance gain² / fan_in (kaiming_normal_ for ReLU), or add "
            "normalisation or residual connections",
        )
    elif ratio > 1 / VANISHING:
        yield Verdict(
            "exploding",
            names[0],
            f"the gradient grows {ratio:.1e} times on its way from {names[-1]} to {names[0]}",
            "draw weights with variance gain² / fan_in, scale residual branches down with depth, "
            "or add normalisation; clipping alone keeps the first layers' share of it",
        )


def _dead(record: FlowRecord) -> Iterator[Verdict]:
    remedy = (
        "lower the learning rate, look at biases that grew negative, or use GELU or a leaky ReLU"
    )
    dead = [a for a in record.activations if a.dead > DEAD and a.examples >= EXAMPLES]
    if dead:
        worst = max(dead, key=lambda a: a.dead)
        yield Verdict(
            "dead",
            worst.name,
            f"{worst.dead:.0%} of the units of {worst.name} are zero for all {worst.examples} "
            f"examples ({_activations(len(dead), len(record.activations), DEAD)})",
            remedy,
        )
        return
    # activations that are functions, not modules, are seen by the gradient they let through
    idle = [
        layer
        for layer in _hidden(record)
        if layer.gradient and (layer.idle or 0) > DEAD and layer.examples >= EXAMPLES
    ]
    if idle:
        worst_layer = max(idle, key=lambda layer: layer.idle or 0)
        yield Verdict(
            "dead",
            worst_layer.name,
            f"{worst_layer.idle:.0%} of the units of {worst_layer.name} get a gradient of exactly "
            f"zero from all {worst_layer.examples} examples",
            remedy,
        )


def _saturated(record: FlowRecord) -> Iterator[Verdict]:
    shares: dict[str, float] = {}
    for a in record.activations:  # a module that is called twice is there twice
        if a.saturated is not None:
            shares[a.name] = max(a.saturated, shares.get(a.name, 0.0))
    found = {name: share for name, share in shares.items() if share > SATURATED}
    if found:
        worst = max(found, key=lambda name: found[name])
        yield Verdict(
            "saturated",
            worst,
            f"{found[worst]:.0%} of the outputs of {worst} lie at a bound "
            f"({_activations(len(found), len(shares), SATURATED)})",
            "draw smaller weights (xavier_normal_ for tanh), normalise the inputs, or lower the "
            "learning rate",
        )


def _activations(count: int, total: int, threshold: float) -> str:
    return f"{count} of {total} activations above {threshold:.0%}"


def _healthy(record: FlowRecord) -> Verdict:
    ratio = depth_ratio(record)
    if ratio is None:
        return Verdict("healthy", "", "nothing found; too few hidden layers to speak of depth", "")
    size = f"{ratio:.2g}" if 0.01 < ratio < 100 else f"{ratio:.0e}"
    return Verdict("healthy", "", f"early layers get {size} times the gradient of late ones", "")


def _layer_table(record: FlowRecord) -> list[str]:
    head = ("layer", "output rms", "gradient", "idle", "grad/weight", "update/weight")
    rows = [
        (
            _called(layer.name, layer.call),
            _number(layer.output),
            _number(layer.gradient),
            _share(layer.idle),
            *map(_number, weight_ratios(record, layer.name)),
        )
        for layer in record.layers
    ]
    return _table(head, rows)


def weight_ratios(record: FlowRecord, name: str) -> tuple[float | None, float | None]:
    """Gradient and update over weight, of all parameters in a module together.

    Args:
        record: of a step.
        name: of one of its layers.

    Returns:
        `‖g‖ / ‖w‖` and `‖Δw‖ / ‖w‖`; None for what was not seen, or a weight of zero.
    """
    prefix = "" if name == "(model)" else f"{name}."
    inside = [p for p in record.parameters if p.name.startswith(prefix)]
    weight = math.hypot(*(p.weight for p in inside))
    gradients = [p.gradient for p in inside if p.gradient is not None]
    updates = [p.update for p in inside if p.update is not None]
    if not weight:
        return None, None
    return (
        math.hypot(*gradients) / weight if gradients else None,
        math.hypot(*updates) / weight if updates else None,
    )


def _activation_table(record: FlowRecord) -> list[str]:
    rows = [
        (
            _called(a.name, a.call),
            f"{a.mean:.3g}",
            f"{a.std:.3g}",
            _share(a.dead),
            _share(a.saturated),
        )
        for a in record.activations
    ]
    return _table(("activation", "mean", "std", "dead", "saturated"), rows)


def _called(name: str, call: int) -> str:
    return f"{name} #{call + 1}" if call else name


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    if len(rows) > _ROWS:
        left_out = (f"... {len(rows) - _ROWS} more", *[""] * (len(head) - 1))
        rows = [*rows[: _ROWS // 2], left_out, *rows[-_ROWS // 2 :]]
    sizes = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = [
        "  ".join(
            [row[0].ljust(sizes[0]), *(c.rjust(s) for c, s in zip(row[1:], sizes[1:], strict=True))]
        ).rstrip()
        for row in (head, *rows)
    ]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]
