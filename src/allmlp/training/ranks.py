"""The processes that train together, as `torchrun` starts them; mostly there is one."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

__all__ = ["ALONE", "Ranks", "join_ranks"]

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """Which process this is, and what it can ask the others.

    Every method is called by all of them at the same point, or all of them wait for ever. With one
    process nothing is sent anywhere.
    """

    rank: int = 0
    size: int = 1

    @property
    def main(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def total(self, count: int, device: torch.device) -> Tensor | int:
        """The sum of a whole number over all processes; on `device`, not waited for."""
        if self.size == 1:
            return count
        sum = torch.tensor(count, device=device)
        dist.all_reduce(sum)
        return sum

    def sums(self, values: Mapping[str, Tensor | int]) -> dict[str, float]:
        """Each named value summed over all processes, in float64 (counts stay exact)."""
        if self.size == 1 and all(isinstance(v, int) or v.is_cpu for v in values.values()):
            return {name: float(value) for name, value in values.items()}
        tensors = [torch.as_tensor(value) for value in values.values()]
        device = max((t.device for t in tensors), key=lambda device: device.type != "cpu")
        # MPS has no float64
        wide = torch.float32 if device.type == "mps" else torch.float64
        stacked = torch.stack([t.to(device, wide) for t in tensors])
        if self.size > 1:
            dist.all_reduce(stacked)
        return dict(zip(values, stacked.tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        """Whether it is true for any process."""
        return any(self.gather(flag))

    def gather(self, value: T) -> list[T]:
        """What each process has, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def from_main(self, make: Callable[[], T]) -> T:
        """What `make` returns in the first process, in all of them; or the error it raises."""
        if self.size == 1:
            return make()
        box: list[Any] = [None, None]
        if self.main:
            try:
                box[0] = make()
            except Exception as e:
                box[1] = e
        dist.broadcast_object_list(box)
        if box[1] is not None:
            raise box[1]
        return box[0]


ALONE = Ranks()


@contextmanager
def join_ranks(device: torch.device) -> Iterator[Ranks]:
    """Meet the other processes of `torchrun`; without it, or without others, be alone.

    CUDA devices talk through NCCL, others through Gloo. A process group that the caller has made
    already is used and left as it is.

    Args:
        device: of this process.
    """
    if dist.is_initialized():
        yield Ranks(dist.get_rank(), dist.get_world_size())
        return
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.set_device(device)
    # Gloo beside NCCL: objects are sent from the CPU
    backends = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    store, rank, size = _meet()
    dist.init_process_group(backends, store=store, rank=rank, world_size=size)
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def _meet() -> tuple[Store, int, int]:
    """Where the processes of this attempt exchange addresses; rank and number of processes.

    `torchrun` keeps one store for all its attempts (torch 2.13), and who starts anew would find the
    addresses of dead processes there. On one machine all processes count the attempts alike; on
    several they need not, and TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 gives each attempt a new store.
    """
    store, rank, size = next(iter(rendezvous("env://")))
    if os.environ.get("GROUP_WORLD_SIZE", "1") == "1":
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        store = PrefixStore(f"attempt {attempt}", store)
    return store, rank, size
