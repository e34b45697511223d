"""A graph as an ONNX file, and what ONNX Runtime answers by it.

Axes: n rows, c columns.
"""

import contextlib
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.export import ExportedProgram

from allmlp.deploy.graph import ABOUT, Feeds, Graph, TextColumn
from allmlp.errors import AllmlpError, first_line

__all__ = ["OnnxNet", "quantize", "require_onnx", "to_onnx"]

# protobuf's limit of one message
_LARGEST = 2**31 - 1
# a text that stands for all that training has not seen
_UNSEEN = "\x00"


def require_onnx(*names: str) -> list[ModuleType]:
    """The modules of these names.

    Raises:
        AllmlpError: one is not installed.
    """
    try:
        return [import_module(name) for name in ("onnx", "onnxscript", "onnxruntime", *names)]
    except ImportError as e:
        raise AllmlpError(
            f"ONNX files need onnx, onnxscript and onnxruntime ({e}); install the extra: "
            "pip install 'allmlp[export]', or export --to torch"
        ) from e


def to_onnx(graph: Graph, program: ExportedProgram) -> bytes:
    """The content of an .onnx file.

    Args:
        graph: to write.
        program: its trace.

    Raises:
        AllmlpError: packages are missing, the network is too large for one file, or has an
            operation that ONNX has not.
    """
    onnx = require_onnx()[0]
    size = sum(t.nbytes for t in graph.module.state_dict().values())
    if size > _LARGEST:
        raise AllmlpError(
            f"an ONNX file holds 2 GiB, this network has {size / 2**30:.1f}; export --to torch"
        )
    try:
        with _quiet():
            made = torch.onnx.export(
                program,
                dynamo=True,
                input_names=list(graph.examples),
                output_names=[graph.output],
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as e:
        raise AllmlpError(
            f"torch cannot write this as ONNX ({first_line(e)}); export --to torch"
        ) from e
    assert made is not None  # with dynamo=True
    model = made.model_proto
    _name_batch(model.graph)
    if graph.texts:
        _read_texts(model, graph.texts)
    entry = model.metadata_props.add()
    entry.key, entry.value = ABOUT, graph.text()
    onnx.checker.check_model(model)
    return model.SerializeToString()


class OnnxNet:
    """What an ONNX file answers, on the CPU.

    Args:
        content: of the file.
        texts: of the graph it was made of: the codes it is fed are turned back into texts.

    Attributes:
        about: the description in it.

    Raises:
        AllmlpError: packages are missing, or ONNX Runtime cannot compute what the file says.
    """

    def __init__(self, content: bytes, texts: tuple[TextColumn, ...] = ()):
        runtime = require_onnx()[2]
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors
        with _refusals():
            self._session = runtime.InferenceSession(content, options, ["CPUExecutionProvider"])
        self._texts = texts
        told: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.about: dict[str, Any] = json.loads(told[ABOUT])

    def __call__(self, feeds: Feeds) -> Tensor:
        arrays: dict[str, np.ndarray] = {name: t.numpy() for name, t in feeds.items()}
        if self._texts:
            arrays["texts"] = _as_texts(arrays.pop("codes"), self._texts)
        with _refusals():
            return torch.from_numpy(self._session.run(None, arrays)[0])


def quantize(content: bytes) -> bytes:
    """The file with int8 weights in its matrix products, activations scaled as they come.

    Raises:
        AllmlpError: there is no product that ONNX Runtime can compute so.
    """
    onnx, _, _, quantization = require_onnx("onnxruntime.quantization")
    model = onnx.load_model_from_string(content)
    flat = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) == 2}
    stacked = [node.name for node in model.graph.node if not flat & set(node.input[1:2])]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "model.onnx"
        # a scale for each channel, but one for all matrices of a stack, such as those of an
        # ensemble: ONNX Runtime has no product for more
        for per_channel in (True, False):
            quantization.quantize_dynamic(
                model,
                path,
                op_types_to_quantize=["MatMul", "Gemm"],
                per_channel=per_channel,
                nodes_to_exclude=stacked if per_channel else [],
            )
            model = onnx.load(path)
    kinds = {node.op_type for node in model.graph.node}
    if not kinds & {"MatMulInteger", "DynamicQuantizeMatMul"}:
        raise AllmlpError(
            "int8 is for products with matrices of weights, in float32, and this network has none "
            "that ONNX Runtime would take; leave out int8"
        )
    return model.SerializeToString()


def _name_batch(graph: Any) -> None:
    """Call the size of a batch `batch`, which torch numbers."""
    numbered = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for info in (*graph.input, *graph.output, *graph.value_info):
        for dim in info.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = dim.dim_param.replace(numbered, "batch")


def _read_texts(model: Any, columns: tuple[TextColumn, ...]) -> None:
    """Let a model take `texts` (n, c) where it took `codes`: one encoder for each column."""
    from onnx import TensorProto, helper

    graph = model.graph
    # new names cannot be those of the exporter, which have no slash
    nodes = []
    for place, column in enumerate(columns):
        index, text, code = (f"{kind}/{place}" for kind in ("place", "text", "code"))
        graph.initializer.append(helper.make_tensor(index, TensorProto.INT64, [1], [place]))
        nodes.append(helper.make_node("Gather", ["texts", index], [text], axis=1))
        known = {"": column.missing} | {t: i for i, t in enumerate(column.levels, start=1)}
        nodes.append(
            helper.make_node(
                "LabelEncoder",
                [text],
                [code],
                domain="ai.onnx.ml",
                keys_strings=list(known),
                values_int64s=list(known.values()),
                default_int64=0,
            )
        )
    codes = [f"code/{place}" for place in range(len(columns))]
    nodes.append(helper.make_node("Concat", codes, ["codes"], axis=1))
    for node in reversed(nodes):
        graph.node.insert(0, node)
    taken = next(given for given in graph.input if given.name == "codes")
    batch = taken.type.tensor_type.shape.dim[0].dim_param
    given = helper.make_tensor_value_info("texts", TensorProto.STRING, [batch, len(columns)])
    taken.CopyFrom(given)
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))


def _as_texts(codes: np.ndarray, columns: tuple[TextColumn, ...]) -> np.ndarray:
    """Texts that have these codes."""
    texts = np.empty(codes.shape, dtype=object)
    for place, column in enumerate(columns):
        by_code = dict(enumerate(column.levels, start=1)) | {0: _UNSEEN}
        if column.missing:
            by_code[column.missing] = ""
        texts[:, place] = [by_code[int(code)] for code in codes[:, place]]
    return texts


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """ONNX Runtime's exceptions, which have no class in common, as ours."""
    try:
        yield
    except Exception as e:
        raise AllmlpError(
            f"ONNX Runtime cannot compute what the exported file says ({e}); export --to torch"
        ) from e


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the remarks of the exporter and the quantiser about themselves."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
