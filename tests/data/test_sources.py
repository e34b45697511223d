from pathlib import Path

import pytest
import torch

from allmlp.data import ImageSet, load_source
from allmlp.errors import AllmlpError


def test_unknown_source_names_the_nearest() -> None:
    with pytest.raises(AllmlpError, match="unknown data source 'digit'; did you mean digits"):
        load_source("digit")


@pytest.mark.parametrize("source", ["photos/", "a/b", "photos.zip", "./digits", "~/no_such"])
def test_a_path_that_leads_nowhere(source: str) -> None:
    with pytest.raises(AllmlpError, match=f"no data at {source}; give a folder or .zip of class"):
        load_source(source)


def test_other_files_are_answered_with_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "data.rar").touch()
    with pytest.raises(AllmlpError, match="data.rar is no data that allmlp reads; give a folder"):
        load_source(str(tmp_path / "data.rar"))


def test_a_target_where_nothing_has_columns() -> None:
    with pytest.raises(AllmlpError, match="digits holds images .* the target 'label' means"):
        load_source("digits", "label")


def test_resize_keeps_what_has_the_size_and_averages_what_has_not() -> None:
    images = torch.tensor([[[[0, 0, 200, 200]] * 4]], dtype=torch.uint8)
    data = ImageSet(images, torch.tensor([0]), ("a",))
    assert data.resize((4, 4)) is data
    assert data.resize((2, 2)).images.shape == (1, 1, 2, 2)
    assert data.resize((8, 8)).images.dtype == torch.uint8
    assert data.resize((8, 8)).images[0, 0, :, 0].tolist() == [0] * 8
