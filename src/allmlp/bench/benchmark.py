"""What a measurement found: a row for each model, precision and compilation."""

import csv
import io
from dataclasses import asdict, dataclass, field
from typing import Any

from allmlp.bench.timing import Timing
from allmlp.bench.token_cost import TokenCost
from allmlp.zoo.published import PublishedResult

__all__ = ["COLUMNS", "BenchRow", "Benchmark"]

# a training step computes a product for the output, one for the gradient of each factor
_PASSES = {"forward": 1, "train": 3}

COLUMNS = (
    "model", "library", "precision", "compiled", "batch_size", "img_size", "parameters", "macs",
    "published_top1", "published_data", "published_pretraining", "published_source",
    "latency_ms_min", "latency_ms_median", "forward_ms_min", "forward_ms_median",
    "forward_images_per_second", "forward_peak_share", "train_ms_min", "train_ms_median",
    "train_images_per_second", "train_peak_share", "forward_memory_mb", "train_memory_mb",
    "compile_seconds", "error",
)  # fmt: skip


@dataclass
class BenchRow:
    """One model in one precision. What is not known, or not yet, is None.

    Attributes:
        model: its name.
        library: whose it is.
        precision: `fp32`, or `bf16` by autocast.
        compiled: by `torch.compile`.
        batch_size: of `forward` and `train`.
        input_shape: channels, height and width of one image.
        published: accuracy of the model, measured by somebody else.
        parameters: of the model.
        macs: multiply-accumulates of one image.
        latency: seconds of forward passes of one image.
        forward: seconds of forward passes of a batch.
        train: seconds of training steps (AdamW) on a batch.
        forward_memory: bytes; see `measure_memory`.
        train_memory: bytes.
        compile_seconds: of first calls, in which compiled models are made.
        error: what ended the measurement of this row; empty if nothing did.
    """

    model: str
    library: str
    precision: str
    compiled: bool
    batch_size: int
    input_shape: tuple[int, int, int]
    published: PublishedResult | None = None
    parameters: int | None = None
    macs: int | None = None
    latency: Timing | None = None
    forward: Timing | None = None
    train: Timing | None = None
    forward_memory: int | None = None
    train_memory: int | None = None
    compile_seconds: float | None = None
    error: str = ""

    @property
    def label(self) -> str:
        """The name of the row: model, precision unless fp32, and whether it is compiled."""
        parts = [self.model]
        parts += [self.precision] if self.precision != "fp32" else []
        parts += ["compiled"] if self.compiled else []
        return " ".join(parts)

    def images_per_second(self, work: str) -> float | None:
        """By the median. `work` is `forward` or `train`."""
        timing = self._timing(work)
        return None if timing is None else self.batch_size / timing.median

    def flops_per_second(self, work: str) -> float | None:
        """By the fastest round; a training step counts as three forward passes."""
        timing = self._timing(work)
        if timing is None or self.macs is None:
            return None
        return 2 * self.macs * _PASSES[work] * self.batch_size / timing.min

    def _timing(self, work: str) -> Timing | None:
        return self.train if work == "train" else self.forward


@dataclass(frozen=True)
class Benchmark:
    """Models side by side on one machine.

    Attributes:
        machine: as `describe_machine` has it, the load before the start among it.
        load_after: average of the last minute at the end, this measurement's own threads included.
        rounds: timed calls of each row.
        peaks: precision -> FLOP/s of a large matrix product, fastest of the same rounds.
        rows: in the order of the contestants.
        tokens: cost of blocks against tokens, if that was measured.
        interrupted: by Ctrl-C: rows hold what was measured until then.
    """

    machine: dict[str, Any]
    load_after: float | None
    rounds: int
    peaks: dict[str, float]
    rows: tuple[BenchRow, ...]
    tokens: tuple[TokenCost, ...] = ()
    interrupted: bool = field(default=False)

    def peak_share(self, row: BenchRow, work: str) -> float | None:
        """Which part of the machine's measured peak of products a row reaches.

        Args:
            row: of `rows`.
            work: `forward` or `train`.
        """
        speed, peak = row.flops_per_second(work), self.peaks.get(row.precision)
        return None if speed is None or not peak else speed / peak

    def as_dict(self) -> dict[str, Any]:
        """For JSON: every round of every row, in seconds."""
        return asdict(self)

    def as_csv(self) -> str:
        """A table with the columns `COLUMNS`; what is unknown is empty."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in self.rows:
            cells = self._cells(row)
            writer.writerow(["" if cells[name] is None else cells[name] for name in COLUMNS])
        return text.getvalue()

    def _cells(self, row: BenchRow) -> dict[str, Any]:
        published = row.published
        _, height, width = row.input_shape
        cells: dict[str, Any] = {
            "model": row.model,
            "library": row.library,
            "precision": row.precision,
            "compiled": row.compiled,
            "batch_size": row.batch_size,
            "img_size": f"{height}" if height == width else f"{height}x{width}",
            "parameters": row.parameters,
            "macs": row.macs,
            "published_top1": published and published.top1,
            "published_data": published and published.data,
            "published_pretraining": published and published.pretraining,
            "published_source": published and published.source,
            "forward_memory_mb": _megabytes(row.forward_memory),
            "train_memory_mb": _megabytes(row.train_memory),
            "compile_seconds": _rounded(row.compile_seconds, 1),
            "error": row.error,
        }
        for work in ("latency", "forward", "train"):
            timing: Timing | None = getattr(row, work)
            cells[f"{work}_ms_min"] = timing and round(1e3 * timing.min, 3)
            cells[f"{work}_ms_median"] = timing and round(1e3 * timing.median, 3)
            if work != "latency":
                cells[f"{work}_images_per_second"] = _rounded(row.images_per_second(work), 2)
                cells[f"{work}_peak_share"] = _rounded(self.peak_share(row, work), 4)
        return cells


def _megabytes(count: int | None) -> float | None:
    return None if count is None else round(count / 1e6, 1)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
