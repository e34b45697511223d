"""What the formats of KANs share: layers counted, sizes checked against each other.

Axes: i inputs, o outputs, m functions per edge, t knots.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError

__all__ = ["chain_widths", "same_in_all", "spline_sizes"]


def spline_sizes(
    format: str, layer: int, knots: Float[Tensor, "i t"], weight: Float[Tensor, "o m j"]
) -> tuple[int, int]:
    """Grid intervals and degree that knots and coefficients imply.

    Raises:
        AllmlpError: no splines have so many of both.
    """
    inputs, count = knots.shape
    k = count - 1 - weight.shape[1]
    if inputs != weight.shape[2] or k < 1 or weight.shape[1] <= k:
        raise AllmlpError(
            f"layer {layer} of this {format} file has {count} knots for {inputs} inputs and "
            f"{weight.shape[1]} coefficients for {weight.shape[2]}; splines of degree k on g "
            "intervals have g + 2k + 1 knots and g + k coefficients"
        )
    return weight.shape[1] - k, k


def same_in_all(format: str, what: str, values: Sequence[object]) -> None:
    """Require that all layers agree.

    Raises:
        AllmlpError: they do not.
    """
    if len(set(values)) > 1:
        raise AllmlpError(
            f"the layers of this {format} file differ in {what}: {list(values)}; a KAN has one"
        )


def chain_widths(format: str, shapes: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Widths from the (outputs, inputs) of layers in order.

    Raises:
        AllmlpError: a layer takes another number than the one before it gives.
    """
    widths = [shapes[0][1]]
    for number, (outputs, inputs) in enumerate(shapes):
        if inputs != widths[-1]:
            raise AllmlpError(
                f"layer {number} of this {format} file takes {inputs} values, the one before it "
                f"gives {widths[-1]}; is it whole?"
            )
        widths.append(outputs)
    return tuple(widths)
