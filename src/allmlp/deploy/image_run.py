"""A run on images as a file, judged by the run's test part.

Axes: n images.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from allmlp.data import load_source
from allmlp.deploy.export import model_graph
from allmlp.deploy.graph import Net
from allmlp.deploy.write import MAX_LOSS, Exported, Format, Verdict, default_name, write_graph
from allmlp.errors import AllmlpError
from allmlp.runs.gather import class_numbers
from allmlp.runs.images import prepare_images
from allmlp.runs.run import Run

__all__ = ["export_run"]

# test images whose answers are compared one by one
_COUNT = 8


def export_run(
    run: Run,
    path: str | Path | None = None,
    *,
    to: Format = "onnx",
    tolerance: float | None = None,
    int8: bool = False,
    max_loss: float = MAX_LOSS,
) -> Exported:
    """Write the model of a run as a file that takes images as bytes and answers probabilities.

    Beside what `export` checks, the file has to score on the run's test part as the run did: its
    accuracy may differ by 0.005 or one image. Where the data are gone, a note says that it was not
    scored.

    Args:
        run: a finished run.
        path: of the file to create; None is `model.onnx` or `model.pt2` in the run, or with int8
            `model.int8.onnx`.
        to: `onnx`, or `torch` for `torch.export.load`.
        tolerance: as in `export`.
        int8: let ONNX Runtime compute with int8 weights as far as it can.
        max_loss: of accuracy that int8 may cost.

    Raises:
        AllmlpError: as `export`; or the file scores otherwise than the run; or int8 cannot be,
            cannot be judged, or costs more than `max_loss`.
        OSError: the folder is missing, read-only or full.
    """
    test = example = None
    notes: tuple[str, ...] = ()
    try:
        test = _TestPart(run)
        example = test.first(_COUNT)
    except (AllmlpError, OSError) as e:
        test, notes = None, (f"not scored: {e}",)
    graph = model_graph(run.model, example, run.preprocess, run.classes)
    return write_graph(
        replace(graph, notes=(*graph.notes, *notes)),
        path or run.path / default_name("model", to, int8),
        to=to,
        tolerance=tolerance,
        judge=test,
        int8=int8,
        max_loss=max_loss,
    )


class _TestPart:
    """Scores answers to the test part of a run.

    Raises:
        AllmlpError: the run was not scored, or its data are gone or have other classes.
    """

    def __init__(self, run: Run):
        self.run = run
        self.recorded = float(run.scores()["accuracy"])
        self.images = load_source(run.config.data.source, run.config.data.target).part("test")
        self.numbers = class_numbers(self.images.classes, run.classes)

    def __call__(self, net: Net) -> Verdict:
        right = count = 0
        for images, labels in self.batches(self.run.config.train.batch_size):
            right += int((net({"images": images}).argmax(dim=1) == labels).sum())
            count += len(labels)
        return Verdict("accuracy", right / count, self.recorded, count)

    def first(self, count: int) -> Tensor:
        """The first images that can be read, at most so many.

        Raises:
            AllmlpError: there is none.
        """
        for images, _ in self.batches(count):
            return images
        raise AllmlpError(f"none of {len(self.images)} images can be read")

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Readable images as bytes, and the classes of the run that they are of."""
        prepared = prepare_images(self.images, self.run.preprocess, self.run.config.data)
        for _, images, labels in prepared.read(torch.arange(len(prepared)).split(size)):
            if len(labels):
                yield images, self.numbers[labels]
