"""Golden spectra, memory, and what is answered to mistakes."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

from allmlp import BilinearMLP
from allmlp.errors import AllmlpError
from allmlp.interpret.bilinear import (
    adversarial_masks,
    effective_inputs,
    effective_rank,
    eigenfeatures,
    explain,
    hosvd,
    interaction_matrix,
    interaction_tensor,
    nested,
    roughness,
    similarity,
    truncate,
)
from allmlp.layers import GatedMlp, make_channel_mlp
from allmlp.zoo.convert import convert_state
from allmlp.zoo.registry import build_model


def test_golden_spectrum(golden: Path) -> None:
    with safe_open(golden / "bilinear_official.safetensors", "pt") as opened:
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    theirs = {k.removeprefix("weights/"): t for k, t in tensors.items() if k.startswith("weights")}
    found = convert_state(theirs)
    model = build_model(found.family, asdict(found.config))
    model.load_state_dict(found.state)
    features = eigenfeatures(model)
    values, order = features.values.sort(dim=1)  # theirs ascend
    torch.testing.assert_close(values.float(), tensors["eigenvalues"], rtol=1e-5, atol=1e-6)
    directions = features.directions.gather(1, order[..., None].expand(-1, -1, 36)).float()
    expected = tensors["eigenvectors"]
    sign = (directions * expected).sum(-1, keepdim=True).sign()
    # the file's eigensolver ran in float32
    torch.testing.assert_close(directions * sign, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        features.logits(tensors["input"]).float(), tensors["output"], rtol=1e-5, atol=1e-6
    )


def test_order_and_signs() -> None:
    features = eigenfeatures(BilinearMLP(12, 3, hidden=8), None, 5)
    assert features.values.shape == (3, 5)
    assert (features.values.abs().diff(dim=1) <= 0).all()
    assert (features.tail <= features.values.abs()[:, -1]).all()
    assert (
        features.directions.gather(2, features.directions.abs().argmax(2, keepdim=True)) > 0
    ).all()
    assert torch.equal(eigenfeatures(BilinearMLP(5, 1)).offsets, torch.zeros(1, 5).double())


def test_a_wide_input_never_meets_its_square() -> None:
    # 20,000^2 float64 numbers would be 3 GB, for one class
    model = BilinearMLP(20_000, 2, hidden=8)
    x = torch.randn(3, 20_000)
    torch.testing.assert_close(eigenfeatures(model).logits(x).float(), model(x).detach())
    truncate(model, 2)
    hosvd(model)
    with pytest.raises(AllmlpError, match="800,000,000 numbers, more than max_elements=16,777,216"):
        interaction_tensor(model)


def test_channel_mlps_of_a_bilinear_mixer() -> None:
    mlp = make_channel_mlp("bilinear", 6, 8)
    x = torch.randn(2, 4, 6)
    logits = eigenfeatures(mlp).logits(x)  # tokens as a batch of their own
    torch.testing.assert_close(logits.float(), mlp(x).detach(), rtol=1e-5, atol=1e-6)


def test_models_stay_as_they_are() -> None:
    model = BilinearMLP(6, 3, hidden=5, embed=4, bias=True)
    before = {key: t.clone() for key, t in model.state_dict().items()}
    state = torch.get_rng_state()
    for call in (eigenfeatures, hosvd):
        call(model)
    truncate(model, 2)
    nested(model, 0)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(t, before[key]) for key, t in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_measures() -> None:
    assert effective_rank(torch.tensor([[1.0, -1.0], [1.0, 0.0]])).tolist() == [2.0, 1.0]
    assert effective_inputs(torch.ones(3, 49)).tolist() == [49.0] * 3
    checks = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert roughness(checks).item() == pytest.approx(4 / 2**0.5)
    assert roughness(5 * checks).item() == pytest.approx(4 / 2**0.5)
    assert not roughness(torch.ones(2, 4, 4)).any()


def test_mistakes_are_answered() -> None:
    model = BilinearMLP(6, 3, hidden=5)
    deep = BilinearMLP(6, 3, hidden=5, depth=2)
    with pytest.raises(AllmlpError, match="a Linear is no bilinear network; give a BilinearMLP"):
        eigenfeatures(nn.Linear(3, 3))
    with pytest.raises(AllmlpError, match="with its SiLU gate this GatedMlp is not bilinear"):
        eigenfeatures(GatedMlp(4, 4, gate="silu"))
    with pytest.raises(AllmlpError, match="of 2 bilinear layers is no quadratic form; take nested"):
        eigenfeatures(deep)
    with pytest.raises(AllmlpError, match="has 3 outputs, there is no output 3"):
        eigenfeatures(model, 3)
    with pytest.raises(AllmlpError, match=r"weighs the 3 outputs of the network, got shape \(4,\)"):
        interaction_matrix(model, torch.ones(4))
    with pytest.raises(AllmlpError, match=r"one direction \(k,\), got \(2, 3\)"):
        interaction_matrix(model, torch.ones(2, 3))
    with pytest.raises(AllmlpError, match=r"of one output, got directions \(2, 3\)"):
        nested(deep, torch.ones(2, 3))
    with pytest.raises(AllmlpError, match="integer k of at least 1, got 0"):
        truncate(model, 0)
    with pytest.raises(AllmlpError, match="more than 67,108,864; pass beam="):
        nested(BilinearMLP(600, 2, hidden=600, depth=2), 0)
    with pytest.raises(AllmlpError, match="networks of 3 and 2 outputs"):
        similarity(model, BilinearMLP(6, 2))
    with pytest.raises(AllmlpError, match="of 7 inputs|of 6 inputs"):
        similarity(model, BilinearMLP(7, 3))
    with pytest.raises(AllmlpError, match=r"one input of shape \(6,\), got \(5,\)"):
        explain(model, torch.ones(5))
    with pytest.raises(AllmlpError, match="features span 2 dimensions of the inputs"):
        adversarial_masks(
            BilinearMLP(6, 3, hidden=20), 0, 3, support=torch.arange(6) < 2, rivals=(1, 2)
        )
    negative = BilinearMLP(4, 1, hidden=1)
    with torch.no_grad():
        negative.head.weight.fill_(-1)
        negative.blocks[0].right.weight.copy_(negative.blocks[0].left.weight)
    with pytest.raises(AllmlpError, match="output 0 has no eigenfeature of positive value"):
        adversarial_masks(negative, 0)


def test_a_network_of_zeros_has_no_components() -> None:
    model = BilinearMLP(in_features=4, hidden=5, num_classes=3)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    with pytest.raises(AllmlpError, match="is 0"):
        hosvd(model)
