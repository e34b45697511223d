"""Functions as machine code for processors, by numba where it is installed.

Code is compiled at first use and kept in `kernel_folder()`. Without numba, or with
`NUMBA_DISABLE_JIT=1`, `kernels` finds none, and torch computes the same.
"""

import importlib
import inspect
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

__all__ = ["array_of", "compiled", "kernel_folder", "kernels", "reads"]

# No assumption about NaN and infinities: both have to come out again.
# Python's error model would look for a zero in every division, one by one.
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "fastmath": {"contract", "nsz"},
    "error_model": "numpy",
}


@cache
def kernels(name: str) -> ModuleType | None:
    """The module `allmlp.ops.name`, or None without a numba that suits this Python and NumPy."""
    try:
        import numba

        module = importlib.import_module(f"allmlp.ops.{name}")
    except ImportError:
        return None
    config: Any = numba.config
    return None if config.DISABLE_JIT else module


def reads(x: Tensor) -> bool:
    """Whether machine code can be given x: float32 or float64 in a processor's memory."""
    # tensors that only stand for numbers, as while a graph is traced, are of a class of their own
    dtypes = (torch.float32, torch.float64)
    return type(x) is Tensor and x.device.type == "cpu" and x.dtype in dtypes


def array_of(tensor: Tensor) -> Any:
    """The numbers as machine code takes them, side by side."""
    return tensor.detach().contiguous().numpy()


def compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """The function as machine code, compiled for every kind of arguments that it is called with.

    Args:
        function: in the part of Python that numba compiles.
        **options: of `numba.njit`, beside or instead of `OPTIONS`.
    """
    import numba

    function = inspect.unwrap(function)  # a run-time type checker's wrapper cannot be compiled
    # left to itself, numba writes beside the source, into the installation
    config: Any = numba.core.config
    before, config.CACHE_DIR = config.CACHE_DIR, str(kernel_folder())
    try:
        code: Callable[..., Any] = numba.njit(cache=_can_keep(), **{**OPTIONS, **options})(function)
    finally:
        config.CACHE_DIR = before
    return code


def kernel_folder() -> Path:
    """Where machine code is kept: `$NUMBA_CACHE_DIR`, else `$ALLMLP_CACHE/kernels`."""
    folder = os.environ.get("ALLMLP_CACHE") or Path.home() / ".cache" / "allmlp"
    return Path(os.environ.get("NUMBA_CACHE_DIR") or Path(folder) / "kernels")


@cache
def _can_keep() -> bool:
    # without a folder that can be written, every process compiles anew
    try:
        kernel_folder().mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(kernel_folder(), os.W_OK)
