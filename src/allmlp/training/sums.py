"""Running sums of what batches report, by name."""

import torch
from torch import Tensor

__all__ = ["add_sums"]


def add_sums(
    totals: dict[str, Tensor], sums: dict[str, Tensor], counted: bool = True, times: int = 1
) -> None:
    """Add `sums` to `totals`, without waiting for the device.

    Args:
        totals: so far; a name that is new begins at zero.
        sums: of one batch.
        counted: if not, the batch only makes its names known.
        times: the weight of the batch.
    """
    for name, value in sums.items():
        if not counted or times == 0:
            totals.setdefault(name, torch.zeros_like(value))
        elif name not in totals:
            totals[name] = value if times == 1 else value * times
        elif times == 1:
            totals[name] = totals[name] + value
        else:  # in one operation: on a tiny model each one shows
            totals[name] = torch.add(totals[name], value, alpha=times)
