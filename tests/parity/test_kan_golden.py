"""KANs against outputs of the original code (tests/golden/README.md), through the converters."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from allmlp.models.kan import KAN
from allmlp.zoo.convert import Converted, convert_state

PREFIX = "weights/"


def read(path: Path) -> tuple[dict[str, Tensor], Tensor, Tensor, dict[str, Any]]:
    with safe_open(path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        config = json.loads(file.metadata()["config"])
    state = {k.removeprefix(PREFIX): v for k, v in tensors.items() if k.startswith(PREFIX)}
    return state, tensors["input"], tensors["output"], config


def build(converted: Converted) -> KAN:
    model = KAN.from_config(converted.config).double()
    model.load_state_dict(converted.state)
    return model


def settings(config: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What pykan's saveckpt writes beside the state."""
    width = [w if isinstance(w, list) else [w, 0] for w in config["width"]]
    return {"width": width, "base_fun_name": "silu", "mult_arity": config["mult_arity"], **more}


def test_pykan(golden: Path) -> None:
    state, x, y, config = read(golden / "kan_pykan.safetensors")
    converted = convert_state(state, settings=settings(config, symbolic_enabled=False))
    assert converted.format == "pykan >= 0.2"
    assert converted.config.widths == (3, 4, 2)
    assert (converted.config.affine, converted.config.mask) == (True, True)
    torch.testing.assert_close(build(converted)(x), y, rtol=0, atol=1e-12)


def test_pykan_product_nodes(golden: Path) -> None:
    state, x, y, config = read(golden / "kan_pykan_mult.safetensors")
    converted = convert_state(state, settings=settings(config, symbolic_enabled=False))
    assert converted.config.widths == (3, (3, 2), 1)
    torch.testing.assert_close(build(converted)(x), y, rtol=0, atol=1e-12)
    # the numbers of nodes and subnodes say as much
    without = convert_state(state, settings={"symbolic_enabled": False})
    assert without.config == converted.config


def test_pykan_symbolic_edges(golden: Path) -> None:
    state, x, y, config = read(golden / "kan_pykan_symbolic.safetensors")
    names = {
        f"symbolic.funs_name.{layer}": [
            ["sin" if mask == 1.0 else "0" for mask in row]
            for row in state[f"symbolic_fun.{layer}.mask"].tolist()
        ]
        for layer in range(2)
    }
    converted = convert_state(state, settings=settings(config, **names))
    assert (0, 0, 0, "sin") in converted.config.symbolic
    torch.testing.assert_close(build(converted)(x), y, rtol=0, atol=1e-12)


def test_pykan_grid_update_and_refinement_at_samples(golden: Path) -> None:
    with safe_open(golden / "kan_pykan_grids.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    models = {}
    for name in ("before", "updated", "refined"):
        state = {k.removeprefix(f"{name}/"): t for k, t in tensors.items() if k.startswith(name)}
        models[name] = build(convert_state(state, settings={"symbolic_enabled": False}))
    x = tensors["input"]
    update = models["before"].update_grid(x, uniform_share=0.02, refit="samples")
    ours = {"updated": update.model, "refined": models["updated"].refine(10, samples=x)}
    for name, model in ours.items():
        for mine, theirs in zip(model.layers, models[name].layers, strict=True):
            close = {"rtol": 0, "atol": 1e-12}
            torch.testing.assert_close(
                mine.numeric.basis.knots, theirs.numeric.basis.knots, **close
            )
            torch.testing.assert_close(
                mine.numeric.spline_weight, theirs.numeric.spline_weight, **close
            )
        torch.testing.assert_close(model(x), models[name](x), rtol=0, atol=1e-12)


def test_fast_kan(golden: Path) -> None:
    state, x, y, config = read(golden / "kan_fastkan.safetensors")
    converted = convert_state(state)
    assert converted.format == "fast-kan"
    assert list(converted.config.widths) == config["widths"]
    torch.testing.assert_close(build(converted)(x), y, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["kan_efficient", "kan_efficient_quadratic"])
def test_efficient_kan(golden: Path, name: str) -> None:
    state, x, y, config = read(golden / f"{name}.safetensors")
    converted = convert_state(state)
    assert converted.format == "efficient-kan"
    assert list(converted.config.widths) == config["widths"]
    assert (converted.config.grid, converted.config.k) == (config["grid"], config["order"])
    torch.testing.assert_close(build(converted)(x), y, rtol=0, atol=1e-12)
