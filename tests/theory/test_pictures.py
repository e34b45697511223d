from pathlib import Path

import matplotlib as mpl
import pytest

from allmlp.theory.pictures import draw_depth_against_width, draw_polynomial_limit, save

PICTURES = Path(__file__).parents[2] / "docs" / "theory" / "pictures"


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_same_picture_is_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.{suffix}" for i in range(2)]
    for path in paths:
        with path.open("wb") as file:
            save(draw_depth_against_width(), file, suffix=suffix)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_drawing_leaves_no_setting_behind(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    with (tmp_path / "picture.svg").open("wb") as file:
        save(draw_polynomial_limit(range(1, 4)), file, suffix="svg")
    assert dict(mpl.rcParams) == before


def test_the_pictures_of_the_pages_are_there_and_small() -> None:
    for page in PICTURES.parent.glob("*.md"):
        for line in page.read_text().splitlines():
            if "](pictures/" in line:
                picture = PICTURES / line.split("](pictures/")[1].rstrip(")")
                assert picture.stat().st_size < 150_000
