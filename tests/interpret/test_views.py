import pytest
import torch

import allmlp
from allmlp.errors import AllmlpError
from allmlp.interpret import View, draw_images, views

CLASSES = [str(digit) for digit in range(10)]


def check(found: list[View]) -> list[str]:
    for view in found:
        assert len(view.images) == len(view.titles) > 0
        assert view.images.isfinite().all()
        assert view.images.any()
        draw_images(view.images, view.titles)
    return [view.title for view in found]


def test_a_mixer() -> None:
    model = allmlp.create_model("mixer_digits")
    torch.nn.init.normal_(model.get_classifier().weight)
    found = views(model, torch.randn(1, 8, 8), 3, CLASSES)
    titles = check(found)
    assert titles[0] == "This image, for 3"
    assert titles[-1] == "Effective receptive fields"
    assert sum(title.startswith("Token mixing: blocks.") for title in titles) == 3
    assert dict(found[0].facts)["probability of 3"].endswith("%")


def test_a_bilinear_network_adds_up() -> None:
    model = allmlp.create_model("bilinear", img_size=8, hidden=12)
    image = torch.randn(1, 8, 8)
    found = views(model, image, None, CLASSES)
    answer = int(model.eval()(image[None]).argmax())
    assert check(found) == [
        f"This image, for {answer}",
        f"Eigenfeatures for {answer}",
        f"Eigenfeatures against {answer}",
    ]
    facts = dict(found[1].facts)
    assert facts["sum of all contributions"] == dict(found[0].facts)["logit"]


def test_a_network_of_convolutions_has_fields_alone() -> None:
    model = allmlp.create_model("convmixer_256_8", width=8, depth=2)
    torch.nn.init.normal_(model.get_classifier().weight)
    assert check(views(model, torch.randn(3, 32, 32), 0, CLASSES)) == [
        "This image, for 0",
        "Effective receptive fields",
    ]
    with pytest.raises(AllmlpError, match="there are 10 classes, 10 is none"):
        views(model, torch.randn(3, 32, 32), 10, CLASSES)
