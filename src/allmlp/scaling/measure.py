"""One trial of a sweep: a run of its own, and what it cost."""

import re
import shutil
import time
from pathlib import Path
from typing import Any

from allmlp.errors import AllmlpError
from allmlp.models.contract import VisionModel
from allmlp.runs.run import Run
from allmlp.runs.train import train
from allmlp.scaling.trial import Settings, Trial
from allmlp.zoo import model_info

__all__ = ["measure"]

# a pass forward takes two FLOPs for each multiplication with addition, one backward twice as many
FLOPS_PER_MAC = 2 * 3


def measure(trial: Trial, settings: Settings, folder: Path) -> dict[str, Any]:
    """Train, or go on training, and score on the test part.

    The run stays in `folder`, loadable, without the checkpoints that only an unfinished one needs.

    Args:
        trial: what to train.
        settings: of the sweep.
        folder: of the sweep; the run is trials/KEY in it.

    Returns:
        The fields of the trial; `epochs`, `lr`; `parameters` (N, all), `body_parameters` (N without
        the first layer or patch embedding and without the head); `seen` (D: samples times epochs);
        `macs` (multiplications with addition of one image forward, products only); `flops`
        (training: 6 macs seen); `loss` (nats) and `error` (fraction) on the test part,
        of the epoch that the validation part chose; `seconds` (wall time of the attempt that
        finished) and `resumed` (whether earlier attempts had done a part of it).

    Raises:
        AllmlpError: whatever `train` refuses. The run is removed: another attempt starts anew.
            After other errors (a full disk, say) it stays, and another attempt goes on from there.
    """
    path = folder / "trials" / trial.key
    path.parent.mkdir(exist_ok=True)
    resumed = (path / "last.ckpt").is_file()
    began = time.perf_counter()
    try:
        run = train(settings.config(trial, str(path)), progress=False, resume="auto")
    except AllmlpError:
        shutil.rmtree(path, ignore_errors=True)
        raise
    seconds = time.perf_counter() - began
    for checkpoint in path.glob("*.ckpt"):
        checkpoint.unlink()
    return {
        **trial.__dict__,
        **_costs(run, settings.epochs * trial.samples),
        **_scores(run),
        "epochs": settings.epochs,
        "lr": run.config.train.lr,
        "seconds": round(seconds, 3),
        "resumed": resumed,
    }


def _costs(run: Run, seen: int) -> dict[str, int]:
    config = run.model.config
    info = model_info(
        run.config.model.name,
        num_classes=config.num_classes,
        in_chans=config.in_chans,
        img_size=config.img_size,
        **run.config.model.overrides,
    )
    return {
        "parameters": info.parameters,
        "body_parameters": _body(run.model),
        "seen": seen,
        "macs": info.macs,
        "flops": FLOPS_PER_MAC * info.macs * seen,
    }


def _body(model: VisionModel) -> int:
    """Parameters behind the stem and before the head."""
    stem = re.compile(model.group_matcher()["stem"])
    head = {id(p) for p in model.get_classifier().parameters()}
    return sum(
        p.numel()
        for name, p in model.named_parameters()
        if not stem.match(name) and id(p) not in head
    )


def _scores(run: Run) -> dict[str, float]:
    scores = run.scores()
    return {"loss": scores["loss"], "error": round(1 - scores["accuracy"], 6)}
