"""The gradient flow of a deep ReLU net as a picture: by depth, and over the first steps.

python examples/32_gradient_flow_picture.py
"""

import torch
from torch.nn import functional as F

from allmlp import MLP
from allmlp.interpret import draw_flow, draw_flow_history
from allmlp.training import GradFlow

torch.manual_seed(0)
inputs, labels = torch.randn(256, 64), torch.randint(0, 10, (256,))
for name, init in (("xavier", "xavier_uniform"), ("he", "he_normal")):
    model = MLP(64, 10, (128,) * 24, init=init, use_bias=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    with GradFlow(model) as flow:
        for _ in range(20):
            loss = F.cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    report = flow.report()
    print(f"{name}: loss {loss.item():.3f}; {report.verdicts[0]}")
    draw_flow(report).savefig(f"gradient_flow_{name}.png", dpi=120)
    draw_flow_history(flow.records).savefig(f"gradient_flow_{name}_history.png", dpi=120)
print("pictures: gradient_flow_xavier.png, gradient_flow_he.png and their histories")
