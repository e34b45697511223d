import pytest
import torch

from allmlp.layers.pyramid import stage_rates
from allmlp.training.layer_decay import layer_depths
from allmlp.zoo import create_model


def test_rates_rise_over_all_stages() -> None:
    assert stage_rates(0.3, (1, 2, 1)) == [[0.0], pytest.approx([0.1, 0.2]), [0.3]]


@pytest.mark.parametrize("name", ["cyclemlp_b1", "csmixer_s", "repmlpnet_t224"])
def test_layers_of_a_pyramid_are_told_apart(name: str) -> None:
    with torch.device("meta"):
        model = create_model(name, depths=(1, 2, 1, 1))
    depths = layer_depths(model)
    found = {
        key: max(d for k, d in depths.items() if k.startswith(key)) for key in ("stem", "head")
    }
    blocks = [
        depths[k]
        for k in depths
        if k.endswith(("gate.fc1.weight", "mix.fc1.weight", "gate.weight"))
    ]
    assert found == {"stem": 0, "head": 6}
    assert blocks == [1, 2, 3, 4, 5]
    # down-sampling belongs to the block that follows it
    assert {d for k, d in depths.items() if k.startswith("stages.2.down")} == {4}
    assert {d for k, d in depths.items() if k.startswith("norm")} == {5}
