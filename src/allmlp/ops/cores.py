"""Which samples each core takes, and in tiles of how many.

Axes: b batch, i inputs, o outputs, m functions per input.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from allmlp.ops.threads import parts_of, team

__all__ = ["on_cores", "schedule"]

# Numbers in a tile of the basis, 1 MB of float32: that it is still in a core's second cache when it
# is multiplied is worth 4 to 8 % of a step.
TILE = 2**18
# On other devices, where every tile costs launches.
FAR_TILE = 2**22
# Below this many rows a product runs at a fraction of its speed: no core gets fewer,
MIN_ROWS = 32
# and no tile, where a core has more: a tile costs calls from Python as well.
TILE_ROWS = 96
# Every tile passes over the gradient of the weights once: with this many rows it hides behind the
# product. A tile of as many rows as there are outputs is no larger than the weights.
ENOUGH_ROWS = 256
# Multiply-adds that are worth a core: 0.2 ms, where calling one takes 0.05.
WORTH = 2**23


def schedule(x: Tensor, size: int, outputs: int) -> tuple[list[slice], int]:
    """Which samples each core takes, and the rows of their tiles, for products with (o, m, i).

    Args:
        x: inputs (b, i).
        size: m.
        outputs: o.
    """
    parts = _parts(x, size, outputs)
    slices = parts_of(x.shape[0], parts)
    numbers = max(size * x.shape[1], 1)
    tile = TILE if x.device.type == "cpu" else FAR_TILE
    most = max(tile // numbers, min(outputs, ENOUGH_ROWS), TILE_ROWS)
    length = slices[-1].stop - slices[-1].start  # the longest
    return slices, -(-length // max(-(-length // most), 1))  # tiles of about one size


def on_cores(work: Callable[[int, slice], None], slices: Sequence[slice]) -> int:
    """Call `work(n, slices[n])` for all n, each on a core; or once with n = 0 for all samples.

    Returns:
        The number of calls.
    """
    inference = torch.is_inference_mode_enabled()

    def body(part: int) -> None:
        with torch.inference_mode(inference), torch.no_grad():  # modes are a thread's own affair
            work(part, slices[part])

    if len(slices) > 1 and team(body, len(slices)):
        return len(slices)
    work(0, slice(0, slices[-1].stop))
    return 1


def _parts(x: Tensor, size: int, outputs: int) -> int:
    # modes, such as torch's counter, see the operations of their own thread alone
    if x.device.type != "cpu" or type(x) is not Tensor or _get_current_dispatch_mode() is not None:
        return 1
    work = x.numel() * size * outputs
    return max(min(torch.get_num_threads(), work // WORTH, x.shape[0] // MIN_ROWS), 1)
