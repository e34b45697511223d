"""Where the time of a training step goes: a trace of a few steps."""

import warnings
from pathlib import Path
from types import TracebackType

from torch.profiler import profile

from allmlp.files import temporary_path

__all__ = ["Trace"]

# the first steps allocate, compile and tune
_SKIPPED, _RECORDED = 5, 5


class Trace:
    """Records five steps after the first five with torch's profiler; a watcher of the loop.

    Args:
        path: where the trace is written, in Chrome's format (chrome://tracing, ui.perfetto.dev),
            as soon as the steps are over, or when the context is left before that. Trainings of
            five steps or fewer have no step to record: a warning says so.
    """

    def __init__(self, path: Path):
        self.path = path
        self._profiler: profile | None = None
        self._steps = 0

    def __enter__(self) -> "Trace":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None and self._steps <= _SKIPPED:
            warnings.warn(
                f"no trace was written to {self.path}: it begins with step {_SKIPPED + 1}, and "
                f"there were {self._steps}; train for more steps",
                stacklevel=2,
            )
        self._finish()

    def begin(self, step: int) -> None:
        """Start and stop when it is time."""
        if self._steps == _SKIPPED:
            self._profiler = profile()
            self._profiler.start()
        elif self._steps == _SKIPPED + _RECORDED:
            self._finish()
        self._steps += 1

    def after_backward(self) -> None:
        """Nothing."""

    def after_step(self) -> None:
        """Nothing."""

    def _finish(self) -> None:
        if self._profiler is None:
            return
        profiler, self._profiler = self._profiler, None
        profiler.stop()
        temporary = temporary_path(self.path)
        profiler.export_chrome_trace(str(temporary))
        temporary.replace(self.path)
