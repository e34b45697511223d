import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from allmlp.data.boxes import BOX_DRAWS, check_box_ranges, random_boxes
from allmlp.errors import AllmlpError


def draws(count: int, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(count, BOX_DRAWS, generator=generator)


@given(h=st.integers(1, 40), w=st.integers(1, 40), seed=st.integers(0, 999))
def test_boxes_lie_within_the_image(h: int, w: int, seed: int) -> None:
    drawn = draws(200, torch.Generator().manual_seed(seed))
    boxes, found = random_boxes(drawn, (h, w), (0.05, 1.0), (0.5, 2.0))
    top, left, height, width = boxes[found].T
    assert (height >= 1).all()
    assert (width >= 1).all()
    assert (top >= 0).all()
    assert (top + height <= h).all()
    assert (left >= 0).all()
    assert (left + width <= w).all()


def test_areas_are_uniform_and_proportions_log_uniform(generator: torch.Generator) -> None:
    # at 1000 pixels rounding does not show, and nothing of at most 0.4 is too large
    boxes, found = random_boxes(draws(20_000, generator), (1000, 1000), (0.1, 0.4), (0.5, 2.0))
    assert found.all()
    _, _, height, width = boxes.double().T
    area, ratio = (height * width / 1e6).numpy(), (width / height).log().numpy()
    assert stats.kstest(area, stats.uniform(0.1, 0.3).cdf).pvalue > 0.001
    span = 2 * math.log(2)
    assert stats.kstest(ratio, stats.uniform(-math.log(2), span).cdf).pvalue > 0.001
    assert abs(stats.pearsonr(area, ratio).statistic) < 4 / 20_000**0.5


def test_places_are_uniform(generator: torch.Generator) -> None:
    boxes, _ = random_boxes(draws(20_000, generator), (8, 8), (0.25, 0.25), (1.0, 1.0))
    assert torch.equal(boxes[:, 2:], torch.full((20_000, 2), 4))
    counts = torch.bincount(boxes[:, 0] * 5 + boxes[:, 1], minlength=25)
    assert len(counts) == 25  # five places each way
    assert stats.chisquare(counts).pvalue > 0.001


def test_the_first_attempt_that_fits_is_taken() -> None:
    drawn = torch.zeros(1, BOX_DRAWS)
    # proportions 4, 4, 1 and then 1/4: of 16 pixels, 8 x 2 is too wide for 4, 4 x 4 fits, 2 x 8 too
    drawn[0, 10:14] = torch.tensor([1.0, 1.0, 0.5, 0.0])
    boxes, found = random_boxes(drawn, (16, 4), (0.25, 0.25), (0.25, 4.0))
    assert found.all()
    assert boxes.tolist() == [[0, 0, 4, 4]]


def test_what_never_fits_is_told(generator: torch.Generator) -> None:
    # ten times as wide as high, of at least half of a square
    _, found = random_boxes(draws(100, generator), (20, 20), (0.5, 1.0), (10.0, 10.0))
    assert not found.any()


@pytest.mark.parametrize("area", [(0.0, 1.0), (0.5, 0.4), (0.5, 1.1)])
def test_areas_are_checked(area: tuple[float, float]) -> None:
    with pytest.raises(
        AllmlpError, match=r"erasing needs shares 0 < smallest <= largest <= 1, got"
    ):
        check_box_ranges("erasing", area, (1.0, 1.0))


@pytest.mark.parametrize("ratio", [(0.0, 1.0), (2.0, 1.0), (1.0, math.inf)])
def test_proportions_are_checked(ratio: tuple[float, float]) -> None:
    with pytest.raises(AllmlpError, match=r"needs proportions 0 < smallest <= largest, got"):
        check_box_ranges("erasing", (0.1, 1.0), ratio)
