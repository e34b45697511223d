"""The examples that a KAN estimator keeps: laws are found on them, and judged by some.

Axes: n rows, i inputs, o outputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Rows", "as_rows", "keep_rows"]

# rows kept for formulas and pictures, which a law of a few numbers does not need more of
_KEPT = 2000


@dataclass(frozen=True, eq=False)
class Rows:
    """Examples as a network takes them, in float64."""

    x: Float[Tensor, "n i"]
    y: Tensor  # (n, o) values, or (n,) classes
    weights: Float[Tensor, " n"] | None = None


def keep_rows(
    rows: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray | None,
    held: tuple[Any, ...] | None,
    seed: int,
) -> dict[str, np.ndarray]:
    """Rows to find laws on, at most `_KEPT`, and half as many to judge them by."""

    def some(parts: Mapping[str, np.ndarray | None], most: int) -> dict[str, np.ndarray]:
        count = len(cast(np.ndarray, next(iter(parts.values()))))
        chosen = np.sort(np.random.default_rng(seed).permutation(count)[:most])
        return {name: part[chosen] for name, part in parts.items() if part is not None}

    kept = some({"x": rows, "y": targets, "weights": weights}, _KEPT)
    if held is not None:
        names = ("held_x", "held_y", "held_weights")
        kept |= some(dict(zip(names, held, strict=True)), _KEPT // 2)
    return kept


def as_rows(kept: Mapping[str, np.ndarray], prefix: str = "") -> Rows:
    """Of what `keep_rows` kept, the examples whose names begin so."""

    def tensor(name: str) -> Tensor | None:
        array = kept.get(prefix + name)
        if array is None:
            return None
        return torch.from_numpy(array.astype(np.int64 if array.dtype.kind == "i" else np.float64))

    x, y = tensor("x"), tensor("y")
    assert x is not None
    assert y is not None
    return Rows(x, y, tensor("weights"))
