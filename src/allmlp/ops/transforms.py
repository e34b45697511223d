"""Where torch's transforms and exporters can take plain operations alone.

`ops.contraction` says at its head what each of them leaves out.
"""

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils import _python_dispatch

__all__ = ["is_batched", "plain_needed", "unobserved"]


def plain_needed() -> bool:
    """Whether torch can only differentiate plain operations here (see the head of this file)."""
    if torch.compiler.is_exporting() or forward_ad._current_level >= 0:
        return True
    compiling = torch.compiler.is_compiling()
    return compiling and torch._C._functorch.get_dynamic_layer_stack_depth() > 0


def unobserved(x: Tensor) -> bool:
    """Whether what is done to x is done at once, and nobody but autograd looks on.

    Not so under torch's transforms (forward-mode derivatives, vmap, …), tracers, compilers and
    dispatch modes (counters of FLOPs), nor for tensors of other classes.
    """
    return (
        not torch.compiler.is_compiling()
        and type(x) in (Tensor, nn.Parameter)
        and not torch._C._is_tracing()
        and forward_ad._current_level < 0
        and torch._C._functorch.get_dynamic_layer_stack_depth() == 0
        and _python_dispatch._get_current_dispatch_mode() is None
    )


def is_batched(cotangent: Tensor) -> bool:
    """Whether it stands for many (`is_grads_batched`), which nothing written in place can take."""
    # a compiler knows neither the question nor such tensors
    return not torch.compiler.is_compiling() and torch._C._functorch.is_legacy_batchedtensor(
        cotangent
    )
