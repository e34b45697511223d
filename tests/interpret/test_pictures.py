import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.interpret import draw_images


def test_one_panel_an_image_white_at_zero() -> None:
    images = torch.tensor([[[0.0, 2.0]], [[-1.0, 0.0]], [[0.0, 0.0]]])
    figure = draw_images(images, ["a", "b", "c"], columns=2)
    shown = [axes for axes in figure.axes if axes.images]
    assert len(figure.axes) == 4
    assert [axes.get_title() for axes in shown] == ["a", "b", "c"]
    assert [axes.images[0].get_clim() for axes in shown] == [(-2, 2), (-1, 1), (-1, 1)]
    shared = draw_images(images, shared_scale=True)
    assert {axes.images[0].get_clim() for axes in shared.axes} == {(-2, 2)}
    with pytest.raises(AllmlpError, match="a title for each, got 3 and 1"):
        draw_images(images, ["a"])
