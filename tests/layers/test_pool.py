import pytest
import torch

from allmlp.layers.pool import MeanPool


@pytest.mark.parametrize(
    ("axes", "places"),
    [((1,), "b n d"), ((1, 2), "b h w d"), ((2, 3), "b d h w")],
)
def test_every_place_counts_the_same(axes: tuple[int, ...], places: str) -> None:
    x = torch.randn(2, *range(3, 3 + len(places.split()) - 1), dtype=torch.float64)
    rows = x.flatten(1, -2) if places.endswith("d") else x.flatten(2).mT
    expected = torch.stack([row.sum(0) / len(row) for row in rows])
    torch.testing.assert_close(MeanPool(*axes)(x), expected)


def test_its_axes_are_shown() -> None:
    assert str(MeanPool(1, 2)) == "MeanPool(1, 2)"
