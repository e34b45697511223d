"""Images as one long vector: every pixel has weights of its own, and no neighbours.

Axes: b batch, c image channels, h w pixels, d width.
"""

from collections.abc import Mapping
from typing import Any, NoReturn

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.layers.layout import show_vector
from allmlp.layers.pixels import Pixels
from allmlp.models.contract import VisionModel

__all__ = ["PixelModel"]


class PixelModel(VisionModel):
    """Pixels in channel, row, column order, blocks over vectors, head.

    Args:
        config: with `img_size` and `in_chans`.
    """

    def __init__(self, config: Any):
        super().__init__()
        self.config = config
        self.grad_checkpointing = False
        self.pixels = Pixels(self.NAME, in_chans=config.in_chans, img_size=config.img_size)
        self.pool = nn.Identity()

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the blocks in the backward pass: less memory, a third more time."""
        self.grad_checkpointing = enable

    @classmethod
    def resize_config(cls, config: Any, img_size: tuple[int, int], method: Any) -> NoReturn:
        """Always refused: the weights belong to pixels.

        Raises:
            AllmlpError: always.
        """
        height, width = config.img_size
        raise AllmlpError(
            f"a {cls.NAME} has weights for each of its {height}x{width} pixels and no rule for "
            "others; scale the images with data.img_size, or train anew"
        )

    def resize_state(self, state: Mapping[str, Tensor], old_config: Any, method: Any) -> NoReturn:
        """Always refused, as `resize_config`.

        Raises:
            AllmlpError: always.
        """
        self.resize_config(old_config, self.config.img_size, method)

    def _finish(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        return x

    def _show(self, x: Float[Tensor, "b d"], output_fmt: str) -> Tensor:
        return show_vector(x, output_fmt)
