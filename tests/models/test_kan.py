import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.layers.bases import BASES
from allmlp.models.kan import KAN
from allmlp.models.kan_config import KANConfig
from allmlp.ops.symbolic import SymbolicFunction

FULL: dict[str, Any] = {
    "grid": 4,
    "scale": True,
    "bias": True,
    "affine": True,
    "mult_arity": ((), (2, 3), ()),
    "symbolic": [(0, 0, 1, "sin"), (0, 2, 6, "exp"), (1, 3, 0, "x^2")],
}


def full(**changes: Any) -> Any:
    """A KAN with everything: [3, [2, 2], 2], products of two and of three, symbolic edges."""
    model = KAN([3, [2, 2], 2], **{**FULL, **changes}).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


def inputs(count: int = 40) -> Tensor:
    return torch.rand(count, 3, dtype=torch.float64) * 2 - 1


def test_against_a_loop_over_edges() -> None:
    model = full()
    x = inputs(6)
    values = x
    for layer in model.layers:
        numeric, nodes = layer.numeric, layer.nodes
        sums = numeric.bias.expand(6, -1).clone()
        basis = numeric.basis(values)
        for s in range(numeric.out_features):
            for i in range(numeric.in_features):
                spline = (numeric.spline_weight[s, :, i] * basis[:, :, i]).sum(1)
                sums[:, s] += numeric.scale[s, i] * spline
                sums[:, s] += numeric.base_weight[s, i] * nn.functional.silu(values[:, i])
        for (i, s, name), (a, b, c, d) in zip(
            layer.symbolic.edges, layer.symbolic.affine, strict=True
        ):
            functions = {"sin": torch.sin, "exp": torch.exp, "x^2": torch.square}
            sums[:, s] += c * functions[name](a * values[:, i] + b) + d
        sub = nodes.subnode_scale * sums + nodes.subnode_bias
        if nodes.arities:
            products = [sub[:, 2] * sub[:, 3], sub[:, 4] * sub[:, 5] * sub[:, 6]]
            sub = torch.stack([sub[:, 0], sub[:, 1], *products], dim=1)
        values = nodes.node_scale * sub + nodes.node_bias
    torch.testing.assert_close(model(x), values, rtol=1e-12, atol=1e-12)


def test_gradcheck() -> None:
    model = KAN([2, [1, 1], 1], grid=2, scale=True, affine=True, symbolic=[(0, 1, 2, "sin")])
    model = model.double()
    x = inputs(2)[:, :2].clone().requires_grad_()
    parameters = dict(model.named_parameters())

    def call(x: Tensor, *values: Tensor) -> Tensor:
        state = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(model, state, (x,))

    assert torch.autograd.gradcheck(call, (x, *parameters.values()))


def test_any_leading_axes() -> None:
    model = full()
    x = torch.rand(2, 3, 4, 3, dtype=torch.float64)
    torch.testing.assert_close(model(x), model(x.reshape(-1, 3)).view(2, 3, 4, 2))
    assert model(x[:0]).shape == (0, 3, 4, 2)
    assert model(x[0, 0, 0]).shape == (2,)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"grid": 1, "k": 1},
        {"k": 5, "grid": 3},  # k larger than the grid
        {"base": None, "bias": True},
        {"base": "identity", "norm": True, "scale": True},
        {"affine": True, "mask": True},
        {"symbolic": [(0, 1, 2, "sin"), (1, 0, 0, "exp")]},
    ],
)
@pytest.mark.parametrize("widths", [[1, 1], [3, 5, 2], [2, [0, 3], [1, 2]], [2, [3, 0], 4, 1]])
def test_parameter_formula(widths: list[Any], options: dict[str, Any]) -> None:
    if widths == [1, 1] and "symbolic" in options:
        options = {"symbolic": [(0, 0, 0, "sin")]}
    if widths == [1, 1] and "norm" in options:
        options = {**options, "norm": False}
    model = KAN(widths, **options)
    assert model.count_parameters() == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("basis", BASES)
def test_every_basis(basis: str) -> None:
    model: Any = KAN([3, 4, 2], basis=basis)
    assert model.count_parameters() == sum(p.numel() for p in model.parameters())
    small = model.keep(inputs=[0, 2], nodes={1: [1, 3]})
    again = KAN.from_config(small.config)
    again.load_state_dict(small.state_dict())
    x = torch.randn(5, 3)
    y = small(x)
    assert torch.isfinite(y).all()
    assert torch.equal(again(x), y)
    only = model.layers[0].numeric.basis(x)[:, :, [0, 2]]
    torch.testing.assert_close(small.layers[0].numeric.basis(x[:, [0, 2]]), only)
    if basis != "bspline":
        with pytest.raises(AllmlpError, match="only B-splines have a grid to change"):
            model.refine(10)


def test_what_a_basis_itself_trains_is_counted_and_kept() -> None:
    model: Any = KAN([3, 4, 2], basis="rbf", size=5, trainable=True)
    assert model.count_parameters() == 3 * 4 * 6 + 4 * 2 * 6 + 2 * 5 * (3 + 4)
    assert model.count_parameters() == sum(p.numel() for p in model.parameters())
    small = model.keep(inputs=[0, 2])
    centers = model.layers[0].numeric.basis.centers
    assert torch.equal(small.layers[0].numeric.basis.centers, centers[:, [0, 2]])


def test_options_that_a_basis_lacks() -> None:
    with pytest.raises(AllmlpError, match="'chebyshev' has no grid; its options are degree"):
        KAN([2, 1], basis="chebyshev", grid=7)
    with pytest.raises(AllmlpError, match="unknown option of the basis 'rbf' 'bump'"):
        KAN([2, 1], basis="rbf", bump="switch")


def test_parameter_formula_by_hand() -> None:
    # [784, 64, 10], G=5, k=3: (784 * 64 + 64 * 10) edges of 8 splines and a base
    assert KAN([784, 64, 10]).count_parameters() == (784 * 64 + 64 * 10) * 9


def test_intermediates() -> None:
    model = full()
    x = inputs(5)
    found = model.forward_intermediates(x)
    parts = ("input", "sums", "nodes")
    assert list(found) == [f"layers.{n}.{part}" for n in (0, 1) for part in parts]
    torch.testing.assert_close(found["layers.1.nodes"], model(x), rtol=0, atol=0)
    torch.testing.assert_close(found["layers.0.nodes"], found["layers.1.input"], rtol=0, atol=0)
    assert [found[f"layers.0.{p}"].shape[1] for p in parts] == [3, 7, 4]


def test_out_of_grid_is_counted() -> None:
    model = KAN([2, 3, 1])
    x = torch.tensor([[0.0, 5.0], [0.5, -0.5], [torch.nan, 0.0], [torch.inf, 1.0]])
    shares = model.out_of_grid(x)
    assert shares[0] == pytest.approx(3 / 8)
    assert len(shares) == 2
    # a NaN stays in its row
    y = model(x[:3])
    assert torch.isfinite(y[:2]).all()
    assert torch.isnan(y[2]).all()


@pytest.mark.parametrize("grid", [8, 12])
def test_refining_by_a_multiple_changes_nothing(grid: int) -> None:
    model = full(affine=False, symbolic=[])
    x = inputs() * 3  # straight tails refine exactly as well
    before = copy.deepcopy(model.state_dict())
    refined = model.refine(grid)
    torch.testing.assert_close(refined(x), model(x), rtol=1e-12, atol=1e-12)
    assert refined.config.grid == grid
    assert refined.count_parameters() == sum(p.numel() for p in refined.parameters())
    torch.testing.assert_close(dict(model.state_dict()), dict(before), rtol=0, atol=0)


def test_refining_to_another_size_and_at_samples() -> None:
    model = full()
    x = inputs(400)
    scale = model(x).std()
    for refined in (model.refine(11), model.refine(11, x)):
        assert (refined(x) - model(x)).square().mean().sqrt() < 0.1 * scale


def test_update_grid_follows_every_layer() -> None:
    model = full()
    x = 3 * inputs(500)
    update = model.update_grid(x)
    found = update.model.forward_intermediates(x)
    for number, (layer, change) in enumerate(zip(update.model.layers, update.changes, strict=True)):
        low, high = layer.numeric.basis.grid_range()
        seen = found[f"layers.{number}.input"]
        # each layer's range is that of what the updated layers before it give
        torch.testing.assert_close(low, seen.amin(0), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(high, seen.amax(0), rtol=1e-9, atol=1e-9)
        assert change.outside_after == 0
        assert 0 < change.rms_change < change.rms
    assert update.changes[0].outside_before > 0.5
    again = update.model.update_grid(x)
    assert all(change.rms_change < 1e-12 for change in again.changes)


def test_reported_change_is_the_change() -> None:
    model = KAN([2, 3]).double()
    x = torch.rand(100, 2, dtype=torch.float64)
    update = model.update_grid(x, uniform_share=0.5)
    with torch.no_grad():
        change = (update.model(x) - model(x)).square().mean().sqrt()
        assert update.changes[0].rms_change == pytest.approx(float(change), rel=1e-9)
        assert update.changes[0].rms == pytest.approx(float(model(x).square().mean().sqrt()))


def test_sample_refit_stays_available_for_parity() -> None:
    x = inputs(300)
    update = full().update_grid(x, uniform_share=0.02, refit="samples")
    assert all(change.rms_change < change.rms for change in update.changes)


def test_with_a_norm_the_grid_follows_what_the_basis_sees() -> None:
    model = KAN([3, 4, 1], norm=True).double()
    x = 100 * inputs(200)
    update = model.update_grid(x, uniform_share=1.0)
    low, high = update.model.layers[0].numeric.basis.grid_range()
    assert low.min() > -2
    assert high.max() < 2
    assert update.changes[0].outside_after == 0


def test_structure_changes_touch_no_random_state_and_no_caller() -> None:
    widths: list[Any] = [3, [2, 2], 2]
    state = torch.get_rng_state()
    model = full()
    assert widths == [3, [2, 2], 2]
    torch.set_rng_state(state)
    model.refine(8)
    model.update_grid(inputs(50).clone())
    assert torch.get_default_dtype() == torch.float32
    state = torch.get_rng_state()
    model.keep(inputs=[0, 1])
    model.refine(7)
    assert torch.equal(torch.get_rng_state(), state)


def test_keeps_dtype_mode_and_frozen_parameters() -> None:
    model = full().eval()
    model.layers[0].numeric.base_weight.requires_grad_(False)
    model.layers[1].numeric.spline_weight.requires_grad_(False)
    model(inputs()).sum().backward()
    x = inputs(100)
    for changed in (model.refine(8), model.update_grid(x).model, model.keep(nodes={1: [0, 2, 3]})):
        assert not changed.training
        frozen = {name for name, p in changed.named_parameters() if not p.requires_grad}
        assert frozen == {"layers.0.numeric.base_weight", "layers.1.numeric.spline_weight"}
        assert {p.dtype for p in changed.parameters()} == {torch.float64}
        assert all(p.grad is None for p in changed.parameters())


def test_a_config_rebuilds_the_network() -> None:
    model = full()
    again = KAN.from_config(model.config).double()
    again.load_state_dict(model.state_dict())
    x = inputs()
    assert torch.equal(again(x), model(x))


def test_user_functions() -> None:
    bessel = SymbolicFunction(name="j0", function=torch.special.bessel_j0, complexity=4)
    model = KAN([1, 1], symbolic=[(0, 0, 0, "j0")], functions=[bessel])
    assert model.keep().functions == (bessel,)
    with pytest.raises(AllmlpError, match=r"'j0'.*functions=\[SymbolicFunction"):
        KAN.from_config(model.config)


def test_wrong_last_axis() -> None:
    with pytest.raises(AllmlpError, match=r"takes 2 inputs, got inputs of shape \(4, 5\)"):
        KAN([2, 1])(torch.zeros(4, 5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": 3}, "widths as a list of integers, got 3"),
        ({"widths": [3]}, "widths of inputs and outputs at least"),
        ({"widths": [0, 2]}, "inputs of at least 1, got 0"),
        ({"widths": [2, 0]}, "width of at least 1, got 0"),
        ({"widths": [2, [1, 2, 3], 1]}, r"a number or \(sums, products\)"),
        ({"widths": [2, [1, 1], 1], "mult_arity": 1}, "mult_arity of at least 2, got 1"),
        ({"widths": [2, [1, 2], 1], "mult_arity": [[], [2]]}, "lists 1 product nodes for entry 1"),
        ({"widths": [2, 1], "basis": "bsplin"}, "did you mean bspline"),
        ({"widths": [2, 1], "outsides": "zero"}, "did you mean outside"),
        ({"widths": [2, 1], "grid_range": (1, 1)}, "low < high"),
        ({"widths": [2, 1], "symbolic": [(1, 0, 0, "sin")]}, "1 layers has no symbolic edge in 1"),
        ({"widths": [2, 1], "symbolic": [(0, 2, 0, "sin")]}, "no edge from input 2"),
        ({"widths": [1, 3], "norm": True}, "LayerNorm of one number is zero"),
        ({"widths": [2, 1], "in_features": 1}, "in_features of at least 2, got 1"),
    ],
)
@pytest.mark.unhooked
def test_bad_sizes(options: dict[str, Any], message: str) -> None:
    with pytest.raises(AllmlpError, match=message):
        KAN(**options)


def test_config_is_frozen_and_hashable_parts_are_tuples() -> None:
    config = KAN([2, [1, 1], 1], symbolic=[[0, 0, 0, "sin"]]).config
    assert config == KANConfig(widths=(2, (1, 1), 1), symbolic=((0, 0, 0, "sin"),))


@pytest.mark.unhooked
def test_exports() -> None:
    model = full().eval()
    x = inputs(4)
    program = torch.export.export(model, (x,))
    torch.testing.assert_close(program.module()(x), model(x))


def test_inputs_are_scaled_by_the_network() -> None:
    x = torch.rand(50, 3, dtype=torch.float64) * torch.tensor([1e4, 1.0, 0.0]) + 7
    model = KAN([3, 2, 1], grid_range=(-2, 3)).double()
    scaled = model.scale_inputs(x)
    seen = scaled.forward_intermediates(x)["layers.0.input"]
    for column in (0, 1):
        assert seen[:, column].min().item() == pytest.approx(-2)
        assert seen[:, column].max().item() == pytest.approx(3)
    assert (seen[:, 2] == 0.5).all()  # the middle of the grid
    torch.testing.assert_close(scaled(x), model(seen), rtol=1e-12, atol=1e-12)
    # whatever is cut or named afterwards
    assert scaled.out_of_grid(x)[0] == 0
    part = scaled.keep(inputs=[2, 0]).refine(7)
    again = KAN.from_config(part.config).double()
    again.load_state_dict(part.state_dict())
    torch.testing.assert_close(
        again.forward_intermediates(x)["layers.0.input"], seen[:, [0, 2]], rtol=0, atol=0
    )
    named = scaled.set_symbolic({(0, 0, 0): ("sin", (1.0, 0.0, 1.0, 0.0))})
    torch.testing.assert_close(named.middle, scaled.middle, rtol=0, atol=0)
    with pytest.raises(AllmlpError, match="rows of 3 columns"):
        model.scale_inputs(x[:, :2])
    with pytest.raises(AllmlpError, match="finite rows"):
        model.scale_inputs(x * torch.nan)
    with pytest.raises(AllmlpError, match="have moved .update_grid.; scale first"):
        model.update_grid(x).model.scale_inputs(x)


def test_grids_of_chosen_layers_move() -> None:
    x, model = inputs() / 3, KAN([3, 2, 1]).double()
    moved = model.update_grid(x, layers=[1]).model
    knots = [layer.numeric.basis.knots for layer in moved.layers]
    assert torch.equal(knots[0], model.layers[0].numeric.basis.knots)
    assert not torch.equal(knots[1], model.layers[1].numeric.basis.knots)
    with pytest.raises(AllmlpError, match="layers 0 to 1"):
        model.update_grid(x, layers=[2])


def test_an_unknown_base_is_named() -> None:
    with pytest.raises(AllmlpError, match="base"):
        KANConfig(widths=(2, 1), base="nope")


@pytest.mark.unhooked
def test_widths_are_whole_numbers() -> None:
    assert KANConfig(widths=(np.int64(2), 1)).width(0) == 2
    for wrong in (2.5, (1, 2, 3)):
        with pytest.raises(AllmlpError, match="an entry of widths is a number or"):
            KANConfig(widths=(2, wrong, 1))
