"""Norms of vectors by name: those of tokens (`layers.norm`), and what else an MLP may have.

Axes: b batch, d width.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from allmlp.errors import AllmlpError, check_choice, check_integers
from allmlp.layers.norm import norm_factory

__all__ = ["VECTOR_NORMS", "BatchNorm", "DyT", "RMSNorm", "vector_norm"]


class BatchNorm(nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d` that survives a last batch of one example.

    One example has no variance: torch raises at it, in the middle of an epoch whose length is a
    multiple of the batch size plus one. Here it is normalised by the running statistics, as in
    `eval`, and leaves them alone. State dict and everything else are torch's.

    Shape:
        (b, d) -> (b, d); dtype unchanged.

    Raises:
        AllmlpError: at run time, more axes. Members of an ensemble or tokens have statistics of
            their own, which one norm over (b, ..., d) would mix.
    """

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        if x.ndim != 2:
            raise AllmlpError(
                f"batch norm in an MLP takes (batch, {self.num_features}), got "
                f"{tuple(x.shape)}; flatten the leading axes, or use norm='layer'"
            )
        if self.training and x.shape[0] == 1:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)


class RMSNorm(nn.RMSNorm):
    """`torch.nn.RMSNorm` with its weight in the dtype of its input.

    Under autocast the input comes in bf16 and the weight stays in fp32; torch then warns and leaves
    its fused kernel.

    Shape:
        (..., d) -> (..., d); dtype unchanged.
    """

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


class DyT(nn.Module):
    """`gamma tanh(alpha x) + beta`: dynamic tanh, in place of a norm and without statistics.

    Experimental: it is reported to help where data are scarce and to hurt where they are not
    (arXiv:2604.23434).

    Args:
        width: d.
        alpha: the start of the one slope shared by all units.

    Shape:
        (..., d) -> (..., d); dtype unchanged.

    Raises:
        AllmlpError: `width` is no positive integer.

    Source: Zhu et al. 2025, arXiv:2503.10622, eq. 1.

    Example:
        >>> DyT(2)(torch.tensor([[0.0, 100.0]])).tolist()
        [[0.0, 1.0]]
    """

    def __init__(self, width: int, *, alpha: float = 0.5):
        super().__init__()
        check_integers("DyT", minimum=1, width=width)
        self.alpha = nn.Parameter(torch.full((1,), alpha))
        self.gamma = nn.Parameter(torch.ones(width))
        self.beta = nn.Parameter(torch.zeros(width))

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        return torch.addcmul(self.beta, self.gamma, torch.tanh(self.alpha * x))


# torch's eps of batch and layer norms; its RMSNorm takes the machine's, at which the gradient of a
# row near zero grows by 3e3
_EPS = 1e-5

# from the width
VECTOR_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": norm_factory("none"),
    "batch": lambda width: BatchNorm(width, eps=_EPS),
    "layer": norm_factory("layer", eps=_EPS),
    "rms": lambda width: RMSNorm(width, eps=_EPS),
    "dyt": DyT,
    "affine": norm_factory("affine"),
}


def vector_norm(name: str, width: int) -> nn.Module:
    """A fresh norm by its name in `VECTOR_NORMS`.

    Raises:
        AllmlpError: nobody has this name; or a layer norm of one number, which is always zero.

    Example:
        >>> vector_norm("layer", 4)(torch.ones(1, 4)).tolist()
        [[0.0, 0.0, 0.0, 0.0]]
    """
    check_choice("norm", name, VECTOR_NORMS)
    if name == "layer" and width == 1:
        raise AllmlpError("a layer norm of one number is always zero; use another norm or width 2")
    return VECTOR_NORMS[name](width)
