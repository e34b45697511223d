"""Test-time augmentation: one answer from several views of the same images.

Axes: b batch, c channels, h w pixels, k classes.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from allmlp.data.boxes import BOX_DRAWS
from allmlp.data.crop import ResizedCrop, crop_and_resize
from allmlp.data.draws import draw_uniforms
from allmlp.data.flip import flip_images
from allmlp.errors import AllmlpError, check_choice, check_integers

__all__ = ["View", "five_crops", "predict_views", "random_crops", "same", "with_flips"]

# from a batch of images (b, c, h, w), normalised, to another of the same shape
View = Callable[[Tensor], Tensor]

# down and right, as shares of the room there is
_PLACES = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))


def predict_views(
    predict: Callable[[Tensor], Tensor],
    images: Float[Tensor, "b c h w"],
    views: Sequence[View],
    *,
    mean: Literal["logit", "probability"] = "probability",
) -> Float[Tensor, "b k"]:
    """Class probabilities from all views of each image.

    Args:
        predict: from images to logits (b, k), a model in eval mode say.
        images: normalised.
        views: `with_flips(five_crops(0.875))`, say.
        mean: of what: `probability` averages the softmax of each view, `logit` takes the softmax of
            the averaged logits, in which one sure view outweighs several doubtful ones.

    Returns:
        Probabilities, float32, which sum to 1.

    Raises:
        AllmlpError: no view, or an unknown mean.

    Example:
        >>> import torch
        >>> logits = lambda x: torch.stack([x.mean((1, 2, 3)), x[:, 0, 0, 0]], dim=1)
        >>> predict_views(logits, torch.ones(1, 1, 2, 2), with_flips([same])).tolist()
        [[0.5, 0.5]]
    """
    check_choice("mean of views", mean, ("logit", "probability"))
    if not views:
        raise AllmlpError("predict_views needs at least one view; `same` is the image itself")
    total: Tensor | None = None
    for view in views:
        logits = predict(view(images)).float()
        part = logits.softmax(dim=1) if mean == "probability" else logits
        total = part if total is None else total + part
    assert total is not None
    average = total / len(views)
    return average if mean == "probability" else average.softmax(dim=1)


def same(images: Tensor) -> Tensor:
    """The view that is the image itself."""
    return images


def with_flips(views: Sequence[View]) -> list[View]:
    """Each view, and each view mirrored left to right."""

    def flipped(view: View) -> View:
        return lambda images: view(images).flip(3)

    return [*views, *(flipped(view) for view in views)]


def five_crops(share: float) -> list[View]:
    """The four corners and the centre, each `share` of both sides, scaled to the whole size.

    Raises:
        AllmlpError: a share outside (0, 1].

    Source: Krizhevsky et al. 2012, section 4.1 (there without scaling: the network took 224 of 256
    pixels).
    """
    if not 0 < share <= 1:
        raise AllmlpError(f"five_crops needs a share in (0, 1], got {share}")

    def crop(down: float, right: float) -> View:
        def view(images: Tensor) -> Tensor:
            height, width = images.shape[2:]
            tall, wide = max(1, round(share * height)), max(1, round(share * width))
            top, left = round(down * (height - tall)), round(right * (width - wide))
            part = images[:, :, top : top + tall, left : left + wide]
            return F.interpolate(part, (height, width), mode="bilinear", antialias=True)

        return view

    return [crop(*place) for place in _PLACES]


def random_crops(
    count: int, crop: ResizedCrop, index: Int64[Tensor, " b"], *, seed: int = 0
) -> list[View]:
    """Views as training with random-resized-crop and flip sees them, `count` for each image.

    A view of an image depends on seed, number of the view and the image's index alone.

    Args:
        count: of views.
        crop: as in training.
        index: positions in their data set of the images that will be viewed.
        seed: of the draws.

    Raises:
        AllmlpError: no view; or, when it is used, another number of images.

    Source: Bachmann et al. 2023, arXiv:2306.13575, which averages 100 of them.
    """
    check_integers("random_crops", minimum=1, count=count)

    def view(number: int) -> View:
        def take(images: Tensor) -> Tensor:
            if len(images) != len(index):
                raise AllmlpError(
                    f"random_crops was made for {len(index)} images, got {len(images)}; make the "
                    "views of each batch from its own index"
                )
            boxes = draw_uniforms(seed, number, "crop", index, BOX_DRAWS)
            flips = draw_uniforms(seed, number, "flip", index, 1)[:, 0] < 0.5
            size = (images.shape[2], images.shape[3])
            return flip_images(crop_and_resize(images, crop.boxes(boxes, size)), flips)

        return take

    return [view(number) for number in range(count)]
