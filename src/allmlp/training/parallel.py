"""One model over several processes: copies that average gradients (DDP), or shards (FSDP2).

Whatever the form, the state is read and written whole, by parameter name: a checkpoint of one
form loads in the other, and in a single process.

torch's code for shards takes as long to import as torch itself: only who shards or checkpoints
imports it.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

from torch import distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from allmlp.layers.state import check_state
from allmlp.training.ranks import Ranks

__all__ = [
    "distribute",
    "load_model_state",
    "load_optimizer_state",
    "model_state",
    "optimizer_state",
    "syncing",
    "unwrap",
]

# options of torch's: whole tensors on the CPU; of shards, in the first process only
_WHOLE: dict[str, Any] = {"full_state_dict": True, "cpu_offload": True}


def distribute(
    model: nn.Module, form: Literal["ddp", "fsdp"], ranks: Ranks, *, trained: bool = True
) -> nn.Module:
    """Spread a model, which is on its device, over the processes; alone it stays as it is.

    Before the optimizer is made: shards are other parameters.

    Args:
        model: equal in every process. With `fsdp` it is changed in place, in units of the blocks of
            its outermost stacks (`nn.Sequential`, `nn.ModuleList`).
        form: `ddp` keeps a copy in every process, `fsdp` a share of each parameter.
        ranks: the processes.
        trained: False for an average of weights, which has no gradients to exchange.

    Returns:
        What to call for a training step.
    """
    if ranks.size == 1:
        return model
    if form == "ddp":
        if not trained:
            return model
        return DistributedDataParallel(model)
    from torch.distributed.fsdp import fully_shard

    for block in _blocks(model):
        fully_shard(block)
    fully_shard(model)
    return model


def unwrap(model: nn.Module) -> nn.Module:
    """The model itself, without the wrapper that averages gradients."""
    return model.module if isinstance(model, DistributedDataParallel) else model


def syncing(model: nn.Module, now: bool) -> AbstractContextManager[Any]:
    """Let the backward pass exchange gradients, or only add them up for a later one."""
    if isinstance(model, DistributedDataParallel) and not now:
        return model.no_sync()
    if _is_sharded(model):
        model.set_requires_gradient_sync(now)
    return nullcontext()


def model_state(model: nn.Module) -> dict[str, Any]:
    """Parameters and buffers by name."""
    from torch.distributed.checkpoint import state_dict

    options = state_dict.StateDictOptions(**_WHOLE)
    return state_dict.get_model_state_dict(unwrap(model), options=options)


def optimizer_state(model: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """State and groups, by parameter name."""
    from torch.distributed.checkpoint import state_dict

    options = state_dict.StateDictOptions(**_WHOLE)
    return state_dict.get_optimizer_state_dict(unwrap(model), optimizer, options=options)


def load_model_state(model: nn.Module, state: Mapping[str, Any], source: str) -> None:
    """Load a whole state.

    Raises:
        AllmlpError: it is of another model.
    """
    from torch.distributed.checkpoint import state_dict

    check_state(unwrap(model).state_dict(), state, source)
    options = state_dict.StateDictOptions(full_state_dict=True)
    state_dict.set_model_state_dict(unwrap(model), dict(state), options=options)


def load_optimizer_state(model: nn.Module, optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """Load what `optimizer_state` gave, for the same kind of optimizer."""
    from torch.distributed.checkpoint import state_dict

    # torch would cut a whole state up even where there are no shards, and stumbles then over an
    # optimizer that remembers nothing, such as SGD
    options = state_dict.StateDictOptions(full_state_dict=_is_sharded(model))
    state_dict.set_optimizer_state_dict(unwrap(model), optimizer, dict(state), options=options)


def _is_sharded(model: nn.Module) -> bool:
    if not (dist.is_available() and dist.is_initialized()):  # a single process has no shards
        return False
    from torch.distributed.fsdp import FSDPModule

    return isinstance(model, FSDPModule)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, nn.Sequential | nn.ModuleList):
            # a stack is never called as such, or only calls its parts
            yield from (part for part in child if next(part.parameters(), None) is not None)
        else:
            yield from _blocks(child)
