"""The linear classifier at the end of a vision model."""

from torch import nn

__all__ = ["make_head", "make_zero_head", "zero_head_"]


def make_head(width: int, num_classes: int) -> nn.Module:
    """`nn.Linear(width, num_classes)` as torch starts it, or `nn.Identity` without classes."""
    return nn.Linear(width, num_classes) if num_classes else nn.Identity()


def make_zero_head(width: int, num_classes: int) -> nn.Module:
    """As `make_head`, of zeros."""
    head = make_head(width, num_classes)
    zero_head_(head)
    return head


def zero_head_(head: nn.Module) -> None:
    """Fill a head in place with zeros, so that every class starts equally likely."""
    for parameter in head.parameters():
        nn.init.zeros_(parameter)
