"""Whether two nets answer the same.

Axes: b batch.
"""

import torch
from torch import Tensor

from allmlp.deploy.graph import Graph, Net
from allmlp.errors import AllmlpError

__all__ = ["batch_sizes", "check_parity", "largest_difference"]


def batch_sizes(graph: Graph) -> tuple[int, int]:
    """The sizes that are compared: one example, and all there are; graphs are traced with two."""
    return 1, max(3, *(len(t) for t in graph.examples.values()))


def check_parity(graph: Graph, net: Net, tolerance: float) -> float:
    """Compare a net with the graph it was made of, at both `batch_sizes`.

    Returns:
        The largest difference, as in `largest_difference`.

    Raises:
        AllmlpError: it is above the tolerance, or the answers have other shapes.
    """
    found = 0.0
    for size in batch_sizes(graph):
        feeds = graph.take(size)
        expected, answered = graph(feeds), net(feeds)
        if expected.shape != answered.shape:
            raise AllmlpError(
                f"the exported file must answer as the model does, but for a batch of {size} its "
                f"answer is {tuple(answered.shape)} and not {tuple(expected.shape)}; nothing was "
                "written: please report it"
            )
        found = max(found, largest_difference(expected, answered))
    if not found <= tolerance:
        raise AllmlpError(
            f"the exported file must answer as the model does, to {tolerance:g} of the largest "
            f"answer, but differs by {found:.2g}; nothing was written: allow more with a larger "
            "tolerance, or please report it"
        )
    return found


def largest_difference(expected: Tensor, answered: Tensor) -> float:
    """The largest deviation as a share of the largest expected value.

    What is not finite must be the same at the same places; infinity is returned if it is not.

    Example:
        >>> largest_difference(torch.tensor([2.0, torch.nan]), torch.tensor([1.0, torch.nan]))
        0.5
    """
    expected, answered = expected.double(), answered.double()
    finite = expected.isfinite()
    others = expected[~finite].nan_to_num(), answered[~finite].nan_to_num()
    if not torch.equal(finite, answered.isfinite()) or not torch.equal(*others):
        return torch.inf
    expected, answered = expected[finite], answered[finite]
    if not len(expected):
        return 0.0
    difference = (expected - answered).abs().max()
    scale = expected.abs().max()
    # all zeros: no scale but the numbers' own
    return float(difference / scale if scale > 0 else difference)
