"""A learning rate that falls when a metric no longer improves."""

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from allmlp.errors import AllmlpError, check_integers
from allmlp.training.schedule import warm_up
from allmlp.training.task import Goal

__all__ = ["Plateau"]


class Plateau(LRScheduler):
    """Linear warm-up per step; per epoch, a factor after `patience` epochs without a better value.

    `step` follows every optimizer step as with other schedules, `judge` every epoch.

    Args:
        optimizer: whose learning rates are set.
        warmup_steps: 0 is none.
        goal: which way the metric is better.
        factor: of the learning rate at each fall, in (0, 1).
        patience: epochs without a better value that are let pass.
        floor: the smallest share of the peak.

    Raises:
        AllmlpError: a setting outside its range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        warmup_steps: int,
        goal: Goal,
        factor: float = 0.1,
        patience: int = 10,
        floor: float = 0.0,
    ):
        check_integers("plateau", minimum=0, patience=patience)
        if not (isinstance(factor, int | float) and 0 < factor < 1):
            raise AllmlpError(f"plateau needs factor in (0, 1), got {factor!r}")
        if not (isinstance(floor, int | float) and 0 <= floor <= 1):
            raise AllmlpError(f"plateau needs floor in [0, 1], got {floor!r}")
        self.warmup_steps = warmup_steps
        self.goal = goal
        self.factor, self.patience, self.floor = factor, patience, floor
        self.share = 1.0
        self.best: float | None = None
        self.stalled = 0  # epochs since `best`
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """The learning rate of each group at the next step."""
        share = self.share * warm_up(self.last_epoch, self.warmup_steps)
        return [float(lr) * share for lr in self.base_lrs]

    def judge(self, value: float) -> None:
        """Take in the metric of an epoch."""
        sign = 1 if self.goal == "max" else -1
        # any number is better than none (NaN)
        if self.best is None or self.best != self.best or sign * (value - self.best) > 0:
            self.best, self.stalled = value, 0
            return
        self.stalled += 1
        if self.stalled > self.patience:
            self.share, self.stalled = max(self.floor, self.share * self.factor), 0
            for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
                group["lr"] = lr
