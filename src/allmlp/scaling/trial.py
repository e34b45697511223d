"""What a sweep trains: a table of sizes, and the settings that all of its runs share."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import product
from typing import Any

from allmlp.errors import AllmlpError, check_integers
from allmlp.scaling.families import find_family

__all__ = ["Settings", "Trial", "make_trials"]


@dataclass(frozen=True, order=True)
class Trial:
    """One training.

    Attributes:
        family: of `FAMILIES`.
        width: as the family understands it.
        depth: likewise.
        samples: unique training images.
        seed: of weights and order.
    """

    family: str
    width: int
    depth: int
    samples: int
    seed: int

    @property
    def key(self) -> str:
        """Its name, of its folder for example."""
        return f"{self.family}-w{self.width}-d{self.depth}-n{self.samples}-s{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What all runs of a sweep share.

    Attributes:
        source: of the data, as in `allmlp train`.
        img_size: pixels, side.
        epochs: passes over the unique samples.
        batch_size: examples per step.
        weight_decay: AdamW's, of matrices only.
        warmup: epochs of linear warm-up, then a cosine.

    Raises:
        AllmlpError: a size is no positive integer, or nothing is left of the epochs after warm-up.
    """

    source: str = "digits"
    img_size: int = 8
    epochs: int = 20
    batch_size: int = 32
    weight_decay: float = 0.05
    warmup: float = 1.0

    def __post_init__(self) -> None:
        sizes = {"epochs": self.epochs, "batch_size": self.batch_size, "img_size": self.img_size}
        check_integers("a sweep", minimum=1, **sizes)
        if not 0 <= self.warmup < self.epochs:
            raise AllmlpError(
                f"a sweep's {self.warmup:g} epochs of warm-up must leave some of its {self.epochs} "
                "epochs; train longer, or warm up for less"
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Settings":
        """The inverse of `dataclasses.asdict`.

        Raises:
            AllmlpError: a field is missing, or one too many.
        """
        if set(values) != {field.name for field in fields(cls)}:
            raise AllmlpError(f"not the settings of a sweep: {', '.join(values)}")
        return cls(**values)

    def config(self, trial: Trial, folder: str) -> dict[str, Any]:
        """The run of one trial: no augmentation, no smoothing, so that samples are what they seem.

        Args:
            trial: of the sweep.
            folder: of the run.
        """
        family = find_family(trial.family)
        settings = asdict(self)
        return {
            "run": {"dir": folder, "seed": trial.seed, "precision": "fp32"},
            "data": {
                "source": settings.pop("source"),
                "img_size": settings.pop("img_size"),
                "samples": trial.samples,
            },
            "model": {"name": family.model, "overrides": family.sizes(trial.width, trial.depth)},
            "train": {
                **settings,
                "lr": family.learning_rate(trial.width),
                "label_smoothing": 0.0,
            },
            "augment": {"shift": 0.0, "rotate": 0.0, "scale": 0.0},
        }


def make_trials(
    families: Sequence[str],
    widths: Iterable[int],
    depths: Iterable[int],
    samples: Iterable[int],
    seeds: int,
) -> list[Trial]:
    """All combinations, in an order that a table half full is spread over the grid.

    Args:
        families: names.
        widths: of each.
        depths: of each.
        samples: unique training images.
        seeds: runs of each combination: 0 … seeds - 1.

    Raises:
        AllmlpError: an unknown family, a size below 1, or nothing at all.

    Example:
        >>> [trial.key for trial in make_trials(["mlp"], [8], [2], [100], seeds=2)]
        ['mlp-w8-d2-n100-s0', 'mlp-w8-d2-n100-s1']
    """
    widths, depths, samples = list(widths), list(depths), list(samples)
    check_integers("a sweep", minimum=1, seeds=seeds)
    for name in families:
        find_family(name)
    for kind, values in {"width": widths, "depth": depths, "samples": samples}.items():
        for value in values:
            check_integers("a sweep", minimum=1, **{kind: value})
    grid = product(families, widths, depths, samples, range(seeds))
    trials = sorted({Trial(*row) for row in grid})
    if not trials:
        raise AllmlpError("a sweep needs a family, a width, a depth and a number of samples")
    # always the same order: every worker goes through it
    random.Random(0).shuffle(trials)
    return trials
