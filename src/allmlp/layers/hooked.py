"""Whether a module's forward pass may be merged with another's: unwatched, and what it seems."""

from torch import nn
from torch.nn.modules import module as _module

__all__ = ["hooked", "is_own"]


def hooked(*modules: nn.Module) -> bool:
    """Whether a hook sits on one of the modules, or on all modules there are.

    torch's FLOP counter, for example, watches all.

    Args:
        modules: whose outputs would not be computed as such.

    Example:
        >>> part = nn.Linear(2, 2)
        >>> handle = part.register_forward_hook(lambda module, inputs, output: None)
        >>> hooked(part)
        True
    """
    if (
        _module._global_forward_hooks
        or _module._global_forward_pre_hooks
        or _module._global_backward_hooks
        or _module._global_backward_pre_hooks
    ):
        return True
    return any(
        m._forward_hooks or m._forward_pre_hooks or m._backward_hooks or m._backward_pre_hooks
        for m in modules
    )


def is_own(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module computes what `kind` does: it, or a class that changes its weights alone.

    An adapter (LoRA), a quantised layer or a patched one takes a layer's place and has to be
    called; reading its weights would pass it by.

    Example:
        >>> is_own(nn.Linear(2, 2), nn.Linear), is_own(nn.Sequential(), nn.Linear)
        (True, False)
    """
    return type(module).forward is kind.forward and "forward" not in vars(module)
