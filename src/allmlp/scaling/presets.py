"""Sweeps by name: sizes that fit a data set and a budget of time."""

from dataclasses import dataclass

from allmlp.scaling.trial import Settings, Trial, make_trials

__all__ = ["PRESETS", "Preset"]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A grid and its settings.

    Attributes:
        families: of `FAMILIES`.
        widths: of each.
        depths: of each.
        samples: unique training images.
        seeds: runs at the cheap end.
        one_seed_from: samples from which on one run has to do, as it has for all depths but the
            first.
        settings: of all runs.
        wants: what `source` has to name instead; None if the data come with the library.
    """

    families: tuple[str, ...]
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    samples: tuple[int, ...]
    seeds: int
    one_seed_from: int
    settings: Settings
    wants: str | None = None

    def trials(self) -> list[Trial]:
        """The table."""
        grid = make_trials(self.families, self.widths, self.depths, self.samples, self.seeds)
        return [
            trial
            for trial in grid
            if trial.seed == 0
            or (trial.samples < self.one_seed_from and trial.depth == self.depths[0])
        ]


# widths at which size still limits a family: beyond, its exponent would be a guess. MNIST and CIFAR
# are hours on one core, reckoned from single runs
PRESETS: dict[str, Preset] = {
    "digits": Preset(
        families=("mlp", "scaling_mlp", "mixer_digits", "kan"),
        widths=(8, 16, 32, 64),
        depths=(2,),
        samples=(160, 320, 640, 1250),
        seeds=3,
        one_seed_from=10_000,
        settings=Settings(),
    ),
    "mnist": Preset(
        families=("mlp", "scaling_mlp", "mixer", "kan"),
        widths=(4, 8, 16, 32, 64),
        depths=(2, 4),
        samples=(1000, 3000, 10_000, 30_000),
        seeds=3,
        one_seed_from=30_000,
        settings=Settings(source="mnist", img_size=28, epochs=8, batch_size=128),
        wants="the folder of MNIST's files, or an .npz",
    ),
    "cifar10": Preset(
        families=("mlp", "scaling_mlp", "mixer", "kan"),
        widths=(8, 16, 32, 64),
        depths=(2, 4),
        samples=(1000, 3000, 10_000, 30_000),
        seeds=3,
        one_seed_from=30_000,
        settings=Settings(source="cifar10", img_size=32, epochs=8, batch_size=128),
        wants="the folder of CIFAR's files, a .zip of class folders, or an .npz",
    ),
}
