"""Tune the learning rate of a narrow net, train a wide one with it: muP.

python examples/31_width_transfer.py
"""

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from allmlp import MLP
from allmlp.training import coord_check, decay_groups, mup_groups

BASE = 32  # the width at which the learning rate is tuned
WIDTHS = (32, 128, 512)


def net(width: int, init: str) -> MLP:
    """The same net at any width."""
    return MLP(16, 1, (width, width, width), init=init)


def standard(width: int, lr: float = 2**-6) -> tuple[nn.Module, Optimizer]:
    """One learning rate for all."""
    model = net(width, "he_normal")
    return model, AdamW(decay_groups(model, 0.01), lr=lr)


def mup(width: int, lr: float = 2**-6) -> tuple[nn.Module, Optimizer]:
    """Hidden and output weights learn more slowly as they get wider."""
    model = net(width, "mup")
    with torch.device("meta"):  # shapes alone are read
        base = net(BASE, "mup")
    return model, AdamW(mup_groups(decay_groups(model, 0.01), model, base, lr=lr))


torch.manual_seed(0)
inputs = torch.randn(256, 16)
targets = (inputs[:, :8] * inputs[:, 8:]).sum(1, keepdim=True) / 8**0.5
for name, make in (("standard", standard), ("muP", mup)):
    print(f"=== {name}: mean change of each layer's output after 5 steps, by width ===")
    print(coord_check(make, WIDTHS, inputs, targets), "\n")
    for width in WIDTHS:
        losses = {}
        for exponent in range(-11, -3):
            torch.manual_seed(1)
            model, optimizer = make(width, 2.0**exponent)
            for _ in range(40):
                loss = (model(inputs) - targets).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            losses[exponent] = loss.item()
        best = min(losses, key=lambda e: losses[e])
        print(f"{name}, width {width}: best learning rate 2^{best}, loss {losses[best]:.4f}")
    print()
