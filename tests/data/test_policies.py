"""Policies against timm's operations, the papers' numbers, and their laws of chance."""

import hashlib
import importlib.util
import random
from collections import Counter, defaultdict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from allmlp.data import AutoAugment, RandAugment, TrivialAugment, picture_ops
from allmlp.data.policies import (
    AUTOAUGMENT_CIFAR,
    AUTOAUGMENT_CIFAR_SPACE,
    RANDAUGMENT_SPACES,
    TRIVIAL_WIDE,
    Policy,
    Space,
)
from allmlp.errors import AllmlpError

MEAN = (120, 110, 100)
POLICIES = [
    RandAugment(),
    RandAugment(space="timm", deviation=0.5),
    RandAugment(space="big_vision", magnitude=15.0, layers=3),
    RandAugment(magnitude=30.0),
    TrivialAugment(),
    AutoAugment(),
]


def picture(size: tuple[int, int] = (32, 32), mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Blobs and noise: something that every operation changes."""
    noise = np.random.default_rng(seed)
    coarse = noise.integers(20, 200, (4, 4, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    grain = noise.integers(0, 40, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(np.asarray(image) // 2 + grain + 20).convert(mode)


@pytest.fixture(scope="module")
def timm() -> ModuleType:
    """timm's file of operations alone: the package around it wants torchvision."""
    found = importlib.util.find_spec("timm")
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin).parent / "data" / "auto_augment.py"
    spec = importlib.util.spec_from_file_location("timm_auto_augment", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TIMM_NAMES = {
    "autocontrast": "AutoContrast",
    "equalize": "Equalize",
    "invert": "Invert",
    "rotate": "Rotate",
    "posterize": "PosterizeIncreasing",
    "solarize": "SolarizeIncreasing",
    "solarize_add": "SolarizeAdd",
    "color": "ColorIncreasing",
    "contrast": "ContrastIncreasing",
    "brightness": "BrightnessIncreasing",
    "sharpness": "SharpnessIncreasing",
    "shear_x": "ShearX",
    "shear_y": "ShearY",
    "translate_x": "TranslateXRel",
    "translate_y": "TranslateYRel",
}


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("name", TIMM_NAMES)
def test_operations_equal_timms_pixel_by_pixel(
    timm: ModuleType, name: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = RANDAUGMENT_SPACES["timm"]
    assert list(space.ranges) == sorted(
        space.ranges, key=lambda n: timm._RAND_INCREASING_TRANSFORMS.index(TIMM_NAMES[n])
    )
    image = picture((33, 20), mode)
    mean = MEAN[: len(image.getbands())]
    options = {"img_mean": mean if mode == "RGB" else mean[0], "interpolation": 3}  # bicubic
    # at 10 timm asks Pillow for no bit at all, which it refuses
    for level in (0.0, 2.5, 9.0, 9.73) + (10.0,) * (name != "posterize"):
        theirs = timm.AugmentOp(TIMM_NAMES[name], prob=1.0, magnitude=level, hparams=options)
        for negative in (False, True):
            monkeypatch.setattr(random, "random", lambda n=negative: 0.9 if n else 0.1)
            ours = space.apply(name, image, level, mean, negative=negative)
            assert ours.mode == mode
            assert np.array_equal(np.asarray(ours), np.asarray(theirs(image))), (level, negative)


# strengths of AutoAugment's CIFAR code at the levels of its policy (its float_parameter and
# int_parameter, levels of 10), worked out by hand
@pytest.mark.parametrize(
    ("name", "level", "strength"),
    [
        ("shear_y", 8, 0.24),
        ("translate_x", 9, 9 / 32),
        ("translate_y", 3, 3 / 32),
        ("rotate", 2, 6),
        ("solarize", 8, 256 - 204),
        ("solarize", 5, 128),
        ("solarize", 3, 256 - 76),
        ("solarize", 2, 256 - 51),
        ("posterize", 7, 2),
        ("contrast", 6, 1.18),
        ("color", 0, 0.1),
        ("brightness", 7, 1.36),
        ("sharpness", 1, 0.28),
    ],
)
def test_strengths_of_autoaugment(name: str, level: int, strength: float) -> None:
    reached = AUTOAUGMENT_CIFAR_SPACE.ranges[name].at(float(level), 10.0)
    assert reached == pytest.approx(strength, abs=1e-12)


# aug_lib.py of TrivialAugment's authors, wide space, 31 strengths
@pytest.mark.parametrize(
    ("name", "level", "strength"),
    [
        ("rotate", 30, 135),
        ("rotate", 7, 31),
        ("shift_x", 30, 32),
        ("shift_y", 1, 1),
        ("shear_x", 15, 0.495),
        ("solarize", 30, 0),
        ("solarize", 1, 248),
        ("posterize", 0, 8),
        ("posterize", 30, 2),
        ("posterize", 4, 8),
        ("posterize", 5, 7),
        ("color", 0, 0.01),
        ("contrast", 30, 2.0),
    ],
)
def test_strengths_of_trivialaugment(name: str, level: int, strength: float) -> None:
    reached = TRIVIAL_WIDE.ranges[name].at(float(level), 30.0)
    assert reached == pytest.approx(strength, abs=1e-12)


# big_vision's level_to_arg at the Mixer paper's magnitude, beyond the top of its scale
@pytest.mark.parametrize(
    ("name", "strength"),
    [
        ("rotate", 45),
        ("posterize", 6),
        ("solarize", 384),
        ("solarize_add", 165),
        ("color", 2.8),
        ("shear_x", 0.45),
        ("translate_y", 150 / 224),
        ("cutout", 60 / 224),
    ],
)
def test_strengths_of_the_mixer_paper(name: str, strength: float) -> None:
    reached = RANDAUGMENT_SPACES["big_vision"].ranges[name].at(15.0, 10.0)
    assert reached == pytest.approx(strength, abs=1e-12)


def test_the_policy_is_the_papers() -> None:
    assert len(AUTOAUGMENT_CIFAR) == 25
    # of the table as it was when it equalled torchvision's transcription, row by row
    digest = hashlib.blake2b(repr(AUTOAUGMENT_CIFAR).encode(), digest_size=8).hexdigest()
    assert digest == "9b627e864b306f7e"
    assert {name for steps in AUTOAUGMENT_CIFAR for name, _, _ in steps} <= set(
        AUTOAUGMENT_CIFAR_SPACE.ranges
    )


def test_the_paper_lists_fourteen_operations() -> None:
    assert len(RANDAUGMENT_SPACES["paper"].ranges) == len(TRIVIAL_WIDE.ranges) == 14
    assert len(RANDAUGMENT_SPACES["big_vision"].ranges) == 16


# --- single operations, exactly


SPACE = Space(ranges={}, fill=7)


def applied(name: str, value: float, pixels: list[list[int]]) -> list[list[int]]:
    image = Image.fromarray(np.array(pixels, dtype=np.uint8))
    canvas = picture_ops.Canvas(fill=(7,), centre=(0.5, 0.5))
    return np.asarray(picture_ops.OPERATIONS[name](image, value, canvas)).tolist()


ROW = [[0, 100, 200, 255]]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("identity", 0.0, ROW),
        ("invert", 0.0, [[255, 155, 55, 0]]),
        ("solarize", 150.0, [[0, 100, 55, 0]]),
        ("solarize", 256.0, ROW),
        ("solarize", 0.0, [[255, 155, 55, 0]]),
        ("solarize_add", 50.0, [[50, 150, 200, 255]]),
        ("solarize_add", 200.0, [[200, 255, 200, 255]]),
        ("posterize", 1.0, [[0, 0, 128, 128]]),
        ("posterize", 8.0, ROW),
        ("posterize", -2.0, [[0, 0, 128, 128]]),  # one bit at least
        ("brightness", 0.5, [[0, 50, 100, 127]]),
        ("brightness", 1.0, ROW),
        ("contrast", 0.0, [[139, 139, 139, 139]]),  # the mean, 138.75, rounded
        ("color", 0.0, ROW),  # of a grey picture
        ("translate_x", 0.25, [[100, 200, 255, 7]]),
        ("translate_x", -0.5, [[7, 7, 0, 100]]),
        ("shift_x", 1.0, [[100, 200, 255, 7]]),
        ("shift_y", 1.0, [[7, 7, 7, 7]]),
        ("rotate", 180.0, [[255, 200, 100, 0]]),
        ("autocontrast", 0.0, ROW),
    ],
)
def test_operations_by_hand(name: str, value: float, expected: list[list[int]]) -> None:
    assert applied(name, value, ROW) == expected


def test_shears_move_rows_and_columns() -> None:
    grid = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    # pixel centres: (x + 1/2, y + 1/2) is read from (x + 1 + y, y + 1/2)
    assert applied("shear_x", 1.0, grid) == [[2, 3, 7], [6, 7, 7], [7, 7, 7]]
    transposed = np.array(applied("shear_x", 1.0, np.array(grid).T.tolist())).T.tolist()
    assert applied("shear_y", 1.0, grid) == transposed


def test_cutout_fills_a_square_cut_at_the_border() -> None:
    grid = [[1] * 8 for _ in range(8)]
    cut = np.array(applied("cutout", 0.25, grid))
    assert (cut[2:6, 2:6] == 7).all()
    assert int((cut == 7).sum()) == 16
    image = Image.fromarray(np.array(grid, dtype=np.uint8))
    corner = picture_ops.Canvas(fill=(7,), centre=(0.0, 0.99))
    at_corner = np.asarray(picture_ops.OPERATIONS["cutout"](image, 0.25, corner))
    assert int((at_corner == 7).sum()) == 2 * 3
    assert np.array_equal(np.asarray(picture_ops.OPERATIONS["cutout"](image, 0.0, corner)), image)


# --- the laws of chance


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """What was applied and how strongly, in place of applying it."""
    noted: list[tuple[str, float]] = []

    def note(name: str) -> picture_ops.Operation:
        def operation(image: Image.Image, value: float, canvas: picture_ops.Canvas) -> Image.Image:
            noted.append((name, value))
            return image

        return operation

    for name in picture_ops.OPERATIONS:
        monkeypatch.setitem(picture_ops.OPERATIONS, name, note(name))
    return noted


def run(policy: Policy, count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    dot = Image.new("RGB", (32, 32))
    for draws in torch.rand(count, policy.draws, generator=generator).tolist():
        policy(dot, draws, MEAN)


@pytest.mark.parametrize(
    ("space", "rate", "operations"),
    [("paper", 1.0, 14), ("timm", 0.5, 15), ("big_vision", 1.0, 16)],
)
def test_randaugment_chooses_uniformly(
    calls: list[tuple[str, float]], space: str, rate: float, operations: int
) -> None:
    run(RandAugment(space=space, layers=3), 5000)
    counts = Counter(name for name, _ in calls)
    assert len(counts) == operations
    # 15,000 coins; a deviation is 61 at most
    assert abs(len(calls) - 15_000 * rate) <= 4 * 61 * (rate < 1)
    assert stats.chisquare(list(counts.values())).pvalue > 0.001
    angles = np.array([value for name, value in calls if name == "rotate"])
    assert set(np.abs(angles).round(9)) == {27.0}
    assert abs((angles > 0).mean() - 0.5) < 2 / len(angles) ** 0.5


def test_magnitudes_vary_normally_and_stay_in_the_scale(calls: list[tuple[str, float]]) -> None:
    run(RandAugment(space="timm", magnitude=9.0, deviation=0.5), 20_000)
    levels = np.array([abs(value) / 3 for name, value in calls if name == "rotate"])
    assert levels.max() == 10
    # 2.3 % lie above the limit, 10; the law of the others is the normal one
    assert abs((levels == 10).mean() - stats.norm.sf(2)) < 4 * (0.022 / len(levels)) ** 0.5
    law = stats.truncnorm(-18, 2, loc=9, scale=0.5)
    assert stats.kstest(levels[levels < 10], law.cdf).pvalue > 0.001


def test_trivialaugment_draws_one_operation_and_a_uniform_level(
    calls: list[tuple[str, float]],
) -> None:
    run(TrivialAugment(), 20_000)
    assert len(calls) == 20_000
    counts = Counter(name for name, _ in calls)
    assert len(counts) == 14
    assert stats.chisquare(list(counts.values())).pvalue > 0.001
    strengths = Counter(value for name, value in calls if name == "color")
    assert len(strengths) == 31
    assert stats.chisquare(list(strengths.values())).pvalue > 0.001
    turned = [value for name, value in calls if name == "rotate"]
    assert (min(turned), max(turned)) == (-135, 135)


def test_autoaugment_takes_each_step_with_its_probability(calls: list[tuple[str, float]]) -> None:
    run(AutoAugment(), 25_000)
    expected: dict[str, float] = defaultdict(float)
    for steps in AUTOAUGMENT_CIFAR:
        for name, rate, _ in steps:
            expected[name] += rate * 1000
    counts = Counter(name for name, _ in calls)
    assert set(counts) == {name for name, count in expected.items() if count}
    for name, count in counts.items():
        assert abs(count - expected[name]) < 5 * expected[name] ** 0.5, name


# --- contracts


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: f"{type(p).__name__}")
@pytest.mark.parametrize(("size", "mode"), [((32, 32), "RGB"), ((5, 3), "L"), ((1, 1), "RGB")])
def test_size_and_mode_stay(policy: Policy, size: tuple[int, int], mode: str) -> None:
    image = picture(size, mode)
    before = np.array(image)
    mean = MEAN[: len(image.getbands())]
    changed = 0
    generator = torch.Generator().manual_seed(0)
    for draws in torch.rand(150, policy.draws, generator=generator).tolist():
        out = policy(image, draws, mean)
        assert (out.size, out.mode) == (size, mode)
        changed += not np.array_equal(np.asarray(out), before)
        assert np.array_equal(np.asarray(image), before)
    assert changed > 0 or size == (1, 1)
    # the ends of what may be drawn
    for edge in (0.0, 1 - 2**-24):
        policy(image, [edge] * policy.draws, mean)


def test_the_mean_enters_from_outside() -> None:
    space = RANDAUGMENT_SPACES["paper"]
    moved = np.asarray(space.apply("translate_x", picture(), 10.0, MEAN))
    assert (moved[:, -14:] == MEAN).all()
    black = np.asarray(TRIVIAL_WIDE.apply("shift_x", picture(), 30.0, MEAN))
    assert not black.any()


def test_settings_are_checked() -> None:
    with pytest.raises(AllmlpError, match="an integer layers of at least 1, got 0"):
        RandAugment(layers=0)
    with pytest.raises(AllmlpError, match=r"a magnitude in \[0, 30\], got 31"):
        RandAugment(magnitude=31.0)
    with pytest.raises(AllmlpError, match="unknown RandAugment space 'tim'; did you mean timm"):
        RandAugment(space="tim")
