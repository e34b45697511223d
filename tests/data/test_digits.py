import torch

from allmlp.data import Splits, load_source


def test_split_is_disjoint_complete_and_stratified() -> None:
    splits = load_source("digits")
    parts = [splits.train, splits.val, splits.test]
    assert [len(p) for p in parts] == [1257, 180, 360]  # 70, 10, 20 % of 1,797
    seen = {p.images[i].numpy().tobytes() for p in parts for i in range(len(p))}
    assert len(seen) == 1797  # no two of the digits are equal, so none is in two parts
    for part in parts:
        share = part.labels.bincount(minlength=10) / len(part)
        assert (share - 0.1).abs().max() < 0.02


def test_split_is_always_the_same() -> None:
    first, again = load_source("digits"), load_source("digits")
    for name in ("train", "val", "test"):
        assert torch.equal(first.part(name).images, again.part(name).images)


def test_pixels_are_bytes_with_ink_white() -> None:
    splits: Splits = load_source("digits")
    assert splits.train.images.dtype == torch.uint8
    assert splits.train.images.amax() == 255
    assert splits.train.images[:, :, 0, 0].float().mean() < 1  # the corner is background
    assert splits.train.classes == tuple("0123456789")
