"""Sweeps by name: sizes that fit a data set and a budget of time."""

from dataclasses import dataclass

from allmlp.scaling.trial import Settings

__all__ = ["PRESETS", "Preset"]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A grid and its settings; `make_trials` makes the table."""

    families: tuple[str, ...]
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    samples: tuple[int, ...]
    seeds: int
    settings: Settings


PRESETS: dict[str, Preset] = {
    # a few minutes on one core
    "digits": Preset(
        families=("mlp", "scaling_mlp", "mixer_digits"),
        widths=(8, 16, 32, 64),
        depths=(2,),
        samples=(160, 320, 640, 1250),
        seeds=3,
        settings=Settings(),
    ),
    # source is the folder of MNIST's files: pass --source
    "mnist": Preset(
        families=("mlp", "scaling_mlp", "mixer"),
        widths=(16, 32, 64, 128, 256),
        depths=(2, 4),
        samples=(1000, 3000, 10000, 30000, 54000),
        seeds=3,
        settings=Settings(source="mnist", img_size=28, epochs=10, batch_size=128),
    ),
    "cifar10": Preset(
        families=("mlp", "scaling_mlp", "mixer"),
        widths=(32, 64, 128, 256, 512),
        depths=(2, 4, 8),
        samples=(1000, 3000, 10000, 30000, 45000),
        seeds=3,
        settings=Settings(source="cifar10", img_size=32, epochs=20, batch_size=128),
    ),
}
