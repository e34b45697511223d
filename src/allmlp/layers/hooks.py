"""Whether somebody looks into a module while it runs."""

from torch import nn

__all__ = ["is_hooked"]


def is_hooked(*modules: nn.Module) -> bool:
    """A forward hook of its own on any of these, so that they have to be called one by one."""
    return any(module._forward_hooks or module._forward_pre_hooks for module in modules)
