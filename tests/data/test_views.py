import pytest
import torch

from allmlp.data import ResizedCrop, five_crops, predict_views, random_crops, with_flips
from allmlp.data.views import View, same
from allmlp.errors import AllmlpError


def images(count: int = 4, size: tuple[int, int] = (8, 6)) -> torch.Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(0))


def left_half(x: torch.Tensor) -> torch.Tensor:
    """Logits that tell left from right."""
    middle = x.shape[3] // 2
    return 40 * torch.stack([x[..., :middle].mean((1, 2, 3)), x[..., middle:].mean((1, 2, 3))], 1)


def test_means_by_hand() -> None:
    answers = iter([torch.tensor([[0.0, 0.0]]), torch.tensor([[4.0, 0.0]])] * 2)
    views: list[View] = [same, same]
    probability = predict_views(lambda _: next(answers), images(1), views)
    second = 1 / (1 + torch.tensor(-4.0).exp())
    torch.testing.assert_close(probability[0, 0], (0.5 + second) / 2)
    logit = predict_views(lambda _: next(answers), images(1), views, mean="logit")
    torch.testing.assert_close(logit[0, 0], 1 / (1 + torch.tensor(-2.0).exp()))


@pytest.mark.parametrize("mean", ["logit", "probability"])
def test_mirrored_images_get_the_same_answer(mean: str) -> None:
    views = with_flips(five_crops(0.75))
    assert len(views) == 10
    there = predict_views(left_half, images(), views, mean=mean)
    back = predict_views(left_half, images().flip(3), views, mean=mean)
    assert there.dtype == torch.float32
    torch.testing.assert_close(there, back)
    torch.testing.assert_close(there.sum(1), torch.ones(4))
    alone = predict_views(left_half, images(), [same], mean=mean)
    assert not torch.allclose(alone, predict_views(left_half, images().flip(3), [same], mean=mean))


def test_one_view_is_the_model_itself() -> None:
    for mean in ("logit", "probability"):
        alone = predict_views(left_half, images(), [same], mean=mean)
        torch.testing.assert_close(alone, left_half(images()).softmax(1))


def test_half_precision_logits_are_averaged_in_float32() -> None:
    out = predict_views(lambda x: left_half(x).bfloat16(), images(), [same, same])
    assert out.dtype == torch.float32


def test_five_crops_are_the_corners_and_the_centre() -> None:
    x = torch.arange(36.0).view(1, 1, 6, 6)
    crops = [view(x) for view in five_crops(1 / 3)]
    assert all(crop.shape == x.shape for crop in crops)
    # each crop enlarges 2 x 2 pixels; its mean is theirs
    blocks = [x[..., i : i + 2, j : j + 2] for i, j in [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]]
    for crop, block in zip(crops, blocks, strict=True):
        torch.testing.assert_close(crop.mean(), block.mean())
        assert crop[0, 0, 0, 0] == block[0, 0, 0, 0]
    for view in five_crops(1.0):
        assert torch.equal(view(x), x)


def test_random_crops_belong_to_the_image_not_to_the_batch() -> None:
    x = images(6)
    crop = ResizedCrop(scale=(0.3, 1.0))
    together = [view(x) for view in random_crops(3, crop, torch.arange(6), seed=1)]
    alone = [view(x[4:]) for view in random_crops(3, crop, torch.tensor([4, 5]), seed=1)]
    for all_six, last in zip(together, alone, strict=True):
        assert torch.equal(all_six[4:], last)
    assert not torch.equal(together[0], together[1])
    other = random_crops(3, crop, torch.arange(6), seed=2)[0](x)
    assert not torch.equal(together[0], other)


def test_random_crops_are_flipped_half_of_the_time() -> None:
    ramp = torch.arange(8.0).expand(2000, 1, 4, 8)
    whole = ResizedCrop(scale=(1.0, 1.0), ratio=(2.0, 2.0))
    view = random_crops(1, whole, torch.arange(2000))[0](ramp)
    flipped = view[:, 0, 0, 0] > view[:, 0, 0, -1]
    assert abs(flipped.float().mean() - 0.5) < 4 * 0.5 / 2000**0.5


def test_wrong_use_is_answered() -> None:
    with pytest.raises(AllmlpError, match="at least one view"):
        predict_views(left_half, images(), [])
    with pytest.raises(AllmlpError, match=r"five_crops needs a share in \(0, 1\], got 1.5"):
        five_crops(1.5)
    (view,) = random_crops(1, ResizedCrop(), torch.arange(3))
    with pytest.raises(AllmlpError, match="made for 3 images, got 4; make the views of each"):
        view(images(4))


@pytest.mark.unhooked
def test_an_unknown_mean_is_answered() -> None:
    with pytest.raises(AllmlpError, match="unknown mean of views 'logits'; did you mean logit"):
        predict_views(left_half, images(), [same], mean="logits")
