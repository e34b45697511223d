"""Which inputs an output depends on: integrated gradients and occlusion, for any model.

Papers: Sundararajan et al. 2017, Axiomatic attribution for deep networks, arXiv:1703.01365; Zeiler
and Fergus 2014, arXiv:1311.2901, §4.2 (occlusion).
Axes: b batch, c channels, h w pixels, s nodes of the quadrature.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_integers
from allmlp.interpret.modes import evaluating

__all__ = ["Attribution", "integrated_gradients", "occlusion"]


@dataclass(frozen=True, eq=False)
class Attribution:
    """What every input adds to an output on the way from the baseline.

    Attributes:
        values: in the shape of the inputs.
        gap: (b,), the output's change minus the sum of the values; 0 but for the quadrature.
    """

    values: Float[Tensor, "b ..."]
    gap: Float[Tensor, " b"]


def integrated_gradients(
    model: nn.Module,
    x: Float[Tensor, "b ..."],
    target: int | Int64[Tensor, " b"] | Int[np.ndarray, " b"],
    *,
    baseline: Tensor | None = None,
    steps: int = 32,
) -> Attribution:
    """(x - x0) * integral over t in [0, 1] of the gradient at x0 + t (x - x0).

    DIFF: Gauss-Legendre nodes instead of a Riemann sum: exact for networks that are polynomials of
    degree up to 2 `steps`, such as bilinear ones.

    Args:
        model: (b, ...) -> (b, k); its mode and its gradients do not change.
        x: inputs.
        target: which output, the same for all or one for each.
        baseline: x0, broadcast to x; None for 0.
        steps: nodes of the quadrature, one forward and backward pass each.

    Raises:
        AllmlpError: no output of that number, or fewer than one step.
    """
    check_integers("integrated_gradients", minimum=1, steps=steps)
    x = x.detach()
    start = torch.zeros_like(x) if baseline is None else baseline.detach().expand_as(x)
    nodes, weights = np.polynomial.legendre.leggauss(steps)  # on [-1, 1]
    total = torch.zeros_like(x)
    with evaluating(model):
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            point = (start + node * (x - start)).requires_grad_()
            with torch.enable_grad():
                chosen = _choose(model(point), target).sum()
                total += weight * torch.autograd.grad(chosen, point)[0]
        with torch.no_grad():
            change = _choose(model(x), target) - _choose(model(start), target)
    values = (x - start) * total
    return Attribution(values, change - values.flatten(1).sum(1))


@torch.no_grad()
def occlusion(
    model: nn.Module,
    images: Float[Tensor, "b c h w"],
    target: int | Int64[Tensor, " b"] | Int[np.ndarray, " b"],
    *,
    size: int,
    stride: int | None = None,
    fill: float = 0.0,
) -> Float[Tensor, "b h w"]:
    """By how much an output falls when a square of the image is covered.

    Every pixel gets the mean over the squares that cover it; with `stride=size` the squares tile
    the image. The last row and column of squares are shifted inwards to end at the border.

    Args:
        model: (b, c, h, w) -> (b, k); its mode does not change.
        images: prepared as the model wants them.
        target: which output, the same for all or one for each.
        size: pixels along the side of the square.
        stride: pixels between squares; None is `size`.
        fill: what covers; 0 is the mean of normalised images.

    Raises:
        AllmlpError: no output of that number, or a square larger than the image.
    """
    stride = size if stride is None else stride
    check_integers("occlusion", minimum=1, size=size, stride=stride)
    height, width = images.shape[2:]
    if size > min(height, width):
        raise AllmlpError(f"a square of {size} pixels does not fit into {height}x{width}")
    drop = images.new_zeros(len(images), height, width)
    count = images.new_zeros(height, width)
    with evaluating(model):
        whole = _choose(model(images), target)
        for top in _starts(height, size, stride):
            for left in _starts(width, size, stride):
                square = (slice(top, top + size), slice(left, left + size))
                covered = images.clone()
                covered[:, :, *square] = fill
                drop[:, *square] += (whole - _choose(model(covered), target))[:, None, None]
                count[square] += 1
    return drop / count.clamp(min=1)


def _starts(length: int, size: int, stride: int) -> list[int]:
    starts = list(range(0, length - size + 1, stride))
    return starts if starts[-1] == length - size else [*starts, length - size]


def _choose(outputs: Tensor, target: int | Tensor | np.ndarray) -> Float[Tensor, " b"]:
    numbers = torch.as_tensor(target)
    highest, lowest = int(numbers.max()), int(numbers.min())
    if lowest < 0 or highest >= outputs.shape[1]:
        wrong = lowest if lowest < 0 else highest
        raise AllmlpError(f"the model has {outputs.shape[1]} outputs, there is no output {wrong}")
    chosen = numbers.to(outputs.device, torch.int64).expand(len(outputs))
    return outputs.gather(1, chosen[:, None])[:, 0]
