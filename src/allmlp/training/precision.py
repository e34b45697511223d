"""Where and in which arithmetic a model runs."""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from allmlp.errors import AllmlpError, check_choice, first_line

__all__ = ["PRECISIONS", "autocast", "choose_autocast_dtype", "choose_device"]

PRECISIONS = ("auto", "fp32", "bf16")


def choose_device(name: str) -> torch.device:
    """The device called `name`; `auto` is CUDA, else Apple's GPU, else the CPU.

    Under `torchrun`, `cuda` and `auto` give each process of a machine a card of its own.

    Raises:
        AllmlpError: the device is unknown to torch or absent from this machine.
    """
    if name == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        name = "cpu" if found is None else found.type
    try:
        device = torch.device(name)
        if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as e:
        raise AllmlpError(
            f"device {name!r} cannot be used ({first_line(e)}); try device=cpu"
        ) from e
    return device


def choose_autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """What matrix products run in: bfloat16 under autocast, or None for the model's own dtype.

    Args:
        precision: `fp32`, `bf16`, or `auto`: bf16 where the device multiplies it natively (CUDA
            from Ampere on, CPUs with AVX512-BF16 or AMX), else fp32.
        device: where the model runs.

    Raises:
        AllmlpError: an unknown precision.
    """
    check_choice("precision", precision, PRECISIONS)
    if precision == "bf16" or (precision == "auto" and _multiplies_bf16(device)):
        return torch.bfloat16
    return None


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    """Matrix products in `dtype` within the context, or all as it is for None."""
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False
