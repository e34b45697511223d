"""Gradient flow through a deep ReLU net, drawn wrongly and rightly: one missing sqrt(3).

python examples/03_gradient_flow.py
"""

import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from allmlp.training import GradFlow


def deep_net(bound: float) -> nn.Sequential:
    """Twenty bias-free ReLU layers, weights uniform on +-bound / sqrt(fan_in), and a head."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise([784] + [256] * 20):
        linear = nn.Linear(fan_in, fan_out, bias=False)
        nn.init.uniform_(linear.weight, -bound / math.sqrt(fan_in), bound / math.sqrt(fan_in))
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(256, 10))


def train(model: nn.Module, steps: int) -> float:
    """A few steps on random labels; the loss of the last one."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    inputs, labels = torch.randn(256, 784), torch.randint(0, 10, (256,))
    for _ in range(steps):
        loss = F.cross_entropy(model(inputs), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return loss.item()


for name, bound in (("bound sqrt(2), which is He's deviation", math.sqrt(2)),
                    ("bound sqrt(6), whose deviation is He's", math.sqrt(6))):  # fmt: skip
    torch.manual_seed(0)
    model = deep_net(bound)
    with GradFlow(model, every=10) as flow:
        loss = train(model, steps=20)
    print(f"=== {name}: loss {loss:.3f} after 20 steps (chance: {math.log(10):.3f}) ===\n")
    print(f"{flow.report()}\n")

    # Weight gradients alone show nothing: that of layer l is (gradient of its output) times (its
    # input), and while the one shrinks downwards, the other shrinks upwards.
    hidden = flow.records[0].parameters[1:20]
    norms = [p.gradient for p in hidden if p.gradient is not None]
    print(f"weight gradient of the second over that of the last hidden layer, at the start: "
          f"{norms[0] / norms[-1]:.1f}\n")  # fmt: skip
