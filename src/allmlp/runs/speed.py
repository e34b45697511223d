"""How long a model takes to answer, and how much memory that needs.

Axes: b batch, c channels, h w pixels.
"""

import os
import statistics
import sys
import time
from dataclasses import dataclass

import torch
from torch import nn

from allmlp.training import autocast, choose_autocast_dtype, describe_machine

__all__ = ["Speed", "measure_speed", "peak_memory"]

# at least so many passes, and no more once so much time has gone: a report needs two digits, and
# comparisons are made side by side by allmlp.bench
_PASSES, _SECONDS = 3, 0.1


@dataclass(frozen=True)
class Speed:
    """Forward passes alone, without reading images.

    Args:
        latency_ms: of one image, median.
        images_per_second: in batches of `batch_size`, median.
        batch_size: b.
        peak_memory: bytes; see `peak_memory`.
        device: the processor or card that it ran on.
        threads: of torch on the CPU.
        precision: `fp32` or `bf16`.
    """

    latency_ms: float
    images_per_second: float
    batch_size: int
    peak_memory: int | None
    device: str
    threads: int
    precision: str


@torch.inference_mode()
def measure_speed(
    model: nn.Module,
    shape: tuple[int, int, int],
    batch_size: int,
    device: torch.device,
    precision: str = "fp32",
) -> Speed:
    """Time a model on images of zeros; takes a quarter of a second, or eight passes.

    Args:
        model: in eval mode, on `device`.
        shape: channels, height and width of an image.
        batch_size: b.
        device: where the model is.
        precision: as in a run's configuration.
    """
    dtype = choose_autocast_dtype(precision, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)

    machine = describe_machine(device)

    def median_seconds(count: int) -> float:
        images = torch.zeros(count, *shape, device=device)
        times: list[float] = []
        with autocast(device, dtype):
            model(images)  # the first pass allocates
            while len(times) < _PASSES or sum(times) < _SECONDS:
                _wait(device)
                started = time.perf_counter()
                model(images)
                _wait(device)
                times.append(time.perf_counter() - started)
        return statistics.median(times)

    return Speed(
        latency_ms=1e3 * median_seconds(1),
        images_per_second=batch_size / median_seconds(batch_size),
        batch_size=batch_size,
        peak_memory=peak_memory(device),
        device=str(machine["device"]),
        threads=machine["threads"],
        precision="fp32" if dtype is None else "bf16",
    )


def peak_memory(device: torch.device) -> int | None:
    """Bytes that were needed at once: of the card by tensors, of the CPU by the whole process.

    Returns:
        None where neither can be told (Apple's GPU, Windows).
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type != "cpu" or os.name != "posix":
        return None
    import resource  # of POSIX alone

    # kibibytes, but bytes on macOS
    scale = 1 if sys.platform == "darwin" else 1024
    return scale * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize()
