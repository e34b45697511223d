"""What a person sees while a model trains: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from allmlp.training.loop import StepReport

__all__ = ["Display", "PlainLines", "ProgressBar", "Silent", "choose_display"]


@runtime_checkable
class Display(Protocol):
    """Told of every report and every evaluation; closed at the end."""

    def close(self) -> None: ...

    def note(self, text: str) -> None: ...

    def step(self, report: StepReport) -> None: ...

    def epoch(self, epoch: int, val: dict[str, float], best: bool) -> None: ...


class Silent:
    """Shows nothing."""

    def close(self) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def step(self, report: StepReport) -> None:
        """Nothing."""

    def epoch(self, epoch: int, val: dict[str, float], best: bool) -> None:
        """Nothing."""


class PlainLines(Silent):
    """One line to stderr for each epoch, and at least one every half minute within long ones."""

    INTERVAL = 30.0  # seconds

    def __init__(self, epochs: int, total_steps: int, done: int = 0):
        self.epochs = epochs
        self.total_steps = total_steps
        self.done = done  # steps of an earlier process
        self.started = self.printed = time.monotonic()
        self.last: StepReport | None = None

    def note(self, text: str) -> None:
        """A line of its own."""
        self._print(text)

    def step(self, report: StepReport) -> None:
        """Keep the report for the epoch's line; print it alone if the epoch takes long."""
        self.last = report
        if time.monotonic() - self.printed > self.INTERVAL:
            self._print(f"epoch {report.epoch + 1}/{self.epochs}  {self._training(report)}")

    def epoch(self, epoch: int, val: dict[str, float], best: bool) -> None:
        """The line of an epoch."""
        training = f"{self._training(self.last)}  " if self.last else ""
        mark = "  best" if best else ""
        self._print(f"epoch {epoch}/{self.epochs}  {training}{_metrics('val', val)}{mark}")

    def _training(self, report: StepReport) -> str:
        elapsed = time.monotonic() - self.started
        left = elapsed * (self.total_steps - report.step) / max(1, report.step - self.done)
        return f"{_training(report)}  ETA {left:.0f} s"

    def _print(self, line: str) -> None:
        self.printed = time.monotonic()
        print(line, file=sys.stderr, flush=True)


class ProgressBar(Silent):
    """A bar with loss, accuracy, examples/s and the time left."""

    RATE = 2  # times a second: drawing takes milliseconds, as much as some models' ten steps

    def __init__(self, epochs: int, total_steps: int, console: Console, done: int = 0):
        self.epochs = epochs
        self.total_steps = total_steps
        self.updated = -1.0
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[training]}"),
            TextColumn("{task.fields[validation]}"),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console,
            refresh_per_second=self.RATE,
        )
        self.task = self.bar.add_task(
            f"epoch 1/{epochs}", total=total_steps, completed=done, training="", validation=""
        )
        self.bar.start()

    def close(self) -> None:
        """Leave the terminal as it was found."""
        self.bar.stop()

    def note(self, text: str) -> None:
        """A line above the bar."""
        self.bar.console.print(text, markup=False, highlight=False)

    def step(self, report: StepReport) -> None:
        """Move the bar, as often as it is drawn."""
        now = time.monotonic()
        if now - self.updated < 1 / self.RATE and report.step < self.total_steps:
            return
        self.updated = now
        self.bar.update(
            self.task,
            completed=report.step,
            description=f"epoch {report.epoch + 1}/{self.epochs}",
            training=_training(report),
        )

    def epoch(self, epoch: int, val: dict[str, float], best: bool) -> None:
        """Show the evaluation."""
        self.bar.update(self.task, validation=_metrics("val", val))


def choose_display(epochs: int, total_steps: int, done: int = 0) -> Display:
    """A bar if stderr is a terminal, plain lines if it is a file or a pipe."""
    console = Console(stderr=True)
    if console.is_terminal:
        return ProgressBar(epochs, total_steps, console, done)
    return PlainLines(epochs, total_steps, done)


def _training(report: StepReport) -> str:
    return f"{_metrics('train', report.metrics)}  {report.examples_per_second:,.0f} examples/s"


def _metrics(part: str, metrics: dict[str, float]) -> str:
    return "  ".join(f"{part} {name} {value:.4f}" for name, value in metrics.items())
