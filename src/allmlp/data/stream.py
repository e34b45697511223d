"""Image files as batches: decoded once into memory if they are few, streamed by workers if not.

Both give the same batches, whatever the number of workers.

Axes: b batch, c channels, h w pixels.
"""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from allmlp.data.image_files import ImageFiles
from allmlp.data.image_set import ImageSet
from allmlp.data.pictures import Item, PictureEdit, PicturePlan, load_pictures
from allmlp.data.preprocess import Preprocess, to_tensor
from allmlp.data.split import Images
from allmlp.errors import AllmlpError, listing, printable

__all__ = ["BrokenImages", "ImageStream", "choose_workers", "prepare"]

# of 224 pixels square: the mean of as many images is within 0.01 of that of all
_SAMPLED = 2000

# what a worker hands over at once when everything is decoded
_CHUNK = 64


class BrokenImages:
    """Which images could not be read and why, and when there are too many of them.

    Args:
        total: images there are.
        share: of them that may be broken; at least one may if it is above 0. With 0 the first
            broken image is an error.
    """

    def __init__(self, total: int, share: float):
        self.limit = max(1, math.floor(share * total)) if share > 0 else 0
        self.total = total
        self.reasons: dict[str, str] = {}

    def add(self, name: str, reason: str) -> None:
        """Note a broken image; the same one twice counts once.

        Raises:
            AllmlpError: these are too many.
        """
        self.reasons[name] = reason
        if len(self.reasons) <= self.limit:
            return
        allowed = f"{self.limit} of {self.total} may be broken" if self.limit else "none may be"
        raise AllmlpError(
            f"cannot read {len(self.reasons)} images, {allowed}: {listing(self._described())}; "
            "repair or remove them, or allow more (max_broken)"
        )

    def __str__(self) -> str:
        return (
            f"{len(self.reasons)} of {self.total} images cannot be read and are left out: "
            f"{listing(self._described())}"
        )

    def _described(self) -> list[str]:
        return [printable(f"{name} ({reason})") for name, reason in self.reasons.items()]


@dataclass(frozen=True, eq=False)
class ImageStream:
    """Image files that are decoded whenever they are read.

    Broken images are left out of their batch.
    """

    files: ImageFiles
    preprocess: Preprocess
    workers: int  # processes that decode; 0 decodes here
    broken: BrokenImages
    device: torch.device | str = "cpu"  # of what is read

    def __len__(self) -> int:
        return len(self.files)

    @property
    def labels(self) -> Tensor:
        """Indices into classes, of all files (n,)."""
        return self.files.labels

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names."""
        return self.files.classes

    def channel_statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """As of an `ImageSet`, from 2,000 images at most, evenly spaced."""
        step = max(1, -(-len(self) // _SAMPLED))
        sample = self.files.take(torch.arange(0, len(self), step))
        return _decode_all(replace(self, files=sample)).channel_statistics()

    def to(self, device: torch.device | str) -> "ImageStream":
        """The same stream with its batches on `device`."""
        return replace(self, device=device)

    def read(
        self, batches: Sequence[Tensor], edit: PictureEdit | None = None
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """For each batch of visits: those that are intact, images as bytes, and labels.

        A visit is the position of an image, plus the number of images for every earlier visit of
        the same in an epoch. The workers start at once, not with the first batch. A batch of broken
        images alone is empty.

        Args:
            batches: visits (b,).
            edit: what happens to each picture when it is decoded.

        Raises:
            AllmlpError: too many broken images.
        """
        files = _Decoded(self.files, self.preprocess, edit)
        shape = (self.preprocess.in_chans, *self.preprocess.img_size)
        return self._labelled(load_pictures(files, batches, shape, self.workers))

    def _labelled(
        self, loaded: Iterator[tuple[Tensor, Tensor, list[tuple[str, str]]]]
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for visits, images, broken in loaded:
            for name, reason in broken:
                self.broken.add(name, reason)
            labels = self.files.labels[visits % len(self)]
            yield visits, images.to(self.device), labels.to(self.device)


def prepare(
    images: Images,
    preprocess: Preprocess,
    *,
    broken: BrokenImages,
    cache_gib: float,
    workers: int | None = None,
) -> ImageSet | ImageStream:
    """Images at the model's size: in memory if they fit, else a stream.

    Args:
        images: sets are resized, grey ones for all channels; files are decoded by `preprocess`.
        preprocess: size, channels and resampling; mean and deviation are not used.
        broken: told of unreadable images.
        cache_gib: 2^30 bytes of decoded pixels up to which files are decoded once.
        workers: processes that decode; None takes one for each core, 8 at most, and none for a few
            images.

    Raises:
        AllmlpError: too many broken images, none that is intact, or a set with other channels.
    """
    if isinstance(images, ImageSet):
        return images.with_channels(preprocess.in_chans).resize(preprocess.img_size)
    stream = ImageStream(images, preprocess, choose_workers(workers, len(images)), broken)
    height, width = preprocess.img_size
    if len(images) * preprocess.in_chans * height * width > cache_gib * 2**30:
        return stream
    return _decode_all(stream)


def choose_workers(workers: int | None, count: int) -> int:
    """As asked, or one for each core, 8 at most, and none for a few images."""
    if workers is not None:
        return workers
    # starting processes takes as long as decoding a hundred photographs
    return min(8, _cores()) if count > 500 else 0


def _decode_all(stream: ImageStream) -> ImageSet:
    preprocess = stream.preprocess
    pixels = torch.empty(len(stream), preprocess.in_chans, *preprocess.img_size, dtype=torch.uint8)
    intact = torch.zeros(len(stream), dtype=torch.bool)
    for chosen, images, _ in stream.read(torch.arange(len(stream)).split(_CHUNK)):
        pixels[chosen] = images
        intact[chosen] = True
    if not intact.any():
        raise AllmlpError(f"no intact image among {len(stream)}: {stream.broken}")
    if not intact.all():
        pixels = pixels[intact]
    return ImageSet(pixels, stream.labels[intact], stream.classes)


class _Decoded(Dataset[Item]):
    def __init__(self, files: ImageFiles, preprocess: Preprocess, edit: PictureEdit | None):
        self.files = files
        self.preprocess = preprocess
        self.edit = edit

    def __len__(self) -> int:
        return len(self.files)

    def __getitems__(self, visits: list[int]) -> list[Item]:
        plans = [None] * len(visits) if self.edit is None else self.edit.plan(visits)
        return [self._item(visit, plan) for visit, plan in zip(visits, plans, strict=True)]

    def _item(self, visit: int, plan: PicturePlan | None) -> Item:
        name = self.files.names[visit % len(self.files)]
        try:
            return visit, to_tensor(self._picture(self.files.reader.read(name), plan)), None
        except AllmlpError as e:
            return visit, None, (name, str(e))
        except OSError as e:
            return visit, None, (name, e.strerror or str(e))

    def _picture(self, data: bytes, plan: PicturePlan | None) -> Image.Image:
        if plan is None:
            return self.preprocess.decode_picture(data)
        choose = None if plan.edit.crop is None else plan.box
        return plan.alter(self.preprocess.decode_picture(data, choose))


def _cores() -> int:
    """Cores this process may use, which is fewer than the machine has in most containers."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
