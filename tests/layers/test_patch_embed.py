import pytest
import torch
from torch import nn

from allmlp.layers import STEMS, PatchStem
from allmlp.layers.patch_embed import conv_embed


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("patch_size", [1, 2, 7, 12, 16])
def test_every_stem_gives_one_place_a_patch(stem: str, patch_size: int) -> None:
    embed = STEMS[stem](3, patch_size, 8)
    assert embed(torch.randn(2, 3, 2 * patch_size, 3 * patch_size)).shape == (2, 8, 2, 3)


def test_channels_double_up_to_the_width_and_the_rest_is_one_linear_map() -> None:
    convolutions = [m for m in conv_embed(3, 12, 8).modules() if isinstance(m, nn.Conv2d)]
    shapes = [(m.out_channels, m.kernel_size[0], m.stride[0]) for m in convolutions]
    assert shapes == [(4, 3, 2), (8, 3, 2), (8, 3, 3)]


def test_only_the_convolutional_stem_sees_beyond_its_patch() -> None:
    images = torch.randn(1, 1, 8, 8)
    changed = images.clone()
    changed[:, :, 3, 3] += 1  # the lower right pixel of the first patch
    for name, touched in (("patch", 1), ("conv", 4)):
        stem = PatchStem(img_size=(8, 8), in_chans=1, patch_size=4, width=64, embed=STEMS[name])
        difference = (stem.eval()(changed) - stem(images)).abs().amax(-1)[0]
        assert int((difference > 1e-6).sum()) == touched
