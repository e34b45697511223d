"""What a measurement was made on."""

import os
import platform
from datetime import date
from typing import Any

import torch

__all__ = ["describe_machine"]


def describe_machine(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Processor or card, threads, versions, load and date: the head of every committed result."""
    device = torch.device(device)
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "date": date.today().isoformat(),
        "device": card or _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            lines = [line for line in file if line.startswith("model name")]
    except OSError:
        lines = []
    return lines[0].partition(":")[2].strip() if lines else platform.processor() or "unknown"
