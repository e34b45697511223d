"""What a batch norm does at evaluation: a scale and a shift per channel.

Axes: d channels.
"""

from jaxtyping import Float64
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from allmlp.errors import AllmlpError

__all__ = ["scale_and_shift"]


def scale_and_shift(norm: _BatchNorm) -> tuple[Float64[Tensor, " d"], Float64[Tensor, " d"]]:
    """`norm(x) = scale * x + shift` in evaluation, with the running statistics, in float64.

    Raises:
        AllmlpError: a norm that keeps no statistics, or learns no scale.
    """
    mean, var = norm.running_mean, norm.running_var
    if mean is None or var is None or not norm.affine:
        raise AllmlpError(
            "a batch norm without running statistics, scale or shift depends on the batch and "
            "cannot be merged; train it with affine=True and track_running_stats=True"
        )
    scale = norm.weight.double() / (var.double() + norm.eps).sqrt()
    return scale, norm.bias.double() - mean.double() * scale
