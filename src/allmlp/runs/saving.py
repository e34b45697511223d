"""What a run saves, when, and how it goes on from there."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from allmlp.data import ImageSet, ImageStream
from allmlp.errors import AllmlpError
from allmlp.files import duplicate_file
from allmlp.runs.config import TrainConfig
from allmlp.runs.directory import RunDirectory
from allmlp.runs.objective import teacher_digest
from allmlp.training import Loop, Selection, load_checkpoint, save_checkpoint
from allmlp.zoo.stored import write_weights

__all__ = ["Plan", "Saver", "is_finished", "saved_state"]


@dataclass(frozen=True)
class Plan:
    """What must not change when a run goes on: data, teacher, and the length of the schedule."""

    examples: int
    labels: str  # digest of labels and class names
    steps_per_epoch: int
    warmup_steps: int
    total_steps: int
    teacher: str | None = None  # digest of its weights
    validation: str | None = None  # digest of its labels; None in older checkpoints

    @classmethod
    def of(
        cls,
        data: ImageSet | ImageStream,
        validation: ImageSet | ImageStream,
        config: TrainConfig,
    ) -> "Plan":
        """For both parts that training reads, and the settings of a new run."""
        steps_per_epoch = -(-len(data) // config.batch_size)
        return cls(
            examples=len(data),
            labels=_digest(data),
            validation=_digest(validation),
            steps_per_epoch=steps_per_epoch,
            warmup_steps=round(config.warmup_epochs * steps_per_epoch),
            total_steps=steps_per_epoch * config.epochs,
            teacher=teacher_digest(config),
        )

    def resumed(self, saved: Mapping[str, Any], directory: RunDirectory) -> "Plan":
        """The plan that a checkpoint was made by, whose schedule goes on.

        Raises:
            AllmlpError: it was made by other data, or another teacher, than this plan.
        """
        plan = Plan(**saved)
        if (plan.examples, plan.labels) != (self.examples, self.labels):
            raise AllmlpError(
                f"the training part has changed since {directory.path} began: {plan.examples} "
                f"examples then, {self.examples} now, or other labels; restore the data, or start "
                "a new run"
            )
        if plan.validation not in (None, self.validation):
            raise AllmlpError(
                f"the validation part has changed since {directory.path} began, by which epochs "
                "are chosen; restore the data, or start a new run"
            )
        if plan.teacher != self.teacher:
            raise AllmlpError(
                f"the teacher has changed since {directory.path} began; restore it, or start a "
                "new run"
            )
        return plan


def _digest(data: ImageSet | ImageStream) -> str:
    digest = hashlib.blake2b(data.labels.cpu().numpy().tobytes(), digest_size=8)
    digest.update("\n".join(data.classes).encode())
    return digest.hexdigest()


def saved_state(directory: RunDirectory) -> dict[str, Any] | None:
    """The last checkpoint of a run, or None if it stopped before its first.

    Raises:
        AllmlpError: it is damaged, or of a newer allmlp.
    """
    return load_checkpoint(directory.last) if directory.last.is_file() else None


def is_finished(directory: RunDirectory) -> bool:
    """Whether nothing is left to do: trained to the end, and scored.

    Raises:
        AllmlpError: the last checkpoint is damaged, or of a newer allmlp.
    """
    state = saved_state(directory)
    return state is not None and state["done"] and (directory.eval / "scores.json").is_file()


class Saver:
    """Writes the checkpoints of one run. Its methods are called by all processes together.

    Args:
        directory: of the run.
        loop: what is saved.
        selection: which epoch is the best.
        plan: of the run.
        config: says how often.
    """

    def __init__(
        self,
        directory: RunDirectory,
        loop: Loop,
        selection: Selection,
        plan: Plan,
        config: TrainConfig,
    ):
        self.directory = directory
        self.loop = loop
        self.selection = selection
        self.plan = plan
        self.config = config
        self.rollbacks = 0
        self.saved_step: int | None = None  # the last checkpoint's
        self._saved_at = time.monotonic()

    @property
    def done(self) -> bool:
        """Whether there is nothing left to train."""
        return self.loop.epoch >= self.config.epochs or self.selection.exhausted

    def due(self, reported: bool) -> bool:
        """Whether a checkpoint within the epoch should be written after this step.

        Args:
            reported: whether the step came with a report: the moment at which several processes can
                agree on what one of them reads off its clock.
        """
        steps, seconds = self.config.checkpoint_steps, self.config.checkpoint_seconds
        if self.loop.step == self.saved_step:
            return False
        if steps is not None and self.loop.step % steps == 0:
            return True
        ranks = self.loop.ranks
        if seconds is None or (ranks.size > 1 and not reported):
            return False
        return ranks.any(ranks.main and time.monotonic() - self._saved_at >= seconds)

    def save(self) -> None:
        """Write `last.ckpt`.

        Raises:
            NotFiniteError: the state is of no use; the last checkpoint stays.
            OSError: the folder is read-only or full; the last checkpoint stays.
        """
        state = self._state()
        if self.loop.ranks.main:
            save_checkpoint(self.directory.last, state)
        self._note_saved()

    def save_epoch(self, weights: Mapping[str, Tensor] | None) -> None:
        """Write what an epoch leaves: `last.ckpt`, and the model if it is the best one so far.

        Args:
            weights: of the model as it was judged, if it is the best one; in the first process.

        Raises:
            NotFiniteError, OSError: as in `save`.
        """
        state = self._state()
        if self.loop.ranks.main:
            epoch, keep_every = self.loop.epoch, self.config.keep_every
            kept = [self.directory.best] if weights is not None else []
            if keep_every is not None and epoch % keep_every == 0:
                kept.append(self.directory.epoch(epoch))
            if weights is not None:
                write_weights(self.directory.path, weights)
            # `last` comes after all others: a run that is killed in between repeats this epoch and
            # writes them again
            newest = None
            for path in (*kept, self.directory.last):
                if newest is None:
                    save_checkpoint(path, state)
                else:
                    duplicate_file(newest, path)
                newest = path
        self._note_saved()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `save` wrote.

        Raises:
            AllmlpError: it is of another model.
        """
        self.loop.load_state_dict(state, str(self.directory.last))
        self.selection.load_state_dict(state["selection"])
        self.rollbacks = state["rollbacks"]
        self.saved_step = self.loop.step
        if self.loop.ranks.main:
            self.directory.cut_logs(state["logs"])

    def _state(self) -> dict[str, Any]:
        self.loop.check_finite()
        logs = self.directory.settle_logs() if self.loop.ranks.main else {}
        return {
            **self.loop.state_dict(),
            "selection": self.selection.state_dict(),
            "plan": asdict(self.plan),
            "rollbacks": self.rollbacks,
            "logs": logs,
            "done": self.done,
            "threads": torch.get_num_threads(),
        }

    def _note_saved(self) -> None:
        self.saved_step, self._saved_at = self.loop.step, time.monotonic()
