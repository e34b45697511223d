"""Learning-rate schedules as plain functions of the step."""

import math

__all__ = ["warmup_cosine"]


def warmup_cosine(step: int, *, warmup_steps: int, total_steps: int) -> float:
    """The share of the peak learning rate at which optimizer step `step` (from 0) is taken.

    Rises linearly over `warmup_steps` steps, the first of which is already taken at 1 /
    warmup_steps of the peak, then falls along half a cosine towards 0, which step `total_steps`
    would reach.

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
