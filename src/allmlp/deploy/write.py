"""From a graph to its file, which is written if it answers, and scores, as it should."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from allmlp.deploy.graph import Graph, Net
from allmlp.deploy.onnx_file import OnnxNet, quantize, require_onnx, to_onnx
from allmlp.deploy.parity import check_parity
from allmlp.deploy.torch_file import TorchNet, to_torch, trace
from allmlp.errors import AllmlpError, check_choice
from allmlp.files import replace_file

__all__ = [
    "MAX_LOSS",
    "Exported",
    "Format",
    "Judge",
    "Verdict",
    "default_name",
    "write_graph",
]

Format = Literal["onnx", "torch"]
_SUFFIXES: dict[str, str] = {"onnx": ".onnx", "torch": ".pt2"}

# as a share of the largest answer: sums in another order cost some 1e-6 in float32
_TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-9}
# recorded scores may be those of bf16 on a GPU
_SCORE_TOLERANCE = 0.005
# what int8 may cost, of accuracy or of R²
MAX_LOSS = 0.01


@dataclass(frozen=True)
class Verdict:
    """What answers are worth.

    Attributes:
        metric: `accuracy` or `r2`.
        value: of these answers.
        recorded: of the run, when it was trained.
        count: examples.
    """

    metric: str
    value: float
    recorded: float
    count: int


Judge = Callable[[Net], Verdict]


@dataclass(frozen=True, eq=False)
class Exported:
    """A file that was written, and what is known of it.

    Attributes:
        path: of the file.
        size: in bytes.
        difference: the largest between file and network, as a share of the largest answer; of the
            file as it was before its weights became int8.
        tolerance: that it was checked against.
        verdict: of the file before its weights became int8, on the run's test part; None where it
            could not be judged.
        quantized: of the int8 weights.
        graph: what the file was made of.
        net: what the file answers.
        notes: for people.
    """

    path: Path
    size: int
    difference: float
    tolerance: float
    verdict: Verdict | None
    quantized: Verdict | None
    graph: Graph
    net: Net
    notes: tuple[str, ...]


def write_graph(
    graph: Graph,
    path: str | Path,
    *,
    to: Format = "onnx",
    tolerance: float | None = None,
    judge: Judge | None = None,
    int8: bool = False,
    max_loss: float = MAX_LOSS,
) -> Exported:
    """Make a file of a graph, if it answers as the graph does.

    The content is made, read back and checked in memory; the path gets all of it or nothing.

    Args:
        graph: to write.
        path: of the file to create.
        to: `onnx`, or `torch` for `torch.export.load`.
        tolerance: largest difference as a share of the largest answer; None is 1e-4 for float32,
            1e-9 for float64.
        judge: scores answers on data for which the network's own score is known.
        int8: let ONNX Runtime compute with int8 weights as far as it can.
        max_loss: of the score that int8 may cost.

    Raises:
        AllmlpError: the path exists, packages are missing, or the file's answers differ from the
            graph's by more than the tolerance, or its score from the recorded one; or int8 cannot
            be, cannot be judged, or costs more than `max_loss`.
        OSError: the folder is missing, read-only or full.
    """
    path = Path(path)
    check_choice("format", to, _SUFFIXES)
    if int8 and (to != "onnx" or judge is None):
        raise AllmlpError(
            "int8 goes through ONNX Runtime, and its cost is measured on the test part of a run; "
            + ("choose onnx" if to != "onnx" else "export a run whose data are there")
        )
    if path.exists():
        raise AllmlpError(f"{path} exists; choose another file or delete it")
    if to == "onnx":
        require_onnx()
    if tolerance is None:
        tolerance = _TOLERANCES[_precision(graph.module)]
    graph(graph.take(2))  # examples that do not fit are the network's to refuse
    with replace_file(path) as file:  # entered first: a folder that refuses says so at once
        program = trace(graph)
        content = to_onnx(graph, program) if to == "onnx" else to_torch(graph, program)
        net: Net = OnnxNet(content, graph.texts) if to == "onnx" else TorchNet(content)
        difference = check_parity(graph, net, tolerance)
        verdict = None if judge is None else judge(net)
        _require_score(verdict)
        quantized = None
        if int8 and judge is not None:
            content = quantize(content)
            net = OnnxNet(content, graph.texts)
            quantized = judge(net)
            _require_loss(verdict, quantized, max_loss)
        file.write(content)
    return Exported(
        path, len(content), difference, tolerance, verdict, quantized, graph, net, graph.notes
    )


def default_name(stem: str, to: Format, int8: bool = False) -> str:
    """What a file is called where nobody names it.

    Raises:
        AllmlpError: an unknown format.

    Example:
        >>> default_name("model", "onnx", int8=True)
        'model.int8.onnx'
    """
    check_choice("format", to, _SUFFIXES)
    return f"{stem}{'.int8' if int8 else ''}{_SUFFIXES[to]}"


def _precision(module: nn.Module) -> torch.dtype:
    """The least of its parameters."""
    found = {p.dtype for p in module.parameters()}
    return torch.float64 if found == {torch.float64} else torch.float32


def _require_score(verdict: Verdict | None) -> None:
    if verdict is None:
        return
    # in a small part a single example counts for more
    allowed = max(_SCORE_TOLERANCE, 1 / verdict.count)
    if not abs(verdict.value - verdict.recorded) <= allowed:
        raise AllmlpError(
            f"the exported file must score as the run did, to {allowed:.2g}, but its "
            f"{verdict.metric} on {verdict.count} examples is {verdict.value:.4f} where "
            f"{verdict.recorded:.4f} is recorded; nothing was written: have the data changed? "
            "allmlp eval scores the run again"
        )


def _require_loss(verdict: Verdict | None, quantized: Verdict, max_loss: float) -> None:
    assert verdict is not None  # there was a judge
    loss = verdict.value - quantized.value
    if not loss <= max_loss:
        raise AllmlpError(
            f"int8 may cost {max_loss:g} of {verdict.metric}, but it falls from "
            f"{verdict.value:.4f} to {quantized.value:.4f}; nothing was written: leave out int8, "
            "or allow more with a larger max_loss"
        )
