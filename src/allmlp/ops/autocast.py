"""The dtype that autocast asks for, for operations that it does not know."""

import torch
from torch import Tensor

__all__ = ["autocast_dtype"]


def autocast_dtype(x: Tensor) -> torch.dtype | None:
    """What autocast, if it is on for x's device, computes matrix products in; else None.

    Example:
        >>> x = torch.zeros(1)
        >>> with torch.autocast("cpu", torch.bfloat16):
        ...     autocast_dtype(x)
        torch.bfloat16
        >>> autocast_dtype(x.to("meta")) is None
        True
    """
    device = x.device.type
    # torch raises where a device (meta, say) has no autocast
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return None
