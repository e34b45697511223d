"""Answers of a model to every image of a part, gathered once.

Axes: n images, k classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from allmlp.data import BrokenImages, ImageFiles, Preprocess, iterate_batches
from allmlp.data.split import Images
from allmlp.errors import AllmlpError, listing
from allmlp.runs.config import Config
from allmlp.runs.images import prepare_images
from allmlp.training import NotFiniteError, autocast, choose_autocast_dtype

__all__ = ["Answers", "class_numbers", "gather_answers"]


@dataclass(frozen=True, eq=False)
class Answers:
    """Logits of every image that could be read, in order; on the CPU."""

    logits: Float[Tensor, "n k"]  # float32
    positions: Int64[Tensor, " n"]  # in the data


@torch.inference_mode()
def gather_answers(
    model: nn.Module,
    preprocess: Preprocess,
    images: Images,
    config: Config,
    device: torch.device,
    broken: BrokenImages | None = None,
) -> Answers:
    """What a model answers to every readable image.

    Args:
        model: in eval mode, on `device`.
        preprocess: what it expects.
        images: one part of some data; labels and classes play no role.
        config: says precision, batch size, memory, and how many images may be broken.
        device: where the model is.
        broken: told of images that cannot be read; None counts them here.

    Raises:
        AllmlpError: a set with other channels, or too many broken images.
        NotFiniteError: an answer that is no number; the first image is named.
    """
    # broken images are left out on the way: each carries its place where its label would be
    numbered = replace(images, labels=torch.arange(len(images)))
    prepared = prepare_images(numbered, preprocess, config.data, broken).to(device)
    dtype = choose_autocast_dtype(config.run.precision, device)
    logits, positions = [], []
    for batch, places in iterate_batches(prepared, preprocess, config.train.batch_size):
        with autocast(device, dtype):
            answer = model(batch)
        logits.append(answer.float().cpu())
        positions.append(places.cpu())
    if not any(map(len, logits)):
        raise AllmlpError(f"none of {len(images)} images can be read; give others")
    answers = Answers(torch.cat(logits), torch.cat(positions))
    _require_numbers(answers, images)
    return answers


def class_numbers(theirs: Sequence[str], ours: Sequence[str]) -> Int64[Tensor, " k"]:
    """Where each class of some data stands among the outputs of a model, by name.

    Raises:
        AllmlpError: the model does not know a class.
    """
    known = {name: number for number, name in enumerate(ours)}
    if unknown := [name for name in theirs if name not in known]:
        raise AllmlpError(
            f"the model knows {len(ours)} classes ({listing(ours)}), the data has others: "
            f"{listing(unknown)}; evaluate on data with the same classes"
        )
    return torch.tensor([known[name] for name in theirs])


def _require_numbers(answers: Answers, images: Images) -> None:
    # minus infinity is an answer (never this class); plus infinity and NaN have no softmax
    broken = answers.logits.amax(dim=1).isfinite().logical_not()  # amax hands NaN on
    if not broken.any():
        return
    first = int(answers.positions[broken][0])
    name = images.names[first] if isinstance(images, ImageFiles) else f"image {first}"
    raise NotFiniteError(
        f"scores need numbers, the model answers NaN or infinity to {int(broken.sum())} of "
        f"{len(broken)} images, first to {name}; use weights from before training diverged, or "
        "fp32"
    )
