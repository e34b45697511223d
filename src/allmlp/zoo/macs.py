"""Multiply-accumulates of one forward pass, counted without computing it."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["count_macs"]


def count_macs(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Count the multiply-accumulates of matrix products and convolutions.

    torch's counter sees every product that the forward pass dispatches; on the meta device nothing
    is computed. Norms, activations and additions are not counted, as in the papers.

    Args:
        model: on the meta device.
        input_shape: of one input, without the batch axis.

    Returns:
        MACs for a batch of one. One MAC is two FLOPs.
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, *input_shape, device="meta"))
    return int(counter.get_total_flops()) // 2
