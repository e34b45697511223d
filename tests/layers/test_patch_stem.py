import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.layers import PatchStem
from allmlp.layers.patch_stem import check_patches


def test_tokens_are_patches_in_row_major_order() -> None:
    stem = PatchStem(img_size=(4, 6), in_chans=2, patch_size=2, width=5).double()
    images = torch.randn(3, 2, 4, 6, dtype=torch.float64)
    tokens = stem(images)
    assert tokens.shape == (3, 6, 5)
    kernel, bias = stem.proj.weight.flatten(1), stem.proj.bias
    for row in range(2):
        for column in range(3):
            patch = images[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].flatten(1)
            expected = patch @ kernel.T + bias
            torch.testing.assert_close(tokens[:, row * 3 + column], expected)


def test_tokens_do_not_keep_the_convolutions_layout() -> None:
    stem = PatchStem(img_size=(8, 8), in_chans=3, patch_size=4, width=5)
    assert stem(torch.zeros(2, 3, 8, 8)).is_contiguous()


def test_wrong_images_are_answered_with_the_remedy() -> None:
    stem = PatchStem(img_size=(224, 224), in_chans=3, patch_size=16, width=4)
    with pytest.raises(AllmlpError, match=r"196 tokens .* images of 256x256; .*\(256, 256\)"):
        stem(torch.zeros(1, 3, 256, 256))
    with pytest.raises(AllmlpError, match="3 image channels but got 1; build it with in_chans=1"):
        stem(torch.zeros(1, 1, 224, 224))


def test_sizes_that_do_not_fit() -> None:
    with pytest.raises(AllmlpError, match=r"patch_size=16, got 225x230; .* 224x224"):
        check_patches("Net", (225, 230), 16)
    with pytest.raises(AllmlpError, match="integer width of at least 1"):
        check_patches("Net", (32, 0), 16)


@pytest.mark.unhooked
def test_a_size_that_is_no_pair() -> None:
    with pytest.raises(AllmlpError, match=r"img_size=\(height, width\), got 224"):
        check_patches("Net", 224, 16)
