"""How a network is trained, once all defaults are resolved."""

from dataclasses import dataclass
from typing import Literal

from allmlp.errors import check_integers, check_rates

__all__ = ["Training", "check_training"]

# steps: of 50, 100 and 500 the one that California's validation part liked best
_MOST_AVERAGED = 100


@dataclass(frozen=True, kw_only=True)
class Training:
    """Settings of `allmlp.fit`, as the parameters of an estimator and its model decide them.

    Attributes:
        validation_fraction: of the rows, held out where no validation is given; 0 holds out none.
        patience: epochs; None trains all of `max_epochs`.
        batch_size: rows; None takes what suits their number.
        max_time: seconds.
        ema: decay of an average of the weights; `recent` averages about two epochs, at most
            100 steps of them; None and 0 average nothing.
        The others are named as in `allmlp.fit`.
    """

    lr: float
    clip: float | None
    schedule: str
    max_epochs: int
    patience: int | None
    metric: str | None
    batch_size: int | None
    validation_fraction: float
    max_time: float | None
    ema: float | Literal["recent"] | None

    def batch_of(self, count: int) -> int:
        """Rows a step, so that no batch holds a single one: batch norms cannot do with that.

        Args:
            count: of the rows to train on.
        """
        size = self.batch_size or (256 if count < 50_000 else 1024)
        size = min(count, max(2, size))
        while count % size == 1:
            size += 1
        return size

    def decay(self, count: int) -> float | None:
        """Of the average over the steps: never over so many that a short training is left behind.

        Args:
            count: of the rows to train on.
        """
        if self.ema != "recent":
            return self.ema or None
        return 1 - 1 / min(2 * -(-count // self.batch_of(count)), _MOST_AVERAGED)


def check_training(owner: str, training: Training) -> None:
    """Require parameters that can be trained with.

    Raises:
        AllmlpError: one of them cannot.
    """
    check_integers(owner, minimum=1, max_epochs=training.max_epochs)
    for name in ("patience", "batch_size"):
        if getattr(training, name) is not None:
            check_integers(owner, minimum=1, **{name: getattr(training, name)})
    check_rates(owner, validation_fraction=training.validation_fraction)
