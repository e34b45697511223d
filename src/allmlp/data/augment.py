"""Everything that is done to training images at random, in one object and one order.

Axes: b batch, c channels, h w pixels, n visits.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from allmlp.data.boxes import BOX_DRAWS
from allmlp.data.crop import ResizedCrop, crop_and_resize
from allmlp.data.draws import draw_bytes, draw_uniforms, epoch_generator
from allmlp.data.erase import ERASE_DRAWS, Erasing, erase_images
from allmlp.data.flip import flip_images, pad_crop_images
from allmlp.data.mix import Mix
from allmlp.data.pictures import PictureEdit
from allmlp.data.policies import Policy
from allmlp.data.warp import Warp, warp_images
from allmlp.errors import AllmlpError, check_integers

__all__ = ["Augment", "EpochAugment"]


@dataclass(frozen=True, kw_only=True)
class Augment:
    """How training images are varied; the fields stand in the order in which they are applied.

    1. `crop`, `policy`: to single pictures, files at their full size, in worker processes. Pixels
       in memory are cropped as a batch if there is no policy.
    2. `pad`, `flip`, `warp`, `erase`: to batches of bytes, on their device.
    3. `mix`: to batches that are normalised, and to their labels.

    What happens to an image depends on seed, epoch and visit (see `order`); how a batch is mixed,
    on seed, epoch and the number of the batch.

    Raises:
        AllmlpError: a negative pad, or a flip outside [0, 1].
    """

    crop: ResizedCrop | None = None
    policy: Policy | None = None
    pad: int = 0  # pixels of zeros around the image that pad-crop cuts it out of
    flip: float = 0.0  # probability of a horizontal flip
    warp: Warp | None = None
    erase: Erasing | None = None
    mix: Mix | None = None

    def __post_init__(self) -> None:
        check_integers("pad-crop", minimum=0, pad=self.pad)
        if not 0 <= self.flip <= 1:
            raise AllmlpError(f"augmentation needs flip in [0, 1], got {self.flip}")


class EpochAugment:
    """The same with seed and epoch: everything it draws is decided.

    Args:
        augment: what to do.
        seed: of the run.
        epoch: of it.
        count: of the images.
        mean: of the data in [0, 1], of each channel: what erased boxes and policies fill in.
    """

    def __init__(
        self, augment: Augment, seed: int, epoch: int, count: int, mean: tuple[float, ...]
    ):
        self.augment = augment
        self.seed = seed
        self.epoch = epoch
        self.mean = tuple(round(255 * level) for level in mean)
        self._warps: Float[Tensor, "n 4"] | None = None
        if augment.warp:
            # the one table, of everybody's first visit: its draws are older than those that count
            self._warps = augment.warp.draw(count, epoch_generator(seed, epoch, "warp"))

    def edit(self, *, files: bool) -> PictureEdit | None:
        """What is done to single pictures, or None if nothing is.

        Args:
            files: they are decoded from files, so that a crop can be taken at full size.
        """
        augment = self.augment
        if augment.policy is None and not (files and augment.crop):
            return None
        return PictureEdit(
            seed=self.seed,
            epoch=self.epoch,
            crop=augment.crop,
            policy=augment.policy,
            mean=self.mean,
        )

    def change(
        self, images: UInt8[Tensor, "b c h w"], visits: Int64[Tensor, " b"], *, cropped: bool
    ) -> UInt8[Tensor, "b c h w"]:
        """What is done to a batch of bytes.

        Args:
            images: a batch on any device.
            visits: of the images, on the CPU.
            cropped: `edit` has seen to the crop.
        """
        augment = self.augment
        size = (images.shape[2], images.shape[3])
        if augment.crop is not None and not cropped:
            boxes = augment.crop.boxes(self._draw("crop", visits, BOX_DRAWS), size)
            images = crop_and_resize(images, boxes)
        if augment.pad:
            corners = (self._draw("pad", visits, 2) * (2 * augment.pad + 1)).long()
            images = pad_crop_images(images, augment.pad, corners)
        if augment.flip:
            images = flip_images(images, self._draw("flip", visits, 1)[:, 0] < augment.flip)
        if augment.warp is not None:
            images = warp_images(images, self._warps_of(visits, augment.warp))
        if augment.erase is not None:
            images = self._erase(images, visits, augment.erase)
        return images

    def mix(
        self,
        images: Float[Tensor, "b c h w"],
        labels: Int64[Tensor, " b"],
        num_classes: int,
        number: int,
    ) -> tuple[Float[Tensor, "b c h w"], Tensor]:
        """Mix a normalised batch; labels become weights of all classes (b, k).

        Without mixing, images and labels come back as they are.

        Args:
            images: a batch, which may be overwritten.
            labels: indices into classes.
            num_classes: k.
            number: of the batch in its epoch.
        """
        if not self.augment.mix:
            return images, labels
        generator = epoch_generator(self.seed, self.epoch, f"mix/{number}")
        return self.augment.mix.apply(images, labels, num_classes, generator)

    def _warps_of(self, visits: Int64[Tensor, " b"], warp: Warp) -> Float[Tensor, "b 4"]:
        assert self._warps is not None
        again = visits >= len(self._warps)
        drawn = self._warps[visits.clamp(max=len(self._warps) - 1)]
        # a rare image that is balanced has as many visits as the data have images: no table of them
        drawn[again] = warp.of(self._draw("warp", visits[again], 4))
        return drawn

    def _draw(self, purpose: str, visits: Int64[Tensor, " b"], count: int) -> Float[Tensor, "b n"]:
        return draw_uniforms(self.seed, self.epoch, purpose, visits, count)

    def _erase(
        self, images: UInt8[Tensor, "b c h w"], visits: Int64[Tensor, " b"], erase: Erasing
    ) -> UInt8[Tensor, "b c h w"]:
        channels, height, width = images.shape[1:]
        boxes = erase.boxes(self._draw("erase", visits, ERASE_DRAWS), (height, width))
        if erase.fill == "mean":
            level = torch.tensor(self.mean, dtype=torch.uint8, device=images.device)
            return erase_images(images, boxes, [level[:, None, None]] * len(images))
        chosen = boxes[:, 2] > 0
        most = channels * int((boxes[:, 2] * boxes[:, 3]).amax()) if len(boxes) else 0
        noise = draw_bytes(self.seed, self.epoch, "noise", visits[chosen], most).to(images.device)
        rows = iter(noise)
        fills = [
            next(rows)[: channels * tall * wide].view(channels, tall, wide) if tall else noise
            for tall, wide in boxes[:, 2:].tolist()
        ]
        return erase_images(images, boxes, fills)
