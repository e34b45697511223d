"""Exported files answer as the networks do: every family, both formats; and nothing half-done."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import allmlp
from allmlp.data import Preprocess
from allmlp.deploy import export, onnx_file
from allmlp.deploy.export import model_graph
from allmlp.deploy.graph import Feeds, Graph
from allmlp.deploy.onnx_file import OnnxNet, quantize, to_onnx
from allmlp.deploy.parity import check_parity, largest_difference
from allmlp.deploy.torch_file import TorchNet, to_torch, trace
from allmlp.deploy.write import Verdict, write_graph
from allmlp.errors import AllmlpError
from allmlp.interpret.kan import fix_symbolic
from allmlp.layers import KANConv2d
from allmlp.layers.bases import BASES
from allmlp.layers.channel_mlp import CHANNEL_MLPS
from allmlp.models.kan import KAN
from allmlp.zoo.registry import FAMILIES, build_model

# small nets that have every part of their family
TOKENS = {"img_size": 8, "patch_size": 4, "width": 8, "depth": 1, "num_classes": 3}
SMALL: dict[str, dict[str, Any]] = {
    "mixer": {**TOKENS, "token_hidden": 8, "channel_hidden": 16},
    "resmlp": TOKENS,
    "gmlp": TOKENS,
    "convmixer": {**TOKENS, "kernel_size": 3},
    "cyclemlp": {
        "img_size": 16, "widths": (4, 8), "depths": (1, 1), "mlp_ratios": (2, 2), "num_classes": 3,
    },
    "csmixer": {
        "img_size": 32, "width": 8, "depths": (1, 1), "heads": (2, 2), "ranks": (2, 2),
        "group_side": 2, "num_classes": 3,
    },
    "repmlpnet": {
        "img_size": 8, "widths": (8,), "depths": (1,), "share_sets": (4,), "num_classes": 3,
    },
    "scaling_mlp": {"img_size": 4, "width": 8, "depth": 1},
    "image_bilinear": {"img_size": 4, "hidden": 8},
    "image_kan": {"img_size": 3, "widths": (4,)},
    "image_mlp": {"img_size": 4},
    "bilinear_mlp": {"in_features": 5, "num_classes": 3, "hidden": 8},
    "kan": {"widths": (3, 4, 2)},
    "mlp": {"in_features": 5, "num_outputs": 3, "widths": (8,)},
}  # fmt: skip


def trained(model: nn.Module) -> nn.Module:
    """As after training: heads that are no longer 0, norms that are no identity."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    for name, buffer in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            nn.init.uniform_(buffer, 0.5, 2.0)
    return model.eval()


def small(family: str) -> nn.Module:
    variants = FAMILIES[family].variants.values()
    config = asdict(next(iter(variants))) if variants else {}
    return trained(build_model(family, config | SMALL[family]))


# tracing asks for shapes that are not known, which the hook would take for wrong ones
@pytest.mark.unhooked
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_in_both_formats(family: str) -> None:
    model = small(family)
    graph = model_graph(model)
    program = trace(graph)
    # what other programs cannot know
    spaces = {n.target.namespace for n in program.graph.nodes if hasattr(n.target, "namespace")}
    assert spaces == {"aten"}
    content = to_onnx(graph, program)
    session = onnxruntime.InferenceSession(content)
    assert session.get_inputs()[0].shape[0] == session.get_outputs()[0].shape[0] == "batch"
    for net in (OnnxNet(content), TorchNet(to_torch(graph, program))):
        assert net.about["model"] == type(model).__name__
        assert check_parity(graph, net, 1e-4) < 1e-4
        # examples nobody has seen, in a batch of another size
        inputs = 2 * torch.randn(5, *graph.examples["inputs"].shape[1:])
        with torch.no_grad():
            expected = model(inputs)
        assert expected.std() > 0
        torch.testing.assert_close(net({"inputs": inputs}), expected, rtol=1e-4, atol=1e-5)


def kan_of_formulas() -> nn.Module:
    """Three edges are functions, one is a spline."""
    model = KAN([2, 2, 1])
    for edge, name in zip(
        [(0, 0, 0), (0, 1, 1), (1, 0, 0)], ["sin", "gaussian", "exp"], strict=True
    ):
        model = fix_symbolic(model, *edge, name, affine=(0.5, 0.1, 2.0, 0.3))
    return model


PARTS: dict[str, Callable[[], nn.Module]] = {
    **{
        f"mlp-{kind}": partial(build_model, "mixer", {**SMALL["mixer"], "mlp": kind})
        for kind in CHANNEL_MLPS
    },
    **{f"basis-{name}": partial(KAN, [2, 3], basis=name) for name in BASES},
    "products": partial(KAN, [2, [2, 2], 1]),
    "formulas": kan_of_formulas,
    "convolution": partial(KANConv2d, 2, 3, 3),
}


@pytest.mark.unhooked
@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_every_part_in_both_formats(part: str) -> None:
    model = trained(PARTS[part]())
    example = torch.rand(8, 2, 5, 5) if part == "convolution" else None
    graph = model_graph(model, example)
    program = trace(graph)
    for net in (OnnxNet(to_onnx(graph, program)), TorchNet(to_torch(graph, program))):
        check_parity(graph, net, 1e-4)


@pytest.mark.unhooked
@pytest.mark.parametrize("outside", ["linear", "clamp", "zero"])
def test_a_kan_is_the_same_outside_its_grid(outside: str) -> None:
    model = trained(KAN([2, 3], grid=4, outside=outside).double())
    x = torch.linspace(-4, 4, 50, dtype=torch.float64)
    example = torch.stack([x, x.flip(0)], dim=1)
    graph = model_graph(model, example)
    program = trace(graph)
    for net in (OnnxNet(to_onnx(graph, program)), TorchNet(to_torch(graph, program))):
        check_parity(graph, net, 1e-12)


def test_a_kan_that_raises_errors_is_refused(tmp_path: Path) -> None:
    model = KAN([2, 3], outside="error").eval()
    with pytest.raises(AllmlpError, match="build the model with outside='linear'"):
        export(model, tmp_path / "kan.pt2", to="torch")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.unhooked
def test_bytes_in_probabilities_out_and_the_rest_as_json(tmp_path: Path) -> None:
    model = small("repmlpnet")
    preprocess = Preprocess(
        img_size=(8, 8), in_chans=3, mean=(0.1, 0.5, 0.9), std=(0.2, 0.3, 0.4), crop=0.875
    )
    path = tmp_path / "net.onnx"
    done = export(model, path, preprocess=preprocess, classes=["a", "b", "c"])
    assert done.size == path.stat().st_size
    assert done.notes == ("convolutions and batch norms are merged into matrices",)
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]
    session = onnxruntime.InferenceSession(path)
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    (found,) = session.run(["probabilities"], {"images": images.numpy()})
    with torch.no_grad():
        expected = model(preprocess.normalize(images)).softmax(dim=1)
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-6)
    about = json.loads(session.get_modelmeta().custom_metadata_map["allmlp"])
    assert about["classes"] == ["a", "b", "c"]
    assert Preprocess.from_dict(about["preprocess"]) == preprocess
    # the branches are gone: one convolution is the stem, and none of a share-set
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    assert "BatchNormalization" not in kinds
    assert model.config.form == "training"


@pytest.mark.unhooked
def test_a_net_without_head_gives_features() -> None:
    model = trained(allmlp.create_model("mixer_digits", depth=1, width=8, num_classes=0))
    preprocess = Preprocess(img_size=(8, 8), in_chans=1, mean=(0.5,), std=(0.5,))
    graph = model_graph(model, None, preprocess)
    assert graph.output == "features"
    net = TorchNet(to_torch(graph, trace(graph)))
    assert net(graph.take(3)).shape == (3, 8)


def linear(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(4, 3).eval()


def graph_of(module: nn.Module, original: nn.Module | None = None) -> Graph:
    return Graph(module, original or module, {"inputs": torch.randn(8, 4)}, "outputs")


@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_another_answer_leaves_nothing(tmp_path: Path, to: Any) -> None:
    broken = graph_of(linear(1), linear(0))
    with pytest.raises(AllmlpError, match=r"to 0.0001 of the largest answer, but differs by"):
        write_graph(broken, tmp_path / "net", to=to)
    assert list(tmp_path.iterdir()) == []
    assert write_graph(broken, tmp_path / "net", to=to, tolerance=100.0).difference > 1e-2


class Batchwise(nn.Linear):
    """What no check at a single size would find: only batches of one are right."""

    def __call__(self, feeds: Feeds) -> Tensor:
        return linear()(feeds["inputs"]).detach() * (1 if len(feeds["inputs"]) == 1 else 1.01)


def test_both_sizes_count() -> None:
    graph = graph_of(linear())
    with pytest.raises(AllmlpError, match="differs by 0.01"):
        check_parity(graph, Batchwise(1, 1), 1e-4)
    with pytest.raises(AllmlpError, match=r"a batch of 1 its answer is \(3,\) and not \(1, 3\)"):
        check_parity(graph, lambda feeds: graph(feeds)[0], 1e-4)


@pytest.mark.parametrize(
    ("expected", "answered", "difference"),
    [
        ([2.0, -4.0], [2.0, -3.0], 0.25),
        ([0.0, 0.0], [0.0, 0.5], 0.5),
        ([1.0, torch.nan], [1.0, torch.nan], 0.0),
        ([1.0, torch.nan], [1.0, 2.0], torch.inf),
        ([1.0, 2.0], [1.0, torch.nan], torch.inf),
        ([1.0, torch.inf], [1.0, -torch.inf], torch.inf),
        ([torch.inf], [torch.inf], 0.0),
    ],
)
def test_largest_difference(
    expected: list[float], answered: list[float], difference: float
) -> None:
    assert largest_difference(torch.tensor(expected), torch.tensor(answered)) == difference


def test_scores_are_checked(tmp_path: Path) -> None:
    graph = graph_of(linear())

    def write_scored(value: float, count: int) -> None:
        judge = Verdict("accuracy", value, 0.9, count)
        write_graph(graph, tmp_path / "net.pt2", to="torch", judge=lambda net: judge)

    with pytest.raises(AllmlpError, match=r"to 0.005, but its accuracy on 1000 examples is 0.8940"):
        write_scored(0.894, 1000)
    with pytest.raises(AllmlpError, match="accuracy on 1000 examples is nan"):
        write_scored(float("nan"), 1000)
    assert list(tmp_path.iterdir()) == []
    write_scored(0.8, 10)  # one of ten


def test_what_int8_costs_is_checked(tmp_path: Path) -> None:
    graph, values = graph_of(linear()), iter((0.9, 0.85, 0.9, 0.895))

    def judge(net: Any) -> Verdict:
        return Verdict("accuracy", next(values), 0.9, 1000)

    path = tmp_path / "net.onnx"
    with pytest.raises(AllmlpError, match=r"int8 may cost 0.01 of accuracy, but it falls from 0.9"):
        write_graph(graph, path, judge=judge, int8=True)
    assert list(tmp_path.iterdir()) == []
    done = write_graph(graph, path, judge=judge, int8=True)
    assert done.verdict is not None
    assert done.quantized is not None
    assert (done.verdict.value, done.quantized.value) == (0.9, 0.895)
    weights = onnx.load(path).graph.initializer
    assert any(w.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8) for w in weights)
    # near the network's answers and not the same
    assert 0 < largest_difference(graph(graph.take(8)), done.net(graph.take(8))) < 0.05


def test_int8_that_cannot_be(tmp_path: Path) -> None:
    graph = graph_of(linear())
    with pytest.raises(AllmlpError, match="export a run whose data are there"):
        write_graph(graph, tmp_path / "net.onnx", int8=True)
    judge = Verdict("accuracy", 1.0, 1.0, 10)
    with pytest.raises(AllmlpError, match="choose onnx"):
        write_graph(graph, tmp_path / "net.pt2", to="torch", int8=True, judge=lambda net: judge)
    bare = graph_of(nn.Tanh())
    with pytest.raises(AllmlpError, match="has none that ONNX Runtime would take"):
        quantize(to_onnx(bare, trace(bare)))
    assert list(tmp_path.iterdir()) == []


class Stacked(nn.Module):
    """Two members of an ensemble, and a map over tokens, whose constant stands on the left."""

    def __init__(self) -> None:
        super().__init__()
        self.members = nn.Parameter(torch.randn(2, 4, 5))
        self.tokens = nn.Parameter(torch.randn(3, 2))

    def forward(self, inputs: Tensor) -> Tensor:
        return (self.tokens @ (inputs[:, None, None] @ self.members).flatten(1, 2)).flatten(1)


def test_stacked_matrices_in_int8() -> None:
    graph = graph_of(Stacked().eval().requires_grad_(False))
    content = quantize(to_onnx(graph, trace(graph)))
    kinds = [node.op_type for node in onnx.load_model_from_string(content).graph.node]
    assert (kinds.count("MatMulInteger"), kinds.count("MatMul")) == (1, 1)
    feeds = graph.take(8)
    assert 0 < largest_difference(graph(feeds), OnnxNet(content)(feeds)) < 0.05


def test_a_file_that_exists_stays(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"mine")
    with pytest.raises(AllmlpError, match=r"net.onnx exists; choose another file or delete it"):
        write_graph(graph_of(linear()), path)
    assert path.read_bytes() == b"mine"


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    graph = graph_of(linear())
    with pytest.raises(FileNotFoundError):
        write_graph(graph, tmp_path / "no" / "net.onnx")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        write_graph(graph, tmp_path / "file" / "net.onnx")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        write_graph(graph_of(linear()), tmp_path / "net.onnx")


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(net: Any) -> Verdict:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_graph(graph_of(linear()), tmp_path / "net.pt2", to="torch", judge=interrupted)
    assert list(tmp_path.iterdir()) == []


def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(onnx_file, "import_module", absent)
    with pytest.raises(
        AllmlpError, match=r"No module named 'onnx'.*pip install 'allmlp\[export\]'"
    ):
        write_graph(graph_of(linear()), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []
    write_graph(graph_of(linear()), tmp_path / "net.pt2", to="torch")  # needs none of it


def test_networks_too_large_for_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "_LARGEST", 10)
    graph = graph_of(linear())
    with pytest.raises(AllmlpError, match="an ONNX file holds 2 GiB"):
        to_onnx(graph, trace(graph))


class Chooses(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        # ONNX knows it, ONNX Runtime chooses among no truths
        return torch.where(inputs[:, :1] > 0, inputs > 1, inputs < -1)


def test_what_the_runtime_does_not_know() -> None:
    graph = graph_of(Chooses().eval())
    content = to_onnx(graph, trace(graph))
    with pytest.raises(AllmlpError, match="cannot compute what .* Where.*; export --to torch"):
        OnnxNet(content)


class Looks(nn.Linear):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs if inputs.sum() > 0 else -inputs)


@pytest.mark.unhooked
def test_what_cannot_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    with pytest.raises(AllmlpError, match="unknown format 'tflite'; choose one of: onnx, torch"):
        export(allmlp.create_model("mixer_digits").eval(), path, to="tflite")
    with pytest.raises(AllmlpError, match="in training mode; call model.eval"):
        export(allmlp.create_model("mixer_digits"), path)
    with pytest.raises(AllmlpError, match="a Linear does not say what it takes; pass example="):
        export(nn.Linear(2, 2).eval(), path)
    wide = torch.randn(2, 1, 10, 10)
    with pytest.raises(AllmlpError, match="but got images of 10x10; resize them"):
        export(allmlp.create_model("mixer_digits").eval(), path, to="torch", example=wide)
    with pytest.raises(AllmlpError, match="computes the same for every batch, without looking at"):
        export(Looks(2, 2).eval(), path, to="torch", example=torch.randn(4, 2))
    digits = allmlp.create_model("mixer_digits").eval()
    with pytest.raises(AllmlpError, match="10 numbers, so it has as many classes, got names of 1"):
        export(digits, path, classes=["a"])
    with pytest.raises(AllmlpError, match="needs one row at least, got 0"):
        export(digits, path, example=torch.randn(0, 1, 8, 8))
    assert list(tmp_path.iterdir()) == []


def test_a_net_in_float64_and_one_without_parameters() -> None:
    model = allmlp.create_model("mixer_digits", depth=1).double().eval()
    preprocess = Preprocess(img_size=(8, 8), in_chans=1, mean=(0.5,), std=(0.5,))
    graph = model_graph(model, preprocess=preprocess)
    images = graph.examples["images"]
    expected = model(preprocess.normalize(images).double()).softmax(1).float()
    torch.testing.assert_close(graph.module(images), expected, rtol=1e-5, atol=1e-6)
    assert (
        model_graph(nn.ReLU().eval(), torch.randn(4, 2)).examples["inputs"].dtype == torch.float32
    )
