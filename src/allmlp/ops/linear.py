"""A linear map, alone or with its GELU in one pass over memory, by the fastest CPU library.

Axes: b any leading axes, n in, m out.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from allmlp.ops.autocast import autocast_dtype
from allmlp.ops.transforms import unobserved

__all__ = ["GELUS", "linear", "linear_gelu"]

GELUS = ("tanh", "none")  # torch's names: the tanh approximation, and the exact erf form


def linear(
    x: Float[Tensor, "*b n"],
    weight: Float[Tensor, "m n"],
    bias: Float[Tensor, " m"] | None = None,
    plus: Float[Tensor, "*b m"] | None = None,
) -> Float[Tensor, "*b m"]:
    """`x @ weight.T + bias`, and `+ plus` if given.

    Eager inference on a CPU goes through oneDNN, whose products of many rows with few columns take
    0.7 to 0.95 of the time of torch's own (MKL); never more in any shape of these networks. A
    summand of the same dtype is added while the product is still in registers: no tensor for the
    product alone. Everything else is `F.linear`, then the sum. The two agree to rounding.

    Args:
        x: inputs.
        weight: as in `torch.nn.Linear(n, m)`.
        bias: one number for every output.
        plus: a stream that the product joins, say.

    Shape:
        (..., n) -> (..., m); output dtype = input dtype (autocast's dtype under autocast), and with
        `plus` as torch promotes the two.
    """
    if not _onednn_serves(x, weight, bias):
        y = F.linear(x, weight, bias)
    elif plus is None or not _joins(plus, x, weight):
        y = _onednn(x, weight, bias, "none", "")
    else:
        return torch.ops.mkldnn._linear_pointwise.binary(x, plus, weight, bias, "add")
    return y if plus is None else plus + y


def linear_gelu(
    x: Float[Tensor, "*b n"],
    weight: Float[Tensor, "m n"],
    bias: Float[Tensor, " m"],
    approximate: str,
) -> Float[Tensor, "*b m"]:
    """`gelu(x @ weight.T + bias)`.

    Eager inference on a CPU goes through oneDNN, which applies the activation while the product is
    still in registers; there torch's own tanh form costs three times its erf form. Everything else
    (gradients, transforms, compile, export, other devices) is `F.gelu(F.linear(x))`. The two agree
    to rounding.

    Args:
        x: inputs.
        weight: as in `torch.nn.Linear(n, m)`.
        bias: one number for every output.
        approximate: `tanh` or `none`, as in `torch.nn.GELU`.

    Shape:
        (..., n) -> (..., m); output dtype = input dtype (autocast's dtype under autocast).
    """
    if not _onednn_serves(x, weight, bias):
        return F.gelu(F.linear(x, weight, bias), approximate=approximate)
    return _onednn(x, weight, bias, "gelu", approximate)


def _onednn(
    x: Tensor, weight: Tensor, bias: Tensor | None, activation: str, approximate: str
) -> Tensor:
    dtype = autocast_dtype(x)
    if dtype is not None:
        x, weight = x.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], approximate)


def _joins(plus: Tensor, x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN adds `plus` to the product as it stands."""
    return (
        plus.dtype == x.dtype
        and autocast_dtype(x) is None
        and plus.is_contiguous()
        and plus.shape == (*x.shape[:-1], weight.shape[0])
        and not (torch.is_grad_enabled() and plus.requires_grad)
    )


def _onednn_serves(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    learned = x.requires_grad or weight.requires_grad or (bias is not None and bias.requires_grad)
    return (
        x.device.type == "cpu"
        and unobserved(x)
        and not (torch.is_grad_enabled() and learned)
        and torch.backends.mkldnn.is_available()
        and bool(torch.backends.mkldnn.enabled)
        and x.dtype == weight.dtype
        and x.dtype in (torch.float32, torch.bfloat16)
        and autocast_dtype(x) in (None, torch.float32, torch.bfloat16)
        and x.numel() > 0
    )
