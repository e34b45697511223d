"""The model of a run, from scratch and from weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.runs.build import build_for_data, open_model
from allmlp.runs.config_tree import build_config
from allmlp.runs.run import Run


def config(finished: Run, **sections: Any) -> Any:
    return build_config(
        {**sections, "model": {"pretrained": str(finished.path)} | sections["model"]}
    )


def test_weights_bring_their_sizes_and_normalisation(finished: Run) -> None:
    model, preprocess = build_for_data(config(finished, model={}), 10, 1)
    assert model.config == finished.model.config
    torch.testing.assert_close(dict(model.state_dict()), dict(finished.model.state_dict()))
    assert preprocess == finished.preprocess


def test_another_size_and_other_classes(finished: Run) -> None:
    wanted = config(finished, model={"resize": "interpolate"}, data={"img_size": 12})
    model, preprocess = build_for_data(wanted, 3, 1)
    assert (model.config.img_size, model.config.num_classes) == ((12, 12), 3)
    assert preprocess == replace(finished.preprocess, img_size=(12, 12))
    assert torch.count_nonzero(model.get_classifier().weight) == 0


def test_frozen_models_train_their_head_alone(finished: Run) -> None:
    model, _ = build_for_data(config(finished, model={}, train={"freeze": True}), 10, 1)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"head.weight", "head.bias"}


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"train": {"freeze": True}}, "train.freeze is for pretrained weights"),
        ({"model": {"resize": "block"}}, "model.resize is for pretrained weights"),
        ({"model": {"pretrained": "no/such/run"}}, "no weights at no/such/run"),
        ({"model": {"overrides": {"in_chans": 3}}}, "in_chans follows from the data"),
    ],
)
def test_settings_that_do_not_go_together(tree: dict[str, Any], message: str) -> None:
    with pytest.raises(AllmlpError, match=message):
        build_for_data(build_config(tree), 10, 1)


def test_open_model_brings_weights_and_their_preprocessing(finished: Run) -> None:
    record = finished.path
    with pytest.raises(AllmlpError, match="holds a mixer with|does not fit"):
        open_model("mixer_nano", str(record))
    model, preprocess, classes = open_model("mixer_digits", str(record))
    assert classes == finished.classes
    assert preprocess == finished.preprocess
    torch.testing.assert_close(dict(model.state_dict()), dict(finished.model.state_dict()))


def test_open_model_needs_weights_named_once(finished: Run) -> None:
    with pytest.raises(AllmlpError, match="mixer_digits needs weights, named once"):
        open_model("mixer_digits", None)
    with pytest.raises(AllmlpError, match="mixer_b16.google_in1k needs weights, named once"):
        open_model("mixer_b16.google_in1k", str(finished.path))


def test_open_model_needs_to_know_how_to_prepare_images(finished: Run, tmp_path: Path) -> None:
    tensors = tmp_path / "bare.safetensors"
    tensors.write_bytes((finished.path / "model.safetensors").read_bytes())
    with pytest.raises(AllmlpError, match="bare.safetensors does not say how"):
        open_model("mixer_digits", str(tensors))
