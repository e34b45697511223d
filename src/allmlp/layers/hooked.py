"""Whether somebody watches a module, so that its forward pass may not be merged with another's."""

from torch import nn
from torch.nn.modules import module as _module

__all__ = ["hooked"]


def hooked(*modules: nn.Module) -> bool:
    """Whether a forward hook sits on one of the modules, or on all modules there are.

    torch's FLOP counter, for example, watches all.

    Args:
        modules: whose outputs would not be computed as such.

    Example:
        >>> part = nn.Linear(2, 2)
        >>> handle = part.register_forward_hook(lambda module, inputs, output: None)
        >>> hooked(part)
        True
    """
    if _module._global_forward_hooks or _module._global_forward_pre_hooks:
        return True
    return any(module._forward_hooks or module._forward_pre_hooks for module in modules)
