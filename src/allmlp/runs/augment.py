"""From a run's settings to what is done to its training images.

Axes: n images.
"""

from jaxtyping import Int64
from torch import Tensor

from allmlp.data import (
    Augment,
    AutoAugment,
    Erasing,
    Mix,
    RandAugment,
    ResizedCrop,
    TrivialAugment,
    Warp,
    balanced_order,
    repeated_order,
    shuffled_order,
)
from allmlp.data.policies import Policy
from allmlp.errors import check_integers
from allmlp.runs.config import AugmentConfig

__all__ = ["build_augment", "epoch_order"]


def build_augment(config: AugmentConfig) -> Augment:
    """The operations that are switched on.

    Raises:
        AllmlpError: a setting outside its range.
    """
    check_integers("augment", minimum=1, repeats=config.repeats)
    warp = Warp(shift=config.shift, rotate=config.rotate, scale=config.scale)
    mix = Mix(
        mixup=config.mixup, cutmix=config.cutmix, rate=config.mix_rate, switch=config.mix_switch
    )
    crop = config.crop_scale
    return Augment(
        crop=None if crop is None else ResizedCrop(scale=crop, ratio=config.crop_ratio),
        policy=_build_policy(config),
        pad=config.pad,
        flip=config.flip,
        warp=warp if warp else None,
        erase=Erasing(rate=config.erase, fill=config.erase_fill) if config.erase else None,
        mix=mix if mix else None,
    )


def epoch_order(
    config: AugmentConfig, labels: Int64[Tensor, " n"], seed: int, epoch: int
) -> Int64[Tensor, " n"]:
    """The visits of an epoch: shuffled or balanced, and repeated.

    Args:
        config: says which.
        labels: of the training images, on the CPU.
        seed: of the run.
        epoch: of it.
    """
    count = len(labels)
    order = (
        balanced_order(labels, seed, epoch)
        if config.balanced
        else shuffled_order(count, seed, epoch)
    )
    return repeated_order(order, count, config.repeats)


def _build_policy(config: AugmentConfig) -> Policy | None:
    match config.policy:
        case "randaugment":
            return RandAugment(
                layers=config.layers,
                magnitude=config.magnitude,
                deviation=config.magnitude_std,
                space=config.space,
            )
        case "trivialaugment":
            return TrivialAugment()
        case "autoaugment":
            return AutoAugment()
        case None:
            return None
