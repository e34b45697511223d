import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import allmlp
from allmlp.deploy import inject_locality, reparameterize
from allmlp.errors import AllmlpError
from allmlp.models.repmlp import RepMLPNet, RepMLPNetConfig
from allmlp.zoo.convert import convert_state
from allmlp.zoo.stored import read_stored, write_record, write_weights

CONFIG = RepMLPNetConfig(
    img_size=(16, 24), widths=(4, 8), depths=(1, 2), share_sets=(2, 4), num_classes=3
)


def trained(config: RepMLPNetConfig = CONFIG) -> RepMLPNet:
    """As after training: no norm is an identity, no channel like another."""
    model = RepMLPNet(config).double()
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            if "var" in name:
                nn.init.uniform_(tensor, 0.2, 3.0)
            else:
                nn.init.normal_(tensor, std=0.7)
    return model.eval()


def images(height: int = 16, width: int = 24) -> Tensor:
    return torch.randn(3, 3, height, width, dtype=torch.float64)


@pytest.mark.parametrize("merge", [inject_locality, reparameterize])
@pytest.mark.parametrize("size", [(16, 24), (32, 24), (32, 72)])
def test_the_same_function(merge: Callable[[Any], nn.Module], size: tuple[int, int]) -> None:
    model, given = trained(), images(*size)
    before = copy.deepcopy(model.state_dict())
    merged = merge(model)
    torch.testing.assert_close(merged(given), model(given), rtol=1e-10, atol=1e-10)
    # every map, not the logits alone
    for ours, theirs in zip(
        merged.forward_intermediates(given)[1], model.forward_intermediates(given)[1], strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    assert model.config == CONFIG
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("kernels", [(1,), (3,), (1, 3, 5)])
def test_other_branches(kernels: tuple[int, ...]) -> None:
    # the fifth row and column of a kernel reach beyond the last stage's map of 2 by 3
    model = trained(RepMLPNetConfig(**{**vars(CONFIG), "kernels": kernels}))
    given = images()
    torch.testing.assert_close(reparameterize(model)(given), model(given), rtol=1e-10, atol=1e-10)


def test_no_norm_is_left() -> None:
    merged = reparameterize(trained())
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in merged.modules())
    assert not merged.training
    assert all(p.requires_grad for p in merged.parameters())


def test_merging_twice_is_merging_once() -> None:
    model, given = trained(), images()
    once = reparameterize(model)
    twice = reparameterize(once)
    assert twice is not once
    assert torch.equal(twice(given), once(given))
    injected = inject_locality(model)
    assert torch.equal(inject_locality(injected)(given), injected(given))
    torch.testing.assert_close(reparameterize(injected)(given), once(given))


def test_features_and_other_heads() -> None:
    model = trained()
    model.reset_classifier(0)
    given = images()
    torch.testing.assert_close(reparameterize(model)(given), model(given), rtol=1e-10, atol=1e-10)


def test_dtype_and_random_state_stay() -> None:
    model = trained().float()
    before = torch.get_rng_state()
    merged = reparameterize(model)
    assert torch.equal(before, torch.get_rng_state())
    assert {p.dtype for p in merged.parameters()} == {torch.float32}


def test_the_deploy_form_is_stored_and_read_as_any_model(tmp_path: Path) -> None:
    merged, given = reparameterize(trained().float()), images().float()
    write_record(tmp_path, "repmlpnet_t224", merged, None, None)
    write_weights(tmp_path, merged.state_dict())
    again = read_stored(tmp_path).build().eval()
    assert torch.equal(again(given), merged(given))


@pytest.mark.parametrize("form", ["training", "injected", "deploy"])
def test_bare_tensors_of_every_form(form: str) -> None:
    model = RepMLPNet(RepMLPNetConfig(**{**vars(CONFIG), "form": form}))
    found = convert_state(model.state_dict(), (16, 24))
    assert (found.format, found.config) == ("allmlp", model.config)
    torch.testing.assert_close(found.state, dict(model.state_dict()), rtol=0, atol=0)


def test_what_cannot_be_merged() -> None:
    with pytest.raises(AllmlpError, match="in training mode; call model.eval"):
        reparameterize(trained().train())
    with pytest.raises(AllmlpError, match="this model is in training mode"):
        inject_locality(trained().train())
    with pytest.raises(AllmlpError, match="this model is in the deploy form"):
        inject_locality(reparameterize(trained()))
    with pytest.raises(AllmlpError, match="nothing to merge in a Mixer; known are: RepMLPNet"):
        reparameterize(allmlp.create_model("mixer_digits").eval())
    bare: Any = trained()
    bare.stages[0].blocks[0].mix.norm = nn.BatchNorm1d(2, track_running_stats=False).double()
    with pytest.raises(AllmlpError, match="depends on the batch and cannot be merged"):
        reparameterize(bare.eval())
