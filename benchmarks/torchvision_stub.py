"""Lets timm be imported beside a torchvision whose operators are missing.

allmlp never uses torchvision. timm imports it, and a wheel built for another torch then fails on
the operators it expects; declaring their names is enough, since no benchmark calls them.
"""

import torch

__all__ = ["declare_operators"]

# kept alive: an operator lives as long as the library object that declared it
_LIBRARIES: list[torch.library.Library] = []


def declare_operators() -> None:
    """Declare `torchvision::nms` and `qnms` unless torchvision brings them itself."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        import sys

        for name in [m for m in sys.modules if m.partition(".")[0] == "torchvision"]:
            del sys.modules[name]  # half imported
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            if not hasattr(torch.ops.torchvision, operator):
                library.define(f"{operator}(Tensor dets, Tensor scores, float iou) -> Tensor")
        _LIBRARIES.append(library)
