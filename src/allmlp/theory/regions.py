"""Counting the regions of a ReLU network: on a line, on a plane, or in a box."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.theory.box_regions import BoxRegions, box_regions
from allmlp.theory.exact_net import ExactNet
from allmlp.theory.line_regions import LineRegions, line_regions
from allmlp.theory.plane_regions import PlaneRegions, plane_regions
from allmlp.theory.relu_net import ReluNet, read_relu_net
from allmlp.theory.slices import Slice, read_box

__all__ = ["Regions", "count_regions"]

Regions = LineRegions | PlaneRegions | BoxRegions


def count_regions(
    model: nn.Module | ExactNet | ReluNet,
    box: Sequence[Any] = (-1, 1),
    slice: Slice | None = None,
    *,
    example: Tensor | None = None,
) -> Regions:
    """The activation regions of an MLP, all of them, and their count without rounding.

    A network of one input, or on a line, gives `LineRegions` (exact breakpoints); of two inputs, or
    on a plane, `PlaneRegions` (polygons, areas, neighbours); of more inputs `BoxRegions`, by linear
    programs, for small networks. All answer `count` (activation regions), `linear_count` (linear
    regions) and `certificate()`.

    Args:
        model: a module that is a chain of Linear, ReLU and what `read_relu_net` accepts besides,
            or an `ExactNet`.
        box: where to count: (low, high) for every coordinate, or a pair for each; on a slice in
            its coordinates.
        slice: a line or a plane through the input space.
        example: a batch (b, …) of inputs, where the model takes other than (b, d).

    Raises:
        AllmlpError: a model with other parts, a bad box, a slice of another space, or too many
            regions for linear programs.

    Source: docs/theory/regions.md. The recursion by layers follows Serra et al. 2018; regions are
    convex by Hanin and Rolnick 2019.

    Example:
        >>> from allmlp.theory import random_relu_net, zaslavsky
        >>> regions = count_regions(random_relu_net((2, 8, 8), seed=3))
        >>> len(regions.polygons) == regions.count, regions.certificate().holds
        (True, True)
        >>> count_regions(random_relu_net((2, 10), seed=3), box=(-99, 99)).count, zaslavsky(10, 2)
        (56, 56)
    """
    net = read_relu_net(model, example)
    d = net.in_features
    if slice is None and d <= 2:
        slice = Slice([0.0] * d, [[float(i == j) for j in range(d)] for i in range(d)])
    if slice is None:
        return box_regions(net, read_box(box, d))
    if len(slice.origin) != d:
        raise AllmlpError(
            f"the slice must lie in the model's input space of {d} dimensions, but has points of "
            f"{len(slice.origin)}; choose its points among the model's inputs"
        )
    m = len(slice.directions)
    limits = read_box(box, m)
    return line_regions(net, slice, limits) if m == 1 else plane_regions(net, slice, limits)
