"""A worker that measures by waiting, for tests that kill it.

python crew.py FOLDER [STORAGE]
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from allmlp.scaling.board import Board, FolderBoard
from allmlp.scaling.ledger import append_line
from allmlp.scaling.trial import Settings, Trial, make_trials

TRIALS = make_trials(["mlp"], range(1, 13), [2], [100], seeds=1)


def board(folder: Path, storage: str | None) -> Board:
    if storage is None:
        return FolderBoard(folder, TRIALS)
    from allmlp.scaling.study import StudyBoard

    return StudyBoard(folder, TRIALS, Settings(), storage=storage, heartbeat=1)


def main(folder: Path, storage: str | None) -> None:
    def measure(trial: Trial) -> dict[str, Any]:
        append_line(folder / "begun.jsonl", {"key": trial.key, "worker": os.getpid()})
        time.sleep(0.15)
        return {"loss": float(trial.width), "worker": os.getpid()}

    own = board(folder, storage)
    while own.take(measure) != "finished":
        time.sleep(0.02)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
