"""Training and evaluation mode, module by module."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

__all__ = ["same_mode"]


@contextmanager
def same_mode(model: nn.Module) -> Iterator[None]:
    """Give every module the mode back that it came with."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
