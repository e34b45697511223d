"""KANs of other libraries through files: what is read, what is refused, what is kept."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from allmlp.cli import main
from allmlp.errors import AllmlpError
from allmlp.models.kan import KAN
from allmlp.models.mixer import Mixer, MixerConfig
from allmlp.ops.symbolic import SymbolicFunction
from allmlp.zoo import load_model, save_model
from allmlp.zoo.convert import convert_state
from allmlp.zoo.pretrained import read_weights


def foreign(golden: Path, name: str) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    with safe_open(golden / f"kan_{name}.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    prefix = "weights/"
    state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    return state, tensors["input"], tensors["output"]


def pykan_checkpoint(golden: Path, folder: Path, name: str = "pykan_symbolic") -> Path:
    """What pykan's saveckpt leaves: NAME_state and NAME_config.yml."""
    state, _, _ = foreign(golden, name)
    settings: dict[str, Any] = {
        "width": [[2, 0], [3, 0], [1, 0]],
        "mult_arity": 2,
        "base_fun_name": "silu",
        "symbolic_enabled": True,
        "grid": 5,
        "k": 3,
    }
    for layer in range(2):
        masks = state[f"symbolic_fun.{layer}.mask"].tolist()
        settings[f"symbolic.funs_name.{layer}"] = [
            ["sin" if m == 1.0 else "0" for m in row] for row in masks
        ]
    torch.save(state, folder / "model_state")
    (folder / "model_config.yml").write_text(yaml.dump(settings))
    return folder / "model_state"


def old_pykan(grids: Tensor | None = None) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """A pykan 0.0.x state of widths [2, 3, 1], and outputs of a loop over its rows.

    Cox-de Boor by recursion on every edge, as that code does.
    """
    torch.manual_seed(1)
    state: dict[str, Tensor] = {}
    x = torch.rand(30, 2, dtype=torch.float64) * 2 - 1
    values = x
    for layer, (i, o) in enumerate(((2, 3), (3, 1))):
        prefix = f"act_fun.{layer}."
        grid = torch.linspace(-1, 1, 6, dtype=torch.float64).repeat(o * i, 1)
        grid = grid + torch.rand(1, i, 1, dtype=torch.float64).expand(o, i, 1).reshape(-1, 1) * 0.1
        if grids is not None and layer == 0:
            grid = grids
        state[prefix + "grid"] = grid
        state[prefix + "coef"] = torch.randn(o * i, 8, dtype=torch.float64)
        for kind in ("scale_base", "scale_sp"):
            state[prefix + kind] = torch.randn(o * i, dtype=torch.float64)
        mask = torch.ones(o * i, dtype=torch.float64)
        mask[0] = 0.0 if layer == 0 else 1.0
        state[prefix + "mask"] = mask
        state[f"symbolic_fun.{layer}.mask"] = torch.zeros(o, i, dtype=torch.float64)
        state[f"symbolic_fun.{layer}.affine"] = torch.zeros(o, i, 4, dtype=torch.float64)
        state[f"biases.{layer}.weight"] = torch.randn(1, o, dtype=torch.float64)
        sums = state[f"biases.{layer}.weight"].expand(len(x), o).clone()
        for row in range(o * i):
            v = values[:, row % i]
            edge = state[prefix + "scale_base"][row] * torch.nn.functional.silu(v)
            spline = recursion(v, grid[row], 3) @ state[prefix + "coef"][row]
            edge = edge + state[prefix + "scale_sp"][row] * spline
            sums[:, row // i] += mask[row] * edge
        values = sums
    return state, x, values


def recursion(x: Tensor, grid: Tensor, k: int) -> Tensor:
    step = (grid[-1] - grid[0]) / (len(grid) - 1)
    steps = step * torch.arange(1, k + 1)
    t = torch.cat([grid[0] - steps.flip(0), grid, grid[-1] + steps])
    x = x[:, None]
    basis = ((x >= t[:-1]) & (x < t[1:])).double()
    for p in range(1, k + 1):
        left = (x - t[: -p - 1]) / (t[p:-1] - t[: -p - 1]) * basis[:, :-1]
        right = (t[p + 1 :] - x) / (t[p + 1 :] - t[1:-p]) * basis[:, 1:]
        basis = left + right
    return basis


def test_a_pykan_checkpoint_with_its_settings(golden: Path, tmp_path: Path) -> None:
    path = pykan_checkpoint(golden, tmp_path)
    _, x, y = foreign(golden, "pykan_symbolic")
    files, random_state = sorted(tmp_path.iterdir()), torch.get_rng_state()
    model = load_model(path)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.get_default_dtype() == torch.float32
    assert sorted(tmp_path.iterdir()) == files
    assert isinstance(model, KAN)
    torch.testing.assert_close(model(x), y, rtol=0, atol=1e-12)


def test_symbolic_edges_need_the_settings(golden: Path, tmp_path: Path) -> None:
    path = pykan_checkpoint(golden, tmp_path)
    (tmp_path / "model_config.yml").unlink()
    with pytest.raises(AllmlpError, match="6 symbolic edges in layer 0.*put pykan's NAME_config"):
        load_model(path)


def test_settings_with_objects_are_not_executed(golden: Path, tmp_path: Path) -> None:
    path = pykan_checkpoint(golden, tmp_path)
    settings = tmp_path / "model_config.yml"
    # what pykan itself writes after prune_input, and what an attacker would
    hostile = f"!!python/object/apply:pathlib.Path.touch [{tmp_path / 'ran'}]"
    for value in ("!!python/object:torch.nn.modules.activation.SiLU {}", hostile):
        settings.write_text(f"base_fun_name: {value}\n")
        with pytest.raises(AllmlpError, match="must be plain YAML.*put silu there"):
            load_model(path)
    assert not (tmp_path / "ran").exists()
    off = "symbolic_enabled: false\n"
    settings.write_text(off + "base_fun_name: gelu\n")
    with pytest.raises(AllmlpError, match="unknown base_fun_name 'gelu'"):
        load_model(path)
    settings.write_text("- a list\n")
    with pytest.raises(AllmlpError, match="must hold names and values"):
        load_model(path)
    settings.write_text(off + "width: [[2, 0], [1, 0]]\n")
    with pytest.raises(AllmlpError, match="of 1 layers, the file has 2"):
        load_model(path)


@pytest.mark.parametrize(("name", "base"), [("identity", "identity"), ("zero", None)])
def test_base_functions(golden: Path, name: str, base: str | None) -> None:
    state, _, _ = foreign(golden, "pykan")
    off = {"base_fun_name": name, "symbolic_enabled": False}
    converted = convert_state(state, settings=off)
    assert converted.config.base == base
    model = KAN.from_config(converted.config)
    model.load_state_dict(converted.state)
    assert ("layers.0.numeric.base_weight" in converted.state) == (base is not None)


def test_trivial_masks_and_affine_maps_are_left_out(golden: Path) -> None:
    state, x, _ = foreign(golden, "pykan")
    for key, tensor in state.items():
        if key.endswith(".mask") and key.startswith("act_fun"):
            tensor.fill_(1.0)
        elif key.startswith("symbolic_fun"):
            tensor.zero_()
        elif "node" in key:
            tensor.fill_(float("scale" in key))
    converted = convert_state(state)
    assert (converted.config.mask, converted.config.affine, converted.config.symbolic) == (
        False,
        False,
        (),
    )
    model: Any = KAN.from_config(converted.config).double()
    model.load_state_dict(converted.state)
    state["act_fun.1.mask"][0, 1] = 0.0
    masked = convert_state(state)
    assert masked.config.mask
    pruned = KAN.from_config(masked.config).double()
    pruned.load_state_dict(masked.state)
    hidden = model.forward_intermediates(x)["layers.1.input"]
    numeric = model.layers[1].numeric
    edge = numeric.basis(hidden)[:, :, 0] @ numeric.spline_weight[1, :, 0]
    edge = edge + numeric.base_weight[1, 0] * torch.nn.functional.silu(hidden[:, 0])
    torch.testing.assert_close(pruned(x)[:, 1] + edge, model(x)[:, 1])


def test_pykan_before_0_2() -> None:
    state, x, y = old_pykan()
    converted = convert_state(state)
    assert converted.format == "pykan 0.0.x"
    assert (converted.config.widths, converted.config.bias) == ((2, 3, 1), True)
    assert not converted.notes
    model = KAN.from_config(converted.config).double()
    model.load_state_dict(converted.state)
    torch.testing.assert_close(model(x), y, rtol=0, atol=1e-12)


def test_grids_that_edges_do_not_share_are_refitted_and_reported() -> None:
    grids = torch.linspace(-1, 1, 6, dtype=torch.float64).repeat(6, 1)
    grids[2] *= 1.1  # output 1, input 0
    state, x, y = old_pykan(grids)
    converted = convert_state(state)
    assert len(converted.notes) == 1
    assert "layer 0 had grids of its own" in converted.notes[0]
    stated = float(converted.notes[0].split("changed by ")[1].split("%")[0]) / 100
    assert 0.001 < stated < 0.5
    model = KAN.from_config(converted.config).double()
    model.load_state_dict(converted.state)
    error = float((model(x) - y).square().mean().sqrt().detach() / y.square().mean().sqrt())
    assert 0 < error < 3 * stated


def test_a_quadratic_without_scaler(golden: Path) -> None:
    state, x, _ = foreign(golden, "efficient_quadratic")
    for layer in range(2):
        scaler = state.pop(f"layers.{layer}.spline_scaler")
        state[f"layers.{layer}.spline_weight"] *= scaler[..., None]
    converted = convert_state(state)
    model = KAN.from_config(converted.config).double()
    model.load_state_dict(converted.state)
    _, _, y = foreign(golden, "efficient_quadratic")
    torch.testing.assert_close(model(x), y, rtol=0, atol=1e-12)


def test_fast_kan_without_norm_and_base(golden: Path) -> None:
    state, x, _ = foreign(golden, "fastkan")
    bare = {k: t for k, t in state.items() if "rbf" in k or "spline_linear" in k}
    converted = convert_state(bare)
    assert (converted.config.norm, converted.config.base, converted.config.bias) == (
        False,
        None,
        False,
    )
    model = KAN.from_config(converted.config).double()
    model.load_state_dict(converted.state)
    values = x
    for layer in range(2):
        grid = state[f"layers.{layer}.rbf.grid"]
        bumps = torch.exp(-(((values[..., None] - grid) / (grid[1] - grid[0])) ** 2))
        values = bumps.flatten(1) @ state[f"layers.{layer}.spline_linear.weight"].T
    torch.testing.assert_close(model(x), values, rtol=1e-12, atol=1e-12)
    bare["layers.1.spline_linear.weight"] = bare["layers.1.spline_linear.weight"][:, 1:]
    with pytest.raises(AllmlpError, match="47 columns of weights, which is no multiple of its 8"):
        convert_state(bare)


def chebyshev(x: Tensor, coefficients: Tensor) -> Tensor:
    orders = torch.arange(coefficients.shape[2], dtype=torch.float64)
    waves = torch.cos(orders * torch.tanh(x)[..., None].acos())
    return torch.einsum("bid,iod->bo", waves, coefficients)


def fourier(x: Tensor, coefficients: Tensor, bias: Tensor) -> Tensor:
    angles = x[..., None] * torch.arange(1, coefficients.shape[3] + 1)
    waves = torch.stack([angles.cos(), angles.sin()])
    return torch.einsum("sbig,soig->bo", waves, coefficients) + bias


def test_cheby_kan_by_number_or_by_order() -> None:
    first, second = (torch.randn(i, o, 6, dtype=torch.float64) for i, o in ((3, 4), (4, 2)))
    x = torch.randn(7, 3, dtype=torch.float64)
    expected = chebyshev(chebyshev(x, first), second)
    numbered = {"net.10.cheby_coeffs": second, "net.9.cheby_coeffs": first}
    numbered |= {"net.9.arange": torch.arange(6), "net.10.arange": torch.arange(6)}
    for state in (numbered, {"z.cheby_coeffs": first, "a.cheby_coeffs": second}):
        converted = convert_state(state)
        assert (converted.format, converted.config.widths) == ("ChebyKAN", (3, 4, 2))
        model = KAN.from_config(converted.config).double()
        model.load_state_dict(converted.state)
        torch.testing.assert_close(model(x), expected, rtol=1e-11, atol=1e-11)
    with pytest.raises(AllmlpError, match="do not fit one behind the other"):
        convert_state({"a.cheby_coeffs": first, "b.cheby_coeffs": second[:3]})
    with pytest.raises(AllmlpError, match="1 tensors more"):  # the LayerNorm of its MNIST example
        convert_state({"a.cheby_coeffs": first, "ln.weight": torch.ones(4)})
    with pytest.raises(AllmlpError, match="has 3 axes, a.cheby_coeffs has 2"):
        convert_state({"a.cheby_coeffs": first[0]})


@pytest.mark.parametrize("with_bias", [True, False])
def test_fourier_kan(with_bias: bool) -> None:
    first, second = (torch.randn(2, o, i, 5, dtype=torch.float64) for i, o in ((3, 4), (4, 2)))
    biases = [torch.randn(1, o, dtype=torch.float64) * with_bias for o in (4, 2)]
    x = torch.randn(7, 3, dtype=torch.float64)
    state = {"fc1.fouriercoeffs": first, "fc2.fouriercoeffs": second}
    if with_bias:
        state |= {"fc1.bias": biases[0], "fc2.bias": biases[1]}
    converted = convert_state(state)
    assert (converted.format, converted.config.bias) == ("FourierKAN", with_bias)
    model = KAN.from_config(converted.config).double()
    model.load_state_dict(converted.state)
    expected = fourier(fourier(x, first, biases[0]), second, biases[1])
    torch.testing.assert_close(model(x), expected, rtol=1e-11, atol=1e-11)


def test_damaged_files(golden: Path) -> None:
    def efficient() -> dict[str, Tensor]:
        return foreign(golden, "efficient")[0]

    state = efficient()
    del state["layers.1.base_weight"]
    with pytest.raises(AllmlpError, match=r"efficient-kan but lacks layers\.1\.base_weight"):
        convert_state(state)
    state = efficient()
    state["layers.2.grid"] = state["layers.1.grid"]
    del state["layers.1.grid"]
    with pytest.raises(AllmlpError, match="lacks layer 1"):
        convert_state(state)
    state = efficient()
    state["layers.0.grid"] = state["layers.0.grid"][:, 1:-1]
    state["layers.0.spline_weight"] = state["layers.0.spline_weight"][:, :, 1:]
    with pytest.raises(AllmlpError, match=r"differ in \(grid, k\)"):
        convert_state(state)
    state = efficient()
    state["layers.0.grid"] = state["layers.0.grid"][:, :7]
    with pytest.raises(AllmlpError, match="7 knots for 3 inputs and 8 coefficients"):
        convert_state(state)
    state = efficient()
    state["layers.1.base_weight"] = state["layers.1.base_weight"][:, :4]
    state["layers.1.spline_weight"] = state["layers.1.spline_weight"][:, :4]
    state["layers.1.spline_scaler"] = state["layers.1.spline_scaler"][:, :4]
    state["layers.1.grid"] = state["layers.1.grid"][:4]
    with pytest.raises(AllmlpError, match="layer 1 .* takes 4 values, the one before it gives 5"):
        convert_state(state)
    state = efficient()
    state["extra"] = torch.zeros(1)
    with pytest.raises(AllmlpError, match="1 tensors more than that"):
        convert_state(state)


def test_collapsed_knots_are_named(golden: Path, tmp_path: Path) -> None:
    state, _, _ = foreign(golden, "efficient")
    state["layers.0.grid"][1] = 0.3  # what pykan leaves of a constant input
    save_file(state, tmp_path / "kan.safetensors")
    with pytest.raises(
        AllmlpError, match="knots must be finite and increase strictly, those of input 1"
    ):
        load_model(tmp_path / "kan.safetensors")


def test_save_and_load_after_every_structural_edit(tmp_path: Path) -> None:
    model = KAN(
        [4, [2, 2], 2],
        affine=True,
        mult_arity=[[], [2, 3], []],
        symbolic=[(0, 1, 0, "sin"), (1, 2, 1, "exp")],
    ).double()
    x = torch.rand(50, 4, dtype=torch.float64) * 2 - 1
    edited = [model, model.refine(7), model.update_grid(x).model, model.keep(inputs=[0, 1, 3])]
    edited.append(edited[-1].keep(nodes={1: [0, 2]}).refine(10))
    for number, net in enumerate(edited):
        folder = save_model(net, tmp_path / f"model{number}")
        again = load_model(folder)
        assert isinstance(again, KAN)
        assert again.config == net.config
        assert torch.equal(again(x), net(x))
        assert json.loads((folder / "model.json").read_text())["family"] == "kan"
    with pytest.raises(AllmlpError, match="exists; choose another folder"):
        save_model(model, tmp_path / "model0")


def test_user_functions_come_back_by_hand(tmp_path: Path) -> None:
    bessel = SymbolicFunction(name="j0", function=torch.special.bessel_j0, complexity=4)
    model = KAN([1, 1], symbolic=[(0, 0, 0, "j0")], functions=[bessel])
    folder = save_model(model, tmp_path / "bessel")
    with pytest.raises(AllmlpError, match="unknown symbolic function 'j0'"):
        load_model(folder)
    x = torch.rand(5, 1)
    assert torch.equal(load_model(folder, functions=[bessel])(x), model(x))


def test_other_models_save_and_load_too(tmp_path: Path) -> None:
    config = MixerConfig(
        img_size=(8, 8), patch_size=4, width=6, depth=1, token_hidden=5, channel_hidden=4
    )
    model = Mixer(config).eval()
    again = load_model(save_model(model, tmp_path / "mixer")).eval()
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(again(images), model(images))
    with pytest.raises(AllmlpError, match="a Linear is none of the zoo's models"):
        save_model(torch.nn.Linear(1, 1), tmp_path / "linear")
    assert not (tmp_path / "linear").exists()


def test_a_kan_takes_no_images(golden: Path, tmp_path: Path) -> None:
    import allmlp

    save_model(KAN([2, 1]), tmp_path / "kan")
    with pytest.raises(AllmlpError, match="holds a kan, mixer_digits is a mixer"):
        allmlp.create_model("mixer_digits", pretrained=tmp_path / "kan")
    with pytest.raises(AllmlpError, match="holds a kan, kan is a image_kan"):
        allmlp.create_model("kan", pretrained=tmp_path / "kan")


def test_the_command(golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = pykan_checkpoint(golden, tmp_path)
    _, x, y = foreign(golden, "pykan_symbolic")
    main(["convert", str(path), "--to", str(tmp_path / "ours")])
    printed = capsys.readouterr().out
    assert "act_fun.0.coef -> layers.0.numeric.spline_weight" in printed
    assert "tensors of pykan >= 0.2, kan" in printed
    model = load_model(tmp_path / "ours")
    torch.testing.assert_close(model(x), y, rtol=0, atol=1e-12)
    assert read_weights(tmp_path / "ours").config == read_weights(path).config
    with pytest.raises(SystemExit):
        main(["convert", str(path), "--to", str(tmp_path / "t"), "--as", "timm"])
    assert "timm's names are written for the mixer alone" in capsys.readouterr().err
    state, _, _ = old_pykan(
        torch.linspace(-1, 1, 6).double().repeat(6, 1)
        * torch.tensor([[1.0], [1.0], [1.2], [1.0], [1.0], [1.0]]).double()
    )
    torch.save(state, tmp_path / "old.pt")
    main(["convert", str(tmp_path / "old.pt"), "--to", str(tmp_path / "old")])
    assert "note: layer 0 had grids of its own" in capsys.readouterr().out


def test_a_kan_in_bfloat16_stays_so(tmp_path: Path) -> None:
    model = KAN([2, 3, 1]).bfloat16()  # whose knots stay in float32
    save_model(model, tmp_path / "kan")
    again = load_model(tmp_path / "kan")
    assert {p.dtype for p in again.parameters()} == {torch.bfloat16}
    x = torch.rand(4, 2).bfloat16()
    assert torch.equal(again(x), model(x))
