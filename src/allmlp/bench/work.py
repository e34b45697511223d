"""What is timed: a forward pass, a training step, a large matrix product.

Axes: b batch, c channels, h w pixels.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from allmlp.training import autocast

__all__ = ["forward_pass", "matrix_product", "noise", "training_step"]

# side of the square matrices: large enough for the peak, seconds nowhere
_SIDE = {"cpu": 2048, "cuda": 8192}


def noise(
    input_shape: tuple[int, int, int], batch_size: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Images of noise, (b, c, h, w), and their classes, (b,), all of them the first."""
    images = torch.randn(batch_size, *input_shape, device=device)
    return images, torch.zeros(batch_size, dtype=torch.long, device=device)


def forward_pass(
    model: nn.Module, images: Tensor, dtype: torch.dtype | None = None
) -> Callable[[], object]:
    """One forward pass without gradients.

    Args:
        model: in eval mode.
        images: (b, c, h, w).
        dtype: of autocast; None for none.
    """

    def run() -> object:
        with (
            torch.inference_mode(),
            autocast(images.device, dtype),
        ):
            return model(images)

    return run


def training_step(
    model: nn.Module, images: Tensor, labels: Tensor, dtype: torch.dtype | None = None
) -> Callable[[], object]:
    """One training step: forward, cross-entropy, backward, AdamW.

    Args:
        model: in training mode; its weights change.
        images: (b, c, h, w).
        labels: (b,), classes.
        dtype: of autocast around the forward pass; None for none.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def run() -> None:
        with autocast(images.device, dtype):
            loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return run


def matrix_product(device: torch.device, dtype: torch.dtype) -> tuple[Callable[[], object], int]:
    """One product of two square matrices, as near to a machine's peak as torch comes.

    Returns:
        The product to call, and its FLOPs, two for each multiply-accumulate.
    """
    side = _SIDE.get(device.type, _SIDE["cpu"])
    a, b = (torch.ones(side, side, device=device, dtype=dtype) for _ in range(2))
    result = torch.empty_like(a)

    def run() -> None:
        torch.mm(a, b, out=result)

    return run, 2 * side**3
