"""What `fit` returns: how it went, in memory."""

from dataclasses import dataclass, field

__all__ = ["History"]


@dataclass
class History:
    """Every report of a training, and how it ended.

    Attributes:
        records: one per report, with `step` (optimizer steps taken), `epoch` (from 1),
            `train/loss` and what the task counts beside it (means since the report before), `lr`,
            `examples_per_second`; the last one of an epoch also has `val/*`, if there is
            validation.
        metric: the name of the value that chooses the best epoch, `val/` included; None without
            validation.
        best: its value at the best epoch.
        best_epoch: which that is, from 1.
        stopped: why training ended.
        rollbacks: steps of LBFGS that were undone.

    Example:
        >>> history = History([{"step": 1, "epoch": 1, "train/loss": 0.5}], stopped="1 step taken")
        >>> history["train/loss"]
        [0.5]
        >>> print(history)
        1 step, 1 epoch: train/loss 0.5 (1 step taken)
    """

    records: list[dict[str, int | float]] = field(default_factory=list)
    metric: str | None = None
    best: float | None = None
    best_epoch: int | None = None
    stopped: str = ""
    rollbacks: int = 0

    def __getitem__(self, name: str) -> list[int | float]:
        """The values of every record that has this one.

        Raises:
            KeyError: none has; the known names are listed.
        """
        values = [record[name] for record in self.records if name in record]
        if not values:
            known = sorted({key for record in self.records for key in record})
            raise KeyError(f"no record has {name!r}; there are: {', '.join(known) or 'none'}")
        return values

    def __str__(self) -> str:
        if not self.records:
            return f"no records ({self.stopped})"
        last = self.records[-1]
        values = [f"{key} {value:.4g}" for key, value in last.items() if key.startswith(_SHOWN)]
        if self.best is not None:
            values.append(f"best {self.metric} {self.best:.4g} at epoch {self.best_epoch}")
        steps, epochs = int(last["step"]), int(last["epoch"])
        length = f"{steps} step{'s' * (steps != 1)}, {epochs} epoch{'s' * (epochs != 1)}"
        return f"{length}: {', '.join(values)} ({self.stopped})"


_SHOWN = ("train/", "val/")
