from typing import Any

import pytest
import torch
from torch import nn

import allmlp
from allmlp.errors import AllmlpError
from allmlp.interpret import Overview, overview, pixel_weights
from allmlp.interpret.bilinear import eigenfeatures


def stirred(name: str, **sizes: Any) -> Any:
    """A model whose head is not zero, in training mode."""
    model = allmlp.create_model(name, num_classes=10, **sizes)
    for parameter in model.get_classifier().parameters():
        nn.init.normal_(parameter)
    return model


def kinds(found: Overview) -> set[str]:
    """What there is to see."""
    parts = ("answer", "eigen", "nested", "tokens", "reach", "fields", "pixels")
    return {part for part in parts if getattr(found, part) not in (None, {})}


PYRAMID: dict[str, Any] = {"img_size": 32, "depths": (2, 1)}
CASES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "mixer_digits": ({"depth": 2}, {"tokens", "fields"}),
    "resmlp_digits": ({"depth": 2}, {"tokens", "fields"}),
    "gmlp_digits": ({"depth": 2}, {"tokens", "fields"}),
    "convmixer_256_8": ({"width": 8, "depth": 2}, {"fields"}),
    "cyclemlp_b1": (PYRAMID | {"widths": (8, 8), "mlp_ratios": (2, 2)}, {"reach", "fields"}),
    "csmixer_t": (
        PYRAMID | {"width": 8, "heads": (2, 2), "ranks": (2, 2)}, {"reach", "fields"},
    ),
    "repmlpnet_t224": (
        PYRAMID | {"widths": (8, 8), "share_sets": (1, 2)}, {"tokens", "fields"},
    ),
    "mlp": ({"img_size": 8, "widths": (8, 8)}, {"pixels"}),
    "kan": ({"img_size": 8, "widths": (8,)}, {"pixels"}),
    "scaling_mlp_b6_w256": ({"img_size": 8, "width": 8, "depth": 2}, {"pixels"}),
    "bilinear": ({"img_size": 8, "hidden": 12}, {"eigen", "pixels"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_model(name: str) -> None:
    sizes, expected = CASES[name]
    model = stirred(name, **sizes)
    size, chans = model.config.img_size, model.config.in_chans
    images = torch.randn(3, chans, *size)
    modes = [m.training for m in model.modules()]
    found = overview(model, image=images[0], images=images)
    assert [m.training for m in model.modules()] == modes
    assert all(p.grad is None for p in model.parameters())
    assert kinds(found) == expected | {"answer"}
    answer = found.answer
    assert answer is not None
    model.eval()
    torch.testing.assert_close(answer.logits, model(images[:1])[0].detach(), rtol=1e-4, atol=1e-5)
    assert found.target == answer.logits.argmax()
    assert answer.gradients.shape == answer.covered.shape == size
    # the integral's error is known, and what is left of the sum is that of float32
    missing = answer.logits[found.target] - answer.at_mean - answer.gradients.sum()
    assert missing.item() == pytest.approx(answer.gap, abs=1e-4)
    assert kinds(overview(model, 3)) == expected - {"fields"}  # no image at all


def test_a_bilinear_network_adds_up() -> None:
    model = stirred("bilinear", img_size=8, hidden=12)
    image = torch.randn(1, 8, 8)
    found = overview(model, 7, image=image)
    answer = found.answer
    assert answer is not None
    assert answer.features is not None
    assert answer.pairs is not None
    logit = answer.logits[7].item()
    assert answer.features.sum().item() == pytest.approx(logit, rel=1e-4)
    assert answer.pairs.pair_matrix(7).sum().item() == pytest.approx(logit, rel=1e-4)
    one = eigenfeatures(model.to_mlp(), 7)
    assert found.eigen is not None
    torch.testing.assert_close(found.eigen.values, one.values)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [({"depth": 2}, {"nested", "pixels"}), ({"gate": "silu"}, {"pixels"})],
    ids=["deep", "gated"],
)
def test_other_bilinear_networks(sizes: dict[str, Any], expected: set[str]) -> None:
    model = stirred("bilinear", img_size=4, hidden=6, **sizes)
    found = overview(model, 2, image=torch.randn(1, 4, 4))
    assert kinds(found) == expected | {"answer"}
    answer = found.answer
    assert answer is not None
    assert answer.pairs is None
    if found.nested is not None and found.nested.exact:
        assert answer.features is not None
        total = answer.features.sum().item()
        assert total == pytest.approx(answer.logits[2].item(), rel=1e-4, abs=1e-5)


def test_questions_without_an_answer() -> None:
    model = stirred("mixer_digits", depth=1)
    with pytest.raises(AllmlpError, match="has 10 classes, there is no class 10"):
        overview(model, 10)
    model.reset_classifier(0)
    with pytest.raises(AllmlpError, match="give it a head first"):
        overview(model)


def slope(model: nn.Module, layer: nn.Module, unit: int, pixel: tuple[int, int, int]) -> float:
    """What a unit of a layer gains from one below the mean to one above, by two passes."""
    seen = []
    handle = layer.register_forward_hook(lambda *args: seen.append(args[2]))
    for sign in (1.0, -1.0):
        image = torch.zeros(1, model.config.in_chans, *model.config.img_size)
        image[0][pixel] = sign
        model(image)
    handle.remove()
    return ((seen[0] - seen[1])[0, unit] / 2).item()


@pytest.mark.parametrize(
    ("name", "sizes", "layer"),
    [
        ("mlp", {"widths": (5,)}, "features.blocks.0.linear"),
        ("mlp", {"widths": (5, 5), "block": "residual"}, "features.stem"),
        ("mlp", {"widths": (5,), "weight_norm": "spectral"}, "features.blocks.0.linear"),
        ("scaling_mlp_b6_w256", {"width": 6, "depth": 2}, "embed"),
        ("bilinear", {"hidden": 5, "embed": 6}, "embed"),
        ("bilinear", {"hidden": 5}, "blocks.0.left"),
        ("kan", {"widths": (5,)}, "body.layers.0"),
        ("kan", {"widths": (5,), "base": None, "basis": "chebyshev"}, "body.layers.0"),
    ],
)
def test_weights_of_pixels_are_what_units_gain(
    name: str, sizes: dict[str, Any], layer: str
) -> None:
    model = stirred(name, img_size=(3, 4), in_chans=2, **sizes).eval()
    weights = pixel_weights(model)
    assert weights.shape[1:] == (2, 3, 4)
    for unit, pixel in ((0, (1, 2, 3)), (4, (0, 1, 0))):
        gained = slope(model, model.get_submodule(layer), unit, pixel)
        assert weights[unit][pixel].item() == pytest.approx(gained, rel=1e-4, abs=1e-6)


def test_weights_of_pixels_of_the_second_factor_follow() -> None:
    model = stirred("bilinear", img_size=4, hidden=5)
    assert torch.equal(pixel_weights(model)[5:].flatten(1), model.blocks[0].right.weight)


@pytest.mark.parametrize(("name", "sizes"), [("mixer_digits", {}), ("kan", {"norm": True})])
def test_weights_of_pixels_that_are_not_there(name: str, sizes: dict[str, Any]) -> None:
    with pytest.raises(AllmlpError, match="no first layer with a weight for every pixel"):
        pixel_weights(allmlp.create_model(name, img_size=8, **sizes))
