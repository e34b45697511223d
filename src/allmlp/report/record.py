"""What a run directory holds, read for showing: no weights, and nothing is computed anew.

Axes: n images, k classes.
"""

import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from allmlp.errors import AllmlpError
from allmlp.jsonl import read_lines
from allmlp.runs.augmented import Augmented, read_augmented
from allmlp.runs.config import Config
from allmlp.runs.config_tree import build_config, flatten, read_yaml
from allmlp.runs.directory import RunDirectory
from allmlp.runs.mistakes import Mistake, read_mistakes
from allmlp.runs.sessions import Session, read_sessions
from allmlp.training import FlowRecord
from allmlp.zoo.macs import count_macs
from allmlp.zoo.stored import ModelRecord, read_record

__all__ = ["Kept", "RunRecord", "find_runs", "find_table_runs", "read_run"]


@dataclass(frozen=True, eq=False)
class Kept:
    """What `eval/predictions.npz` holds."""

    probabilities: Float[np.ndarray, "n k"]
    labels: Int[np.ndarray, " n"]
    positions: Int[np.ndarray, " n"]
    classes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class RunRecord:
    """A run, finished or not; what it does not have yet is None or empty."""

    directory: RunDirectory
    config: Config
    model: ModelRecord
    metrics: list[dict[str, Any]]
    flow: list[FlowRecord]
    scores: dict[str, Any] | None
    kept: Kept | None
    speed: dict[str, Any] | None
    mistakes: list[Mistake]
    augmented: list[Augmented]
    sessions: list[Session]

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.directory.path.resolve().name

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration by dotted path, without the folder."""
        leaves = flatten(self.config)
        del leaves["run.dir"]
        return leaves

    @property
    def seconds(self) -> float | None:
        """Of training, over all sessions that ended; None if none is known."""
        known = [s.seconds for s in self.sessions if s.seconds is not None]
        return sum(known) if known else None

    @property
    def training_speed(self) -> float | None:
        """Images per second, median of the reports."""
        speeds = [r["images_per_second"] for r in self.metrics if "images_per_second" in r]
        return float(np.median(speeds)) if speeds else None

    @cached_property
    def costs(self) -> tuple[int, int]:
        """Parameters, and multiply-accumulates for one image."""
        with torch.device("meta"):
            model = self.model.build().eval()
        config: Any = model.config
        shape = (config.in_chans, *config.img_size)
        return sum(p.numel() for p in model.parameters()), count_macs(model, shape)

    def series(self, name: str) -> tuple[list[float], list[float]]:
        """Epochs (as fractions) and values of a metric."""
        found = [r for r in self.metrics if name in r]
        per_epoch = self._steps_per_epoch
        return [r["step"] / per_epoch for r in found], [float(r[name]) for r in found]

    @cached_property
    def _steps_per_epoch(self) -> float:
        ends = [r["step"] / r["epoch"] for r in self.metrics if "val/loss" in r]
        return ends[-1] if ends else 1.0


def read_run(path: str | Path) -> RunRecord:
    """Read the directory of a run on images.

    Raises:
        AllmlpError: no run, or a damaged file, which is named.
    """
    directory = RunDirectory.open(path)
    tree = read_yaml(directory.config)
    if "table" in tree:
        raise AllmlpError(
            f"only runs on images are compared, {path} is one on a table; look at its own page "
            f"(allmlp report {path})"
        )
    scored = (directory.eval / "scores.json").is_file()
    speed = directory.eval / "speed.json"
    try:
        flow = [FlowRecord.from_json(line) for line in read_lines(directory.gradflow)]
    except (KeyError, TypeError, ValueError) as e:
        raise AllmlpError(f"{directory.gradflow} is damaged ({e}); delete it") from e
    return RunRecord(
        directory=directory,
        config=build_config(tree),
        model=read_record(directory.path),
        metrics=read_lines(directory.metrics),
        flow=flow,
        scores=directory.read_json(directory.eval / "scores.json") if scored else None,
        kept=_kept(directory.eval / "predictions.npz") if scored else None,
        speed=directory.read_json(speed) if speed.is_file() else None,
        mistakes=read_mistakes(directory.eval),
        augmented=read_augmented(directory.eval),
        sessions=read_sessions(directory),
    )


def find_runs(folder: Path) -> list[Path]:
    """The runs in a folder, at any depth, by name.

    Raises:
        AllmlpError: there is no folder, or no run in it.
    """
    found = sorted(path.parent for path in folder.rglob("config.yaml"))
    runs = [path for path in found if (path / "model.json").is_file()]
    if not runs:
        raise AllmlpError(f"no run in {folder}; name a run directory, or a folder of several")
    return runs


def find_table_runs(folder: Path) -> list[Path]:
    """The runs on tables in a folder, at any depth, by name."""
    found = sorted(folder.rglob("config.yaml"))
    # as text: a damaged file is not this function's to complain of
    tables = [p for p in found if "\ntable:" in "\n" + p.read_text("utf-8", errors="replace")]
    return [path.parent for path in tables]


def _kept(path: Path) -> Kept | None:
    try:
        with np.load(path) as arrays:
            labels = arrays["labels"]
            return Kept(
                probabilities=arrays["probabilities"],
                labels=labels,
                # evaluations from before positions were kept skipped nothing or cannot be paired
                positions=arrays["positions"] if "positions" in arrays else np.arange(len(labels)),
                classes=tuple(arrays["classes"].tolist()),
            )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as e:
        raise AllmlpError(f"{path} is damaged ({e}); make it anew by `allmlp eval`") from e
