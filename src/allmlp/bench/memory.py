"""Peak memory of a model, measured in a process of its own.

Axes: b batch, c channels, h w pixels.
"""

import multiprocessing
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch

from allmlp.bench.contestants import Contestant
from allmlp.bench.work import forward_pass, noise, training_step
from allmlp.errors import printable
from allmlp.runs.speed import peak_memory
from allmlp.training import choose_autocast_dtype

__all__ = ["Memory", "describe_failure", "measure_memory"]


@dataclass(frozen=True)
class Memory:
    """Bytes that a model needs at its peak, weights included.

    Attributes:
        forward: of forward passes in eval mode; None if unknown.
        train: of training steps with AdamW, whose state is included; None if unknown.
        error: why one is unknown; empty if none is.
    """

    forward: int | None = None
    train: int | None = None
    error: str = ""


def measure_memory(
    contestant: Contestant,
    batch_size: int,
    *,
    precision: str = "fp32",
    device: torch.device | str = "cpu",
    threads: int | None = None,
) -> Memory:
    """Peak memory of a model's forward pass and training step.

    A fresh process builds the model and runs it. On the CPU the result is by how much the largest
    resident set of that process (`ru_maxrss`) grows from before the model is built, so that Python
    and torch do not count, and the allocator's and kernels' own buffers do; on a card it is what
    tensors held at once. If the system kills the process for want of memory, this one lives on.

    As always with `multiprocessing`, a script that calls this needs `if __name__ == "__main__"`.

    Args:
        contestant: whose `build` the other process can find.
        batch_size: b.
        precision: `fp32`, or `bf16` by autocast.
        device: where it runs.
        threads: of torch on the CPU; None for as many as here.
    """
    # a process that was forked from one with torch, but without its threads, starts in no time
    methods = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload([__name__])
    receiver, sender = context.Pipe(duplex=False)
    count = torch.get_num_threads() if threads is None else threads
    arguments = (sender, contestant, batch_size, precision, str(device), count)
    process = context.Process(target=_measure, args=arguments, daemon=True)
    process.start()
    sender.close()
    found: dict[str, Any] = {}
    try:
        while True:
            key, value = receiver.recv()
            found[key] = value
    except EOFError:
        process.join()
    finally:
        if process.is_alive():
            process.kill()
        receiver.close()
    if "train" not in found and "error" not in found:
        found["error"] = _ended(process.exitcode)
    if "forward" in found and "error" in found:
        found["error"] = f"train: {found['error']}"
    return Memory(**found)


def describe_failure(failure: BaseException) -> str:
    """One line about what a model died of."""
    first = printable((str(failure).strip().splitlines() or [""])[0])
    kind = type(failure).__name__
    # ours say what to do, by themselves
    return first if kind == "AllmlpError" else f"{kind}: {first}"


def _measure(
    sender: Connection,
    contestant: Contestant,
    batch_size: int,
    precision: str,
    place: str,
    threads: int,
) -> None:
    """What the other process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that waits
    torch.set_num_threads(threads)
    device = torch.device(place)
    try:
        dtype = choose_autocast_dtype(precision, device)
        with torch.device("meta"):  # what building imports, all of timm say, belongs to no model
            contestant.build()
        _load_kernels(device)
        before = peak_memory(device)
        if before is None:
            sender.send(("train", None))  # nobody counts it there
            return
        model = contestant.build().to(device).eval()
        images, labels = noise(contestant.input_shape, batch_size, device)
        forward_pass(model, images, dtype)()
        sender.send(("forward", (peak_memory(device) or 0) - before))
        step = training_step(model.train(), images, labels, dtype)
        for _ in range(2):  # AdamW's state is there from the second on
            step()
        sender.send(("train", (peak_memory(device) or 0) - before))
    except Exception as e:
        sender.send(("error", describe_failure(e)))


def _load_kernels(device: torch.device) -> None:
    # libraries that the first product and convolution bring belong to torch, not to a model
    images = torch.zeros(1, 3, 16, 16, device=device, requires_grad=True)
    weights = torch.zeros(4, 3, 4, 4, device=device)
    features = torch.nn.functional.conv2d(images, weights).flatten(1)
    (features @ torch.zeros(features.shape[1], 8, device=device)).sum().backward()


def _ended(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"its process was ended by {name}" + (", out of memory" if -code == 9 else "")
    return f"its process ended with {code}; a script needs `if __name__ == '__main__'`"
