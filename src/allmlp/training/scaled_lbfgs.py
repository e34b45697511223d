"""LBFGS in whatever unit a loss is measured.

torch's LBFGS remembers a pair of steps and gradients only where their product is above 1e-10. Under
a loss of 1e-8 it ends as steepest descent, and no tolerance says so. Here the loss is multiplied by
a power of two, exactly, so that the first gradient is large.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["ScaledLBFGS"]

# Bits of the first gradient's 1-norm. 2^40 leaves gradients of 1e-11 of it above torch's threshold,
# and its square inside float32.
_BITS = 40


class ScaledLBFGS(torch.optim.LBFGS):
    """`torch.optim.LBFGS`, the same for a loss and for its multiples by powers of two.

    The factor is chosen at the first gradient, and anew once the state is cleared. Arguments as in
    torch; `tolerance_grad` is in units of the multiplied loss, and best left at 0.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """One search, of up to `max_iter` iterations.

        Args:
            closure: clears the gradients, computes them anew and returns the loss.

        Returns:
            The loss at the start.
        """
        parameters = self._params
        state = self.state[parameters[0]]

        def scaled() -> float:
            with torch.enable_grad():
                loss = closure()
            loss = loss.item() if isinstance(loss, Tensor) else float(loss)
            gradients = [p.grad for p in parameters if p.grad is not None]
            if "loss_scale" not in state:
                state["loss_scale"] = _scale_of(gradients)
            for gradient in gradients:
                gradient.mul_(state["loss_scale"])
            return loss * state["loss_scale"]

        return super().step(scaled) / state["loss_scale"]


def _scale_of(gradients: list[Tensor]) -> float:
    size = float(sum(gradient.abs().sum() for gradient in gradients))
    return math.ldexp(1.0, _BITS - math.frexp(size)[1]) if 0 < size < math.inf else 1.0
