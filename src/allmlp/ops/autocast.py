"""The dtypes that an operation computes in, where autocast does not know it."""

import torch
from torch import Tensor

__all__ = ["at_least_float32", "autocast_dtype"]


def autocast_dtype(x: Tensor) -> torch.dtype | None:
    """What autocast, if it is on for x's device, computes matrix products of x in; else None.

    float64 is left alone, as torch leaves it.

    Example:
        >>> x = torch.zeros(1)
        >>> with torch.autocast("cpu", torch.bfloat16):
        ...     autocast_dtype(x)
        torch.bfloat16
        >>> autocast_dtype(x.to("meta")) is None
        True
    """
    device = x.device.type
    if x.dtype == torch.float64:
        return None
    # torch raises where a device (meta, say) has no autocast
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return None


def at_least_float32(x: Tensor) -> Tensor:
    """The same numbers in float32, if their dtype has less."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
