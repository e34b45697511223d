"""The run directory: which file holds what, and how each is written.

config.yaml        the resolved configuration
metrics.jsonl      one object a line: step, epoch, train/*, val/*, lr, images_per_second
metrics.csv        the same as a table, for spreadsheets
gradflow.jsonl     with train.gradflow, one measurement of the gradient flow a line
tensorboard/       with run.tensorboard, the same once more as TensorBoard's event files
trace.json         with run.profile, where the time of a few steps went
last.ckpt          everything that the next step depends on, as of the last checkpoint
best.ckpt          the same after the epoch that was best on the validation part
epoch-N.ckpt       the same after epoch N, for every N that is asked for
model.safetensors  weights of the best epoch
model.json         what rebuilds the model and prepares its input
sessions.json      when and by which command it was trained, on what, how long
eval/              scores, predictions, mistakes and sample images of the test part
report.html        all of it to look at, written by the command line
explain.html       what the model looks at, written by `allmlp explain`
model.onnx         the model for other programs, written by `allmlp export`; also model.pt2
"""

import csv
import json
import os
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from allmlp.errors import AllmlpError
from allmlp.files import write_text
from allmlp.jsonl import read_lines
from allmlp.runs.config_tree import read_yaml
from allmlp.zoo.stored import RECORD, WEIGHTS

__all__ = ["RunDirectory"]


class RunDirectory:
    """Paths and durable writes of one run.

    Args:
        path: the folder; `create` makes it, `open` requires that it is a run.
    """

    def __init__(self, path: Path):
        self.path = path
        self.config = path / "config.yaml"
        self.metrics = path / "metrics.jsonl"
        self.table = path / "metrics.csv"
        self.gradflow = path / "gradflow.jsonl"
        self.tensorboard = path / "tensorboard"
        self.trace = path / "trace.json"
        self.last = path / "last.ckpt"
        self.best = path / "best.ckpt"
        self.weights = path / WEIGHTS
        self.model = path / RECORD
        self.sessions = path / "sessions.json"
        self.report = path / "report.html"
        self.explanation = path / "explain.html"
        self.eval = path / "eval"

    @classmethod
    def create(cls, wanted: str | None, stem: str) -> "RunDirectory":
        """Make the folder `wanted`, or the first free `runs/STEM-N`.

        Raises:
            AllmlpError: the folder exists already.
            OSError: it cannot be made.
        """
        if wanted is not None:
            path = Path(wanted)
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                raise AllmlpError(
                    f"a run needs a folder of its own, {path} exists; choose another with --run "
                    "or delete it"
                ) from None
            return cls(path)
        for number in count(1):
            path = Path("runs") / f"{stem}-{number}"
            try:
                path.mkdir(parents=True)
            except FileExistsError:  # also when another process was faster
                continue
            return cls(path)
        raise AssertionError("unreachable")

    @classmethod
    def open(cls, path: str | Path) -> "RunDirectory":
        """The run at `path`, finished or not.

        Raises:
            AllmlpError: there is none.
        """
        run = cls(Path(path))
        if not run.config.is_file():
            raise AllmlpError(f"{path} is no run: it has no config.yaml; name a folder under runs/")
        return run

    def require_images(self) -> None:
        """Require a run on images.

        Raises:
            AllmlpError: it is one on a table.
        """
        if "table" in read_yaml(self.config):
            raise AllmlpError(
                f"{self.path} is a run on a table, which predict, eval, explain, report and "
                "export read, and which is not resumed; take a run on images"
            )

    def require_unbegun(self) -> None:
        """Require that nothing is lost if a run begins again: it stopped before its first epoch.

        Raises:
            AllmlpError: it has come further, so that its last checkpoint has been taken away.
        """
        epochs = sum(any(key.startswith("val/") for key in r) for r in read_lines(self.metrics))
        # one may be on record whose checkpoint was being written
        if epochs > 1 or (self.eval / "scores.json").is_file():
            raise AllmlpError(
                f"{self.path} has trained for {epochs} epochs, and {self.last.name} is gone, from "
                "which it would go on; put it back, or begin a new run "
                f"(--model.pretrained {self.path} begins with its weights)"
            )

    def require_model(self) -> None:
        """Require a run on images that has come to its first model.

        Raises:
            AllmlpError: it has not, or is one on a table.
        """
        self.require_images()
        if not self.weights.is_file() or not self.model.is_file():
            raise AllmlpError(
                f"{self.path} holds no trained model: it stopped before its first epoch ended; "
                f"go on with allmlp train --resume {self.path}"
            )

    def epoch(self, number: int) -> Path:
        """Where the checkpoint after an epoch is kept."""
        return self.path / f"epoch-{number}.ckpt"

    def remove_strays(self) -> None:
        """Delete what a killed writer left half done."""
        for stray in self.path.rglob(".*.tmp"):
            stray.unlink(missing_ok=True)

    def append(self, log: Path, record: Mapping[str, Any]) -> None:
        """Add one line to `metrics` or `gradflow`."""
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def append_row(self, columns: Sequence[str], record: Mapping[str, Any]) -> None:
        """Add one line to `table`, under a header if it is the first.

        Args:
            columns: names of all values that any record has.
            record: some of them.
        """
        with self.table.open("a", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow(record)

    def settle_logs(self) -> dict[str, int]:
        """Have all lines on the disk.

        Returns:
            The size of each log in bytes, for `cut_logs`.
        """
        sizes = {}
        for log in (self.metrics, self.table, self.gradflow):
            if log.is_file():
                with log.open("ab") as file:
                    os.fsync(file.fileno())
                    sizes[log.name] = file.tell()
        return sizes

    def cut_logs(self, sizes: Mapping[str, int]) -> None:
        """Forget what was logged after `settle_logs` returned `sizes`."""
        for log in (self.metrics, self.table, self.gradflow):
            size = sizes.get(log.name, 0)
            if log.is_file() and log.stat().st_size > size:
                with log.open("ab") as file:
                    file.truncate(size)
                    os.fsync(file.fileno())

    def write_json(self, path: Path, value: Any) -> None:
        """Replace a JSON file of the run."""
        path.parent.mkdir(exist_ok=True)
        write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def read_json(self, path: Path) -> dict[str, Any]:
        """The object that a JSON file of the run holds.

        Raises:
            AllmlpError: the file is missing or damaged.
        """
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise AllmlpError(f"{self.path} has no {path.name}; make it by `allmlp eval`") from None
        except (json.JSONDecodeError, UnicodeDecodeError) as e:
            raise AllmlpError(f"{path} is damaged ({e}); use another run") from e
        if not isinstance(value, dict):
            raise AllmlpError(f"{path} is damaged (no object); use another run")
        return value
