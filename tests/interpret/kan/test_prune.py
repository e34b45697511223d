from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.interpret.kan import prune
from allmlp.models.kan import KAN
from allmlp.zoo import load_model, save_model


def data(columns: int = 3, count: int = 80) -> Tensor:
    return torch.rand(count, columns, dtype=torch.float64) * 2 - 1


def silent(model: KAN, edges: list[tuple[int, int, int]], size: float = 0.0) -> KAN:
    """With some edges scaled down to a constant 0.3 and `size` of their variation."""
    with torch.no_grad():
        for layer, i, s in edges:
            numeric: Any = model.layers[layer].numeric
            numeric.base_weight[s, i] = 0
            numeric.spline_weight[s, :, i] *= size
            numeric.spline_weight[s, :, i] += 0.3
    return model


def net(**options: object) -> KAN:
    model = KAN([3, 4, 2], grid=3, **options).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    # node 2 does not vary, and column 1 leads nowhere
    dead = [(0, i, 2) for i in range(3)] + [(0, 1, s) for s in range(4)]
    return silent(model, dead)


def test_what_is_constant_goes_and_its_means_stay() -> None:
    model, x = net(), data()
    found = prune(model, x, node=1e-6, edge=1e-6, input=1e-6)
    assert found.nodes == ((1, 2),)
    assert found.inputs == (1,)
    assert found.model.config.widths == (2, 3, 2)
    assert found.model.inputs.tolist() == [0, 2]
    # constants moved into what is left: nothing has changed
    assert found.change.max() < 1e-12
    torch.testing.assert_close(found.model(x), model(x), rtol=1e-12, atol=1e-12)


def test_change_is_reported() -> None:
    model, x = net(), data()
    found = prune(model, x, node=0.05, edge=0.2, input=0.05)
    before, after = model(x), found.model(x)
    expected = (after - before).square().mean(0).sqrt() / before.std(0, correction=0)
    torch.testing.assert_close(found.change, expected.detach())
    assert found.change.max() > 1e-3
    assert len(found.edges) > 0


def test_options_and_files(tmp_path: Path) -> None:
    model = net(scale=True, bias=True, k=2, outside="clamp", base="gelu").eval()
    x, state = data(), torch.random.get_rng_state()
    small = prune(model, x).model
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not small.training
    for name in ("k", "base", "options", "scale", "bias", "grid_range"):
        assert getattr(small.config, name) == getattr(model.config, name)
    loaded = load_model(save_model(small, tmp_path / "kan"))
    torch.testing.assert_close(loaded(x), small(x), rtol=0, atol=0)


def test_formulas_stay_and_carry_means() -> None:
    model = KAN([2, 1], symbolic=[(0, 0, 0, "sin")], mask=True).double()
    model = silent(model, [(0, 1, 0)])
    with torch.no_grad():
        model.layers[0].numeric.mask[0, 0] = 0
    x = data(2)
    found = prune(model, x)
    assert found.model.config.symbolic == ((0, 0, 0, "sin"),)
    symbolic: Any = found.model.layers[0].symbolic
    assert symbolic.affine[0, 3].item() == pytest.approx(0.3)
    torch.testing.assert_close(found.model(x), model(x), rtol=1e-12, atol=1e-12)


def test_product_nodes_go_whole() -> None:
    model = KAN([2, [2, 2], 1], mult_arity=3, grid=3).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    silent(model, [(1, 3, 0)])  # the second product reaches the output as a constant
    found = prune(model, data(2), edge=0.0)
    assert found.nodes == ((1, 3),)
    assert found.model.config.widths == (2, (2, 1), 1)
    assert found.change.max() < 1e-12


@pytest.mark.parametrize("model", [KAN([2, 3, 1]), KAN([2, 3, 1], norm=True)])
def test_something_always_stays(model: KAN) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    x = torch.rand(10, 2)
    found = prune(model, x)
    assert found.model(x).tolist() == [[0.0]] * 10
    assert found.change.tolist() == [0.0]


def test_mistakes() -> None:
    with pytest.raises(AllmlpError, match="at least 0"):
        prune(net(), data(), node=-1.0)
    with pytest.raises(AllmlpError, match="samples, got none"):
        prune(net(), data()[:0])
