"""Which epoch is the best one, and when there is no point in going on."""

import math
from typing import Any

from allmlp.errors import check_choice, check_integers
from allmlp.training.task import Task

__all__ = ["Selection"]


class Selection:
    """Follows one validation metric from epoch to epoch.

    Of the task's own metric, the best epoch is the last one that is as good as the best so far up
    to one standard error (Breiman et al. 1984, §3.4.3): among epochs that the validation part
    cannot tell apart, the one whose learning rate has fallen furthest. Of other metrics, whose
    error nobody knows, it is the best epoch itself.

    Args:
        task: knows the metrics, and which way each is better.
        metric: one of `task.goals`; None takes `task.metric`.
        patience: epochs without a better value before `exhausted`; None is never.

    Raises:
        AllmlpError: a metric the task does not have, or a patience below 1.
    """

    def __init__(self, task: Task, metric: str | None = None, patience: int | None = None):
        self.metric = metric or task.metric
        check_choice("metric", self.metric, task.goals)
        if patience is not None:
            check_integers("early stopping", minimum=1, patience=patience)
        self.task = task
        self.patience = patience
        self.best: float | None = None
        self.stalled = 0  # epochs since `best`

    def update(self, metrics: dict[str, float], count: int) -> bool:
        """Take in the values of one epoch, measured on `count` examples: is it the best one?"""
        value = metrics[self.metric]
        sign = 1 if self.task.goals[self.metric] == "max" else -1
        if self.best is None or math.isnan(self.best) or sign * (value - self.best) > 0:
            self.best, self.stalled = value, 0
            return True
        self.stalled += 1
        tolerance = 0.0
        if self.metric == self.task.metric:
            tolerance = self.task.standard_error(self.best, count)
        return sign * (value - self.best) >= -tolerance

    @property
    def exhausted(self) -> bool:
        """Whether the metric has not improved for too long."""
        return self.patience is not None and self.stalled >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"metric": self.metric, "best": self.best, "stalled": self.stalled}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.best, self.stalled = state["best"], state["stalled"]
