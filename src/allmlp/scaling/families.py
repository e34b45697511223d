"""What a width and a depth mean in each family that a sweep trains, and how fast it learns.

Under torch's parametrisation the best learning rate of Adam falls with the width as 1 / width does
(docs/mup.md, measured), so a rate tuned at one width goes to the others by that rule.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from allmlp.errors import AllmlpError, unknown_name

__all__ = ["BASE_WIDTH", "FAMILIES", "SweepFamily", "find_family"]

BASE_WIDTH = 64
# of the rate at that width: the narrowest nets learn no better beyond
_MOST = 3.0


@dataclass(frozen=True)
class SweepFamily:
    """One kind of network at any width and depth.

    Attributes:
        model: the variant it starts from.
        sizes: from width and depth to the fields of its config.
        lr: AdamW's peak learning rate at `BASE_WIDTH`.
    """

    model: str
    sizes: Callable[[int, int], dict[str, Any]]
    lr: float

    def learning_rate(self, width: int) -> float:
        """`lr * BASE_WIDTH / width`, at most three times `lr`."""
        return self.lr * min(_MOST, BASE_WIDTH / width)


def _plain(width: int, depth: int) -> dict[str, Any]:
    return {"widths": [width] * depth, "norm": "layer"}


def _scaling_mlp(width: int, depth: int) -> dict[str, Any]:
    return {"width": width, "depth": depth}


def _mixer(width: int, depth: int) -> dict[str, Any]:
    # the ratios of the paper's table 1
    return {
        "width": width,
        "depth": depth,
        "token_hidden": max(1, width // 2),
        "channel_hidden": 4 * width,
    }


def _kan(width: int, depth: int) -> dict[str, Any]:
    return {"widths": [width] * depth}


# rates: benchmarks/results/scaling_rates.json
FAMILIES: dict[str, SweepFamily] = {
    "mlp": SweepFamily("mlp", _plain, 1e-2),
    "scaling_mlp": SweepFamily("scaling_mlp_b6_w256", _scaling_mlp, 1e-2),
    "mixer_digits": SweepFamily("mixer_digits", _mixer, 4e-3),
    "mixer": SweepFamily("mixer_nano", _mixer, 8e-3),
    "kan": SweepFamily("kan", _kan, 1e-3),
}


def find_family(name: str) -> SweepFamily:
    """A family by its name.

    Raises:
        AllmlpError: there is none; the nearest is named.
    """
    if name not in FAMILIES:
        raise AllmlpError(unknown_name("family", name, FAMILIES))
    return FAMILIES[name]
