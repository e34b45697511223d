"""Images as one long vector: for networks with weights of their own for every pixel.

Axes: b batch, c channels, h w pixels.
"""

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError

__all__ = ["Pixels"]


class Pixels(nn.Flatten):
    """Flatten images of one shape, in channel, row, column order.

    Args:
        owner: who takes these pixels, for the message.
        in_chans: c.
        img_size: h and w.

    Shape:
        (b, c, h, w) -> (b, c h w); dtype unchanged.

    Raises:
        AllmlpError: at run time, images of another shape.

    Example:
        >>> import torch
        >>> Pixels("an MLP", in_chans=1, img_size=(2, 3))(torch.zeros(5, 1, 2, 3)).shape
        torch.Size([5, 6])
    """

    def __init__(self, owner: str, *, in_chans: int, img_size: tuple[int, int]):
        super().__init__()
        self.owner = owner
        self.shape = (in_chans, *img_size)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b p"]:
        if images.shape[1:] != self.shape:
            raise AllmlpError(
                f"this {self.owner} was built for images of shape {self.shape} (channels, height, "
                f"width), got {tuple(images.shape[1:])}; scale them, or build it with img_size and "
                "in_chans to match"
            )
        return images.flatten(1)

    def extra_repr(self) -> str:
        return f"shape={self.shape}"
