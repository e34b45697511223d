"""Lion: steps of one size, in the direction of a sign.

Chen et al. 2023, Symbolic discovery of optimization algorithms, arXiv:2302.06675, algorithm 2.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from allmlp.errors import AllmlpError, check_rates

__all__ = ["Lion"]


class Lion(Optimizer):
    """θ ← θ − η (sign(β₁ m + (1 − β₁) g) + λ θ), then m ← β₂ m + (1 − β₂) g.

    Each element moves by η whatever its gradient, so η is 3 to 10 times smaller than AdamW's, and λ
    as much larger. One running mean is kept, half of what Adam keeps.

    Args:
        params: parameters, or groups of them.
        lr: η.
        betas: of the interpolation for the sign, and of the running mean.
        weight_decay: λ, decoupled, per unit of learning rate.

    Raises:
        AllmlpError: a negative rate, or a β outside [0, 1).
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ):
        check_rates("Lion", **dict(zip(("beta1", "beta2"), betas, strict=True)))
        for name, value in {"lr": lr, "weight_decay": weight_decay}.items():
            if not value >= 0:
                raise AllmlpError(f"Lion needs {name} of at least 0, got {value!r}")
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step.

        Args:
            closure: evaluates the loss again.

        Returns:
            What the closure does.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            lr, (beta1, beta2) = group["lr"], group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["exp_avg"] = torch.zeros_like(parameter)
                mean = state["exp_avg"]
                parameter.mul_(1 - lr * group["weight_decay"])
                parameter.add_(mean.lerp(parameter.grad, 1 - beta1).sign_(), alpha=-lr)
                mean.lerp_(parameter.grad, 1 - beta2)
        return loss
