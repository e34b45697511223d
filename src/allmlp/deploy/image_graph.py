"""Images as they are decoded to probabilities: the ends of a vision model, as modules.

Axes: b batch, c channels, h w pixels, k outputs.
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from allmlp.data import Preprocess

__all__ = ["ImageGraph"]


class ImageGraph(nn.Module):
    """Normalisation, network, and what becomes of its outputs.

    Args:
        model: in eval mode.
        preprocess: what it wants of images.
        answer: of the outputs.

    Shape:
        (b, c, h, w) uint8 -> (b, k) float32.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, model: nn.Module, preprocess: Preprocess, answer: nn.Module):
        super().__init__()
        self.model = model
        self.answer = answer
        self.dtype = next((p.dtype for p in model.parameters()), torch.float32)
        # the two numbers of `Preprocess.normalize`, computed once
        scale = torch.tensor(preprocess.std).mul(255).reciprocal()
        shift = torch.tensor(preprocess.mean).mul(255).mul(scale)
        self.register_buffer("scale", scale[:, None, None])
        self.register_buffer("shift", shift[:, None, None])

    def forward(self, images: UInt8[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        prepared = images.float() * self.scale - self.shift
        return self.answer(self.model(prepared.to(self.dtype))).float()
