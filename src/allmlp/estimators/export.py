"""A fitted estimator as one file that takes columns as they are.

Axes: n rows, f numbers, c texts, h w pixels, k classes, o values.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from allmlp.data import Table, TableEncoder
from allmlp.deploy.encode_table import EncodeTable
from allmlp.deploy.graph import Feeds, Graph, Net, TextColumn, evaluation_copy
from allmlp.deploy.write import MAX_LOSS, Exported, Format, Verdict, default_name, write_graph
from allmlp.errors import AllmlpError
from allmlp.estimators.base import NetworkEstimator
from allmlp.estimators.classifier import NetworkClassifier
from allmlp.estimators.image import ImageClassifier
from allmlp.estimators.saved import saved_class
from allmlp.estimators.table import TableEstimator
from allmlp.estimators.table_models import model_classes
from allmlp.estimators.table_run import TableRun
from allmlp.estimators.table_source import read_examples

__all__ = ["export_estimator", "export_table_run", "load_estimator"]

# examples whose answers are compared one by one
_ROWS, _IMAGES = 256, 8


def export_estimator(
    estimator: NetworkEstimator,
    path: str | Path,
    *,
    to: Format = "onnx",
    tolerance: float | None = None,
) -> Exported:
    """Write a fitted estimator, its preparation included, as a file for other programs.

    Of tables the file takes `numbers` (n, f) float64, NaN where they are missing, and `texts`
    (n, c), empty where they are missing; where the table has none, there is no such input. JSON
    inside the file names the columns (see `deploy.export`). A file of torch, which knows no texts,
    takes `codes` (n, c) int64 instead: a text's place among its `levels`, from 1, `missing`, or 0
    for all others. Of images it takes `images` (n, h, w, c) float32.

    The answers are `probabilities` (n, k), of `classes` in their order, or `values` (n,) or (n, o)
    in the units of the targets, all float64. They are compared with the estimator's on examples
    that are drawn from what it knows of its training.

    Args:
        estimator: fitted.
        path: of the file to create, usually .onnx or .pt2.
        to: `onnx`, or `torch` for `torch.export.load`.
        tolerance: as in `deploy.export`.

    Raises:
        AllmlpError: as in `deploy.export`.
        OSError: the folder is missing, read-only or full.

    Example:
        >>> import tempfile
        >>> from allmlp.estimators import TabularClassifier
        >>> X = [["red", 1.0], ["blue", None], ["red", 3.0], ["blue", 4.0]] * 10
        >>> model = TabularClassifier(max_epochs=1, random_state=0).fit(X, ["a", "b"] * 20)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = export_estimator(model, f"{folder}/model.pt2", to="torch")
        >>> found.graph.about["classes"]
        ['a', 'b']
    """
    return write_graph(_graph(estimator), path, to=to, tolerance=tolerance)


def export_table_run(
    run: TableRun,
    path: str | Path | None = None,
    *,
    to: Format = "onnx",
    tolerance: float | None = None,
    int8: bool = False,
    max_loss: float = MAX_LOSS,
) -> Exported:
    """Write the model of a run on a table, as `export_estimator` does, judged by its test part.

    The file has to score as the run did: accuracy or R² may differ by 0.005 or one row. Where the
    table is gone, a note says that it was not scored.

    Args:
        run: finished.
        path: of the file to create; None is `model.onnx` or `model.pt2` in the run, or with int8
            `model.int8.onnx`.
        to: as in `export_estimator`.
        tolerance: as there.
        int8: let ONNX Runtime compute with int8 weights as far as it can.
        max_loss: of accuracy or R² that int8 may cost.

    Raises:
        AllmlpError: as `export_estimator`; or the file scores otherwise than the run; or int8
            cannot be, cannot be judged, or costs more than `max_loss`.
        OSError: as `export_estimator`.
    """
    graph = _graph(run.model)
    test = None
    try:
        test = _TestPart(run)
    except (AllmlpError, OSError) as e:
        graph = replace(graph, notes=(f"not scored: {e}",))
    else:
        graph = replace(graph, examples={name: t[:_ROWS] for name, t in test.feeds.items()})
    return write_graph(
        replace(graph, about={**graph.about, "target": run.config.target}),
        path or run.directory.path / default_name("model", to, int8),
        to=to,
        tolerance=tolerance,
        judge=test,
        int8=int8,
        max_loss=max_loss,
    )


def load_estimator(path: str | Path) -> NetworkEstimator | None:
    """The estimator in a file, of whatever class; None if the file holds none.

    Raises:
        AllmlpError: the file is missing or damaged.
    """
    kinds: list[type[NetworkEstimator]] = [*model_classes().values(), ImageClassifier]
    saved = saved_class(Path(path))
    return next((kind.load(path) for kind in kinds if kind.__name__ == saved), None)


class _EstimatorGraph(nn.Module):
    """Preparation, network, answers."""

    def __init__(self, encode: nn.Module, network: nn.Module, answers: Callable[[Tensor], Tensor]):
        super().__init__()
        self.encode = encode
        self.network = network
        self.answers = answers

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.answers(self.network(self.encode(*inputs)))


class _Pixels(nn.Module):
    """What `ImageClassifier` does to images, (n, h, w, c) -> (n, c, h, w)."""

    mean: Tensor
    spread: Tensor

    def __init__(self, mean: np.ndarray, spread: np.ndarray):
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("spread", torch.from_numpy(spread))

    def forward(self, images: Tensor) -> Tensor:
        return ((images - self.mean) / self.spread).permute(0, 3, 1, 2)


class _TestPart:
    """Scores answers to the test part of a run.

    Raises:
        AllmlpError: the run was not scored, or its table is gone or has other columns.
    """

    def __init__(self, run: TableRun):
        recorded = run.scores()
        self.model = run.model
        self.metric = "accuracy" if "accuracy" in recorded else "r2"
        if recorded[self.metric] is None:
            raise AllmlpError("a single row has no R²")
        self.recorded = float(recorded[self.metric])
        examples = read_examples(run.config)
        rows = examples.parts()["test"]
        self.feeds = _feeds(run.model.encoder_, examples.inputs.take(rows))
        self.y = examples.y[rows]

    def __call__(self, net: Net) -> Verdict:
        answered = net(self.feeds).numpy()
        if isinstance(self.model, NetworkClassifier):
            value = float((self.model.classes_[answered.argmax(axis=1)] == self.y).mean())
        else:
            value = float(r2_score(self.y, answered))
        return Verdict(self.metric, value, self.recorded, len(self.y))


def _graph(estimator: NetworkEstimator) -> Graph:
    check_is_fitted(estimator)
    network = evaluation_copy(estimator.module_)
    about: dict[str, Any] = {"allmlp": version("allmlp"), "model": type(estimator).__name__}
    texts: tuple[TextColumn, ...] = ()
    examples: Feeds
    encode: nn.Module
    if isinstance(estimator, ImageClassifier):
        encode = pixels = _Pixels(estimator.mean_, estimator.spread_)
        shape = (_IMAGES, *estimator.image_shape_)
        drawn = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        examples = {"images": drawn * pixels.spread + pixels.mean}
    elif isinstance(estimator, TableEstimator):
        encoder = estimator.encoder_
        encode = EncodeTable(encoder)
        texts = tuple(TextColumn(c.name, c.levels, c.missing) for c in encoder.categories)
        examples = _drawn(encoder)
        about["numbers"] = [column.name for column in encoder.numbers]
        about["texts"] = [asdict(column) for column in texts]
    else:
        raise AllmlpError(f"a {type(estimator).__name__} cannot be exported")
    output = "values"
    if isinstance(estimator, NetworkClassifier):
        output, about["classes"] = "probabilities", estimator.classes_.tolist()
    module = _EstimatorGraph(encode, network, estimator._answers).eval()
    return Graph(module, module, examples, output, about, texts)


def _feeds(encoder: TableEncoder, table: Table) -> Feeds:
    numbers, codes = encoder.columns(table)
    feeds = {}
    if encoder.numbers:
        feeds["numbers"] = torch.from_numpy(numbers)
    if encoder.categories:
        feeds["codes"] = torch.from_numpy(codes)
    return feeds


def _drawn(encoder: TableEncoder) -> Feeds:
    """Rows like those of the training and somewhat beyond, one number in eight missing."""
    generator = np.random.default_rng(0)
    feeds = {}
    if encoder.numbers:
        columns = []
        for column in encoder.numbers:
            low, high = column.numbers[0], column.numbers[-1]
            if column.kind != "quantile":
                low, high = low - high, low + high
            spread = (high - low) / 4
            values = generator.uniform(low - spread, high + spread, _ROWS)
            columns.append(np.where(generator.random(_ROWS) < 1 / 8, np.nan, values))
        feeds["numbers"] = torch.from_numpy(np.stack(columns, axis=1))
    if encoder.categories:
        codes = [generator.integers(0, levels + 1, _ROWS) for levels in encoder.levels]
        feeds["codes"] = torch.from_numpy(np.stack(codes, axis=1))
    return feeds
