"""What happens to single pictures before they join a batch, and the workers that do it.

Axes: b batch, c channels, h w pixels.
"""

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from allmlp.data.boxes import BOX_DRAWS, Box
from allmlp.data.crop import ResizedCrop
from allmlp.data.draws import draw_uniforms
from allmlp.data.image_set import ImageSet
from allmlp.data.policies import Policy
from allmlp.data.preprocess import to_tensor

__all__ = ["Item", "PictureEdit", "PicturePlan", "load_pictures", "read_edited"]

# a visit with its image, or with the name and reason of a broken one
Item = tuple[int, Tensor | None, tuple[str, str] | None]


@dataclass(frozen=True)
class PicturePlan:
    """What happens to one picture on one visit: everything random is decided."""

    edit: "PictureEdit"
    crop_draws: Tensor  # (1, n)
    policy_draws: list[float]

    def box(self, size: tuple[int, int]) -> Box:
        """What is shown of a picture of `size` (height, width): all of it without a crop."""
        if self.edit.crop is None:
            return 0, 0, size[0], size[1]
        top, left, height, width = self.edit.crop.boxes(self.crop_draws, size)[0].tolist()
        return top, left, height, width

    def alter(self, picture: Image.Image) -> Image.Image:
        """The picture after the policy."""
        if self.edit.policy is None:
            return picture
        return self.edit.policy(picture, self.policy_draws, self.edit.mean)


@dataclass(frozen=True, kw_only=True)
class PictureEdit:
    """Random-resized-crop and policy of one epoch. Goes to worker processes: it must pickle."""

    seed: int
    epoch: int
    crop: ResizedCrop | None
    policy: Policy | None
    mean: tuple[int, ...]  # of the data, a level for each channel

    def plan(self, visits: Sequence[int]) -> list[PicturePlan]:
        """One plan for each visit, drawn together since a draw alone costs as much as hundreds."""
        numbers = torch.tensor(visits, dtype=torch.int64)
        crop = draw_uniforms(
            self.seed, self.epoch, "crop", numbers, 0 if self.crop is None else BOX_DRAWS
        )
        policy = draw_uniforms(
            self.seed,
            self.epoch,
            "policy",
            numbers,
            0 if self.policy is None else self.policy.draws,
        )
        return [
            PicturePlan(self, boxes, numbers)
            for boxes, numbers in zip(crop.unsqueeze(1), policy.tolist(), strict=True)
        ]


def load_pictures(
    pictures: Dataset[Item], batches: Sequence[Tensor], shape: tuple[int, ...], workers: int
) -> Iterator[tuple[Tensor, Tensor, list[tuple[str, str]]]]:
    """For each batch of visits those that are intact, their images, and the broken ones.

    The workers start at once, not with the first batch.

    Args:
        pictures: gives the items of several visits by `__getitems__`.
        batches: visits (b,).
        shape: of every image.
        workers: processes; 0 is this one.
    """
    return iter(
        DataLoader(
            pictures,
            batch_sampler=[batch.tolist() for batch in batches],
            num_workers=workers,
            collate_fn=partial(_collate, shape),
            worker_init_fn=_leave_signals_to_the_parent,
            # or the loader would draw from torch's global state
            generator=torch.Generator(),
        )
    )


def read_edited(
    images: ImageSet, batches: Sequence[Tensor], edit: PictureEdit, workers: int = 0
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """As `ImageSet.read`, each picture edited.

    Args:
        images: on any device; the pictures are edited on the CPU.
        batches: visits (b,).
        edit: what to do.
        workers: processes; 0 is this one.
    """
    device, source = images.images.device, images.to("cpu")
    shape = tuple(source.images.shape[1:])
    loaded = load_pictures(_Edited(source, edit), batches, shape, workers)
    return (
        (visits, pixels.to(device), source.labels[visits % len(source)].to(device))
        for visits, pixels, _ in loaded
    )


class _Edited(Dataset[Item]):
    def __init__(self, images: ImageSet, edit: PictureEdit):
        self.images = images
        self.edit = edit

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, visits: list[int]) -> list[Item]:
        return [
            (visit, self._edited(visit, plan), None)
            for visit, plan in zip(visits, self.edit.plan(visits), strict=True)
        ]

    def _edited(self, visit: int, plan: PicturePlan) -> Tensor:
        pixels = self.images.images[visit % len(self.images)]
        height, width = pixels.shape[1:]
        picture = Image.fromarray(pixels.permute(1, 2, 0).squeeze(2).numpy())
        top, left, tall, wide = plan.box((height, width))
        if (tall, wide) != (height, width):
            # cut first: `resize(box=)` looks beyond the box, `crop_and_resize` does not
            picture = picture.crop((left, top, left + wide, top + tall))
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        return to_tensor(plan.alter(picture))


def _collate(
    shape: tuple[int, ...], items: list[Item]
) -> tuple[Tensor, Tensor, list[tuple[str, str]]]:
    intact = [(visit, image) for visit, image, _ in items if image is not None]
    broken = [reason for _, _, reason in items if reason is not None]
    visits = torch.tensor([visit for visit, _ in intact], dtype=torch.int64)
    images = [image for _, image in intact]
    stacked = torch.stack(images) if images else torch.empty(0, *shape, dtype=torch.uint8)
    return visits, stacked, broken


def _leave_signals_to_the_parent(worker: int) -> None:
    # Ctrl-C reaches every process of the terminal, but the parent still wants its batch; SIGTERM
    # must end a worker whatever handler it inherited
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
