import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from allmlp.data import Mix
from allmlp.data.mix import cutmix_box, cutmix_images_, mix_labels, mixup_images
from allmlp.errors import AllmlpError

CLASSES = 7


def one_hot_images(count: int, size: tuple[int, int] = (8, 8)) -> torch.Tensor:
    """Image i is 1 in channel i: what it became tells its partner and both weights."""
    return torch.eye(count)[:, :, None, None].repeat(1, 1, *size)


def mixed(mix: Mix, seed: int, count: int = CLASSES) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return mix.apply(one_hot_images(count), torch.arange(count), count, generator)


@settings(deadline=None)  # scipy is loaded by the first
@given(
    mixup=st.sampled_from([0.0, 0.2, 1.0]),
    cutmix=st.sampled_from([0.0, 1.0]),
    rate=st.floats(0, 1),
    seed=st.integers(0, 9999),
    count=st.integers(1, 6),
)
def test_labels_weigh_what_is_seen_and_sum_to_one(
    mixup: float, cutmix: float, rate: float, seed: int, count: int
) -> None:
    mix = Mix(mixup=mixup, cutmix=cutmix, rate=rate)
    if not mix:
        return
    images, labels = mixed(mix, seed, count)
    torch.testing.assert_close(labels.sum(1), torch.ones(count))
    # the share of channel i in an image is the weight of class i: true areas, not the drawn weight
    torch.testing.assert_close(images.mean((2, 3)), labels)


def test_mixup_by_hand() -> None:
    images = torch.tensor([0.0, 4.0, 8.0]).view(3, 1, 1, 1)
    blended = mixup_images(images, torch.tensor([1, 2, 0]), 0.75)
    assert blended.flatten().tolist() == [1.0, 5.0, 6.0]


def test_cutmix_by_hand() -> None:
    images = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 1, 3, 4)
    cut = cutmix_images_(images.clone(), torch.tensor([1, 0]), (1, 2, 2, 2))
    assert cut[0, 0].tolist() == [[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert torch.equal(cut[1], 1 - cut[0])


@pytest.mark.parametrize(
    ("weight", "centre", "box"),
    [
        (0.75, (0.5, 0.5), (2, 2, 4, 4)),  # a quarter of 8 x 8
        (0.75, (0.0, 0.99), (0, 5, 2, 3)),  # cut at two borders
        (1.0, (0.5, 0.5), (4, 4, 0, 0)),
        (0.0, (0.5, 0.5), (0, 0, 8, 8)),
        (0.0, (0.0, 0.0), (0, 0, 4, 4)),
        (0.6, (0.5, 0.5), (2, 2, 4, 4)),  # 8 sqrt(0.4) = 5.06; half of 5 to each side is 2
    ],
)
def test_boxes(weight: float, centre: tuple[float, float], box: tuple[int, int, int, int]) -> None:
    assert cutmix_box(weight, (8, 8), centre) == box


def test_boxes_have_the_proportions_of_the_image() -> None:
    assert cutmix_box(0.75, (40, 20), (0.5, 0.5)) == (10, 5, 20, 10)


def own_weights(mix: Mix, batches: int) -> torch.Tensor:
    """λ of batches in which some image has another partner than itself."""
    weights = []
    for seed in range(batches):
        _, labels = mixed(mix, seed)
        strangers = labels.diagonal() < 1
        weights += [labels.diagonal()[strangers][0]] if strangers.any() else []
    return torch.stack(weights)


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_weights_follow_the_beta_law(alpha: float) -> None:
    weights = own_weights(Mix(mixup=alpha), 2000).numpy()
    # weights that round to 1 in float32 look like no mixing and are left out: with alpha 0.2 a few
    law, largest = stats.beta(alpha, alpha), 1 - 2**-25
    assert stats.kstest(weights, lambda x: law.cdf(x) / law.cdf(largest)).pvalue > 0.001


def test_cut_areas_follow_the_law_but_for_the_border() -> None:
    # of uniform weights; cutting at the border makes boxes smaller, so weights larger than 1/2
    images = torch.eye(3)[:, :, None, None].repeat(1, 1, 50, 50)
    means = []
    for seed in range(800):
        generator = torch.Generator().manual_seed(seed)
        _, labels = Mix(cutmix=1.0).apply(images.clone(), torch.arange(3), 3, generator)
        if (labels.diagonal() < 1).any():
            means.append(labels.diagonal().min())
    # a side of r = sqrt(1 - λ) keeps r - r²/4 of itself on average: E[(r - r²/4)²] for uniform λ
    assert abs(torch.stack(means).mean() - (1 - (1 / 2 - 1 / 5 + 1 / 48))) < 0.03


def test_rates_are_kept() -> None:
    plain, cut = 0, 0
    mix = Mix(mixup=1.0, cutmix=1.0, rate=0.8, switch=0.25)
    for seed in range(2000):
        images, labels = mixed(mix, seed)
        if (labels.diagonal() == 1).all():
            plain += 1
        elif images.unique().numel() == 2:  # pixels of one image or of the other, no blends
            cut += 1
    # deviations of 2000 draws: 0.009 and 0.009; in 1 of 5040 pairings everybody is his own partner,
    # and some boxes are empty
    assert abs(plain / 2000 - 0.2) < 0.045
    assert abs(cut / 2000 - 0.2) < 0.045


def test_every_pairing_is_a_permutation() -> None:
    for seed in range(50):
        _, labels = mixed(Mix(mixup=1.0), seed)
        torch.testing.assert_close(labels.sum(0), torch.ones(CLASSES))


def test_the_mixed_target_is_the_weighted_loss(generator: torch.Generator) -> None:
    # spec: lambda CE(a) + (1 - lambda) CE(b), with smoothing inside each
    logits = torch.randn(5, CLASSES, generator=generator, dtype=torch.float64)
    own, other = torch.arange(5), torch.tensor([6, 3, 2, 0, 1])
    target = mix_labels(own, other, 0.3, CLASSES).double()
    loss = F.cross_entropy(logits, target, label_smoothing=0.1)
    first, second = (F.cross_entropy(logits, y, label_smoothing=0.1) for y in (own, other))
    torch.testing.assert_close(loss, 0.3 * first + 0.7 * second)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_dtypes_stay(dtype: torch.dtype) -> None:
    images = one_hot_images(4, (5, 3)).to(dtype)
    for mix in (Mix(mixup=1.0), Mix(cutmix=1.0)):
        out, labels = mix.apply(
            images.clone(), torch.arange(4), 4, torch.Generator().manual_seed(1)
        )
        assert out.dtype == dtype
        assert labels.dtype == torch.float32


def test_settings_are_checked() -> None:
    assert not Mix()
    assert not Mix(mixup=1.0, rate=0.0)
    assert Mix(cutmix=1.0)
    with pytest.raises(AllmlpError, match=r"cutmix needs an α of 0 \(off\) or more, got -1"):
        Mix(cutmix=-1.0)
    with pytest.raises(AllmlpError, match=r"mixing needs a switch in \[0, 1\], got 2"):
        Mix(switch=2.0)
