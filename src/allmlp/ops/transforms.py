"""Where torch's transforms and exporters can take plain operations alone.

`ops.contraction` says at its head what each of them leaves out.
"""

import torch
from torch import Tensor
from torch.autograd import forward_ad

__all__ = ["is_batched", "plain_needed"]


def plain_needed() -> bool:
    """Whether torch can only differentiate plain operations here (see the head of this file)."""
    if torch.compiler.is_exporting() or forward_ad._current_level >= 0:
        return True
    compiling = torch.compiler.is_compiling()
    return compiling and torch._C._functorch.get_dynamic_layer_stack_depth() > 0


def is_batched(cotangent: Tensor) -> bool:
    """Whether it stands for many (`is_grads_batched`), which nothing written in place can take."""
    # a compiler knows neither the question nor such tensors
    return not torch.compiler.is_compiling() and torch._C._functorch.is_legacy_batchedtensor(
        cotangent
    )
