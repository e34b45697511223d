"""RandAugment, TrivialAugment and AutoAugment: random operations on one picture.

The tables below are the policies: which operations there are, and how a level becomes a strength.

Papers: AutoAugment, Cubuk et al. 2018, arXiv:1805.09501; RandAugment, Cubuk et al. 2019,
arXiv:1909.13719; TrivialAugment, Müller and Hutter 2021, arXiv:2103.10158.
Reference: tensorflow/models research/autoaugment (CIFAR), google-research/big_vision
pp/autoaugment.py, timm data/auto_augment.py, automl/trivialaugment aug_lib.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol, runtime_checkable

from PIL import Image

from allmlp.data.picture_ops import OPERATIONS, Canvas
from allmlp.errors import AllmlpError, check_choice, check_integers

__all__ = [
    "AUTOAUGMENT_CIFAR",
    "AUTOAUGMENT_CIFAR_SPACE",
    "RANDAUGMENT_SPACES",
    "TRIVIAL_WIDE",
    "AutoAugment",
    "Policy",
    "RandAugment",
    "Range",
    "Space",
    "TrivialAugment",
]


@runtime_checkable
class Policy(Protocol):
    """Changes a picture as the numbers say that it is given."""

    @property
    def draws(self) -> int:
        """Uniform numbers on [0, 1) that a call takes."""
        ...

    def __call__(
        self, image: Image.Image, draws: Sequence[float], mean: tuple[int, ...]
    ) -> Image.Image:
        """The changed picture, of the same size and mode (grey or RGB).

        Args:
            image: the picture.
            draws: the numbers.
            mean: of the data, a level for each channel.
        """
        ...


@dataclass(frozen=True)
class Range:
    """Strengths of one operation: linear in the level, from `start` at 0 to `stop` at the top."""

    start: float = 0.0
    stop: float = 0.0
    signed: bool = False  # half of the time to the other side of `start`
    whole: bool = False  # the way from `start` is cut to an integer, as the codes do
    least: float | None = None

    def at(self, level: float, top: float, *, negative: bool = False) -> float:
        """The strength at a level.

        Example:
            >>> Range(8.0, 2.0, whole=True).at(7.0, 30.0)  # bits kept: 8 - int(1.4)
            7.0
        """
        way = level * (self.stop - self.start) / top
        if self.whole:
            way = float(int(way))
        value = self.start - way if self.signed and negative else self.start + way
        return value if self.least is None else max(self.least, value)


@dataclass(frozen=True, kw_only=True)
class Space:
    """Operations by name with their strengths, and how they are applied."""

    ranges: Mapping[str, Range]
    top: float = 10.0  # the level at which strengths reach `stop`
    limit: float | None = None  # levels above it are cut; None extrapolates
    rate: float = 1.0  # probability that a chosen operation is applied
    fill: int | None = None  # level that enters from outside; None is the mean of the data
    resample: Image.Resampling = Image.Resampling.NEAREST

    def apply(
        self,
        name: str,
        image: Image.Image,
        level: float,
        mean: tuple[int, ...],
        *,
        negative: bool = False,
        centre: tuple[float, float] = (0.5, 0.5),
    ) -> Image.Image:
        """One operation at one level."""
        if self.limit is not None:
            level = min(level, self.limit)
        value = self.ranges[name].at(level, self.top, negative=negative)
        fill = mean if self.fill is None else (self.fill,) * len(mean)
        canvas = Canvas(fill=fill, resample=self.resample, centre=centre)
        return OPERATIONS[name](image, value, canvas)


_NORMAL = NormalDist()
_PLAIN = Range()  # operations without strength

# AutoAugment's table 6; RandAugment's list of fourteen and its scale (section 3.1): 10 is strongest
_PAPER = {
    "identity": _PLAIN,
    "autocontrast": _PLAIN,
    "equalize": _PLAIN,
    "rotate": Range(0.0, 30.0, signed=True),
    "solarize": Range(256.0, 0.0, whole=True),
    "color": Range(0.1, 1.9),
    "posterize": Range(8.0, 4.0, whole=True),
    "contrast": Range(0.1, 1.9),
    "brightness": Range(0.1, 1.9),
    "sharpness": Range(0.1, 1.9),
    "shear_x": Range(0.0, 0.3, signed=True),
    "shear_y": Range(0.0, 0.3, signed=True),
    "translate_x": Range(0.0, 150 / 331, signed=True),  # 150 pixels of images of 331
    "translate_y": Range(0.0, 150 / 331, signed=True),
}

# big_vision, which trained the Mixers: sixteen operations, of which posterize and solarize become
# weaker with the level. Its 100 and 40 pixels are of images of 224. The probability that it draws
# for each operation is never used: every chosen one is applied.
_BIG_VISION = {
    "autocontrast": _PLAIN,
    "equalize": _PLAIN,
    "invert": _PLAIN,
    "rotate": Range(0.0, 30.0, signed=True),
    "posterize": Range(0.0, 4.0, whole=True),
    "solarize": Range(0.0, 256.0, whole=True),
    "color": Range(0.1, 1.9),
    "contrast": Range(0.1, 1.9),
    "brightness": Range(0.1, 1.9),
    "sharpness": Range(0.1, 1.9),
    "shear_x": Range(0.0, 0.3, signed=True),
    "shear_y": Range(0.0, 0.3, signed=True),
    "translate_x": Range(0.0, 100 / 224, signed=True),
    "translate_y": Range(0.0, 100 / 224, signed=True),
    "cutout": Range(0.0, 40 / 224),
    "solarize_add": Range(0.0, 110.0, whole=True),
}

# timm's `inc1`: everything becomes stronger with the level
_TIMM = {
    "autocontrast": _PLAIN,
    "equalize": _PLAIN,
    "invert": _PLAIN,
    "rotate": Range(0.0, 30.0, signed=True),
    "posterize": Range(4.0, 0.0, whole=True),
    "solarize": Range(256.0, 0.0, whole=True),
    "solarize_add": Range(0.0, 110.0, whole=True),
    "color": Range(1.0, 1.9, signed=True, least=0.1),
    "contrast": Range(1.0, 1.9, signed=True, least=0.1),
    "brightness": Range(1.0, 1.9, signed=True, least=0.1),
    "sharpness": Range(1.0, 1.9, signed=True, least=0.1),
    "shear_x": Range(0.0, 0.3, signed=True),
    "shear_y": Range(0.0, 0.3, signed=True),
    "translate_x": Range(0.0, 0.45, signed=True),
    "translate_y": Range(0.0, 0.45, signed=True),
}

RANDAUGMENT_SPACES: dict[str, Space] = {
    "paper": Space(ranges=_PAPER),
    "big_vision": Space(ranges=_BIG_VISION, fill=128),
    "timm": Space(ranges=_TIMM, rate=0.5, limit=10.0, resample=Image.Resampling.BICUBIC),
}


@dataclass(frozen=True, kw_only=True)
class RandAugment:
    """`layers` operations, each chosen uniformly, all at one magnitude.

    `rand-m9-mstd0.5-inc1`, on which DeiT, ResMLP, CycleMLP and ConvMixer were trained, is
    `RandAugment(space="timm", magnitude=9, deviation=0.5)`; the Mixer paper's is
    `RandAugment(space="big_vision", magnitude=15)`.

    Raises:
        AllmlpError: no layer, a negative magnitude or deviation, or an unknown space.
    """

    layers: int = 2  # N
    magnitude: float = 9.0  # M; 10 is the top of the scale, more extrapolates where a space allows
    deviation: float = 0.0  # of the magnitude, normal around M and not below 0 (timm's addition)
    space: str = "paper"  # one of RANDAUGMENT_SPACES

    def __post_init__(self) -> None:
        check_integers("RandAugment", minimum=1, layers=self.layers)
        for name, value in {"magnitude": self.magnitude, "deviation": self.deviation}.items():
            if not 0 <= value <= 30:
                raise AllmlpError(f"RandAugment needs a {name} in [0, 30], got {value}")
        check_choice("RandAugment space", self.space, RANDAUGMENT_SPACES)

    @property
    def draws(self) -> int:
        """Of each layer: which, whether, how strong, which sign, and two for a place."""
        return 6 * self.layers

    def __call__(
        self, image: Image.Image, draws: Sequence[float], mean: tuple[int, ...]
    ) -> Image.Image:
        """See `Policy`."""
        space = RANDAUGMENT_SPACES[self.space]
        names = list(space.ranges)
        for layer in range(self.layers):
            which, whether, normal, sign, x, y = draws[6 * layer : 6 * layer + 6]
            if whether >= space.rate:
                continue
            level = self.magnitude
            if self.deviation:
                # half a step of the draws away from 0, where the quantile would be infinite
                level += self.deviation * _NORMAL.inv_cdf(normal + 2**-25)
            image = space.apply(
                names[int(which * len(names))],
                image,
                max(0.0, level),
                mean,
                negative=sign < 0.5,
                centre=(x, y),
            )
        return image


# the paper's table of the wide space; pixels are pixels whatever the image's size
TRIVIAL_WIDE = Space(
    ranges={
        "identity": _PLAIN,
        "autocontrast": _PLAIN,
        "equalize": _PLAIN,
        "rotate": Range(0.0, 135.0, signed=True, whole=True),
        "solarize": Range(256.0, 0.0, whole=True),
        "color": Range(0.01, 2.0),
        "posterize": Range(8.0, 2.0, whole=True),
        "contrast": Range(0.01, 2.0),
        "brightness": Range(0.01, 2.0),
        "sharpness": Range(0.01, 2.0),
        "shear_x": Range(0.0, 0.99, signed=True),
        "shear_y": Range(0.0, 0.99, signed=True),
        "shift_x": Range(0.0, 32.0, signed=True, whole=True),
        "shift_y": Range(0.0, 32.0, signed=True, whole=True),
    },
    top=30.0,
    fill=0,
)


@dataclass(frozen=True)
class TrivialAugment:
    """One operation, chosen uniformly, at a level chosen uniformly from 0 to 30 (wide space)."""

    @property
    def draws(self) -> int:
        """Which, how strong, which sign."""
        return 3

    def __call__(
        self, image: Image.Image, draws: Sequence[float], mean: tuple[int, ...]
    ) -> Image.Image:
        """See `Policy`."""
        names = list(TRIVIAL_WIDE.ranges)
        name, level = names[int(draws[0] * len(names))], float(int(draws[1] * 31))
        return TRIVIAL_WIDE.apply(name, image, level, mean, negative=draws[2] < 0.5)


# DIFF: where the paper's table 6 and the published code disagree (posterize, signs of the
# enhancements), this is the code, which made the paper's results on CIFAR.
AUTOAUGMENT_CIFAR_SPACE = Space(
    ranges={
        "shear_x": Range(0.0, 0.3, signed=True),
        "shear_y": Range(0.0, 0.3, signed=True),
        "translate_x": Range(0.0, 10 / 32, signed=True),  # 10 pixels of images of 32
        "translate_y": Range(0.0, 10 / 32, signed=True),
        "rotate": Range(0.0, 30.0, signed=True, whole=True),
        "autocontrast": _PLAIN,
        "invert": _PLAIN,
        "equalize": _PLAIN,
        "solarize": Range(256.0, 0.0, whole=True),
        "posterize": Range(4.0, 0.0, whole=True),
        "contrast": Range(0.1, 1.9),
        "color": Range(0.1, 1.9),
        "brightness": Range(0.1, 1.9),
        "sharpness": Range(0.1, 1.9),
    }
)

Step = tuple[str, float, int]  # operation, probability, level; the level of plain ones is 0

# the 25 sub-policies found on CIFAR-10 (paper, appendix, table 7), two steps each; the published
# code holds 70 more from the same search
AUTOAUGMENT_CIFAR: tuple[tuple[Step, Step], ...] = (
    (("invert", 0.1, 0), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.5, 0), ("equalize", 0.9, 0)),
    (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
    (("color", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, 0), ("equalize", 0.5, 0)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("color", 0.7, 7), ("translate_x", 0.5, 8)),
    (("equalize", 0.3, 0), ("autocontrast", 0.4, 0)),
    (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("color", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, 0)),
    (("equalize", 0.2, 0), ("autocontrast", 0.6, 0)),
    (("equalize", 0.2, 0), ("equalize", 0.6, 0)),
    (("color", 0.9, 9), ("equalize", 0.6, 0)),
    (("autocontrast", 0.8, 0), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("color", 0.7, 0)),
    (("solarize", 0.4, 5), ("autocontrast", 0.9, 0)),
    (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.9, 0), ("solarize", 0.8, 3)),
    (("equalize", 0.8, 0), ("invert", 0.1, 0)),
    (("translate_y", 0.7, 9), ("autocontrast", 0.9, 0)),
)


@dataclass(frozen=True)
class AutoAugment:
    """One of the sub-policies found on CIFAR-10, chosen uniformly: two steps, each taken or not.

    DIFF: what a step moves in from outside is filled with the mean at once; the code does so after
    the second step.
    """

    @property
    def draws(self) -> int:
        """Which, and of each step whether and which sign."""
        return 5

    def __call__(
        self, image: Image.Image, draws: Sequence[float], mean: tuple[int, ...]
    ) -> Image.Image:
        """See `Policy`."""
        steps = AUTOAUGMENT_CIFAR[int(draws[0] * len(AUTOAUGMENT_CIFAR))]
        for (name, rate, level), whether, sign in zip(steps, draws[1::2], draws[2::2], strict=True):
            if whether < rate:
                image = AUTOAUGMENT_CIFAR_SPACE.apply(
                    name, image, float(level), mean, negative=sign < 0.5
                )
        return image
