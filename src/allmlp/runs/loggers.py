"""Who hears the records of a run, beside the files that it always writes."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from allmlp.errors import AllmlpError

__all__ = ["Logger", "TensorBoard"]


@runtime_checkable
class Logger(Protocol):
    """Hears every record of a run as it is written. In the first process only."""

    def log(self, record: Mapping[str, Any]) -> None:
        """A record: `step`, `epoch`, and values by name, such as `train/loss`."""
        ...

    def rewind(self, step: int) -> None:
        """The run goes on from `step`: what came after it will come again."""
        ...

    def close(self) -> None:
        """Training has ended, in whatever way."""
        ...


class TensorBoard:
    """Scalars as TensorBoard's event files. What a resumed run repeats is shown once.

    Args:
        folder: for the files; a resumed run adds one.

    Raises:
        AllmlpError: tensorboard is not installed.
    """

    def __init__(self, folder: Path):
        self.require()
        self.folder = folder
        self._open(None)

    @staticmethod
    def require() -> None:
        """Require that tensorboard is installed.

        Raises:
            AllmlpError: it is not.
        """
        if find_spec("tensorboard") is None:
            raise AllmlpError(
                "run.tensorboard needs the package tensorboard; pip install 'allmlp[tensorboard]'"
            )

    def log(self, record: Mapping[str, Any]) -> None:
        """Every value but step and epoch, at the step."""
        for name, value in record.items():
            if name not in ("step", "epoch"):
                self._writer.add_scalar(name, value, record["step"])

    def rewind(self, step: int) -> None:
        """Have TensorBoard hide what came after `step`."""
        self.close()
        self._open(step + 1)

    def close(self) -> None:
        """Write what is pending."""
        self._writer.close()

    def _open(self, purge_step: int | None) -> None:
        from torch.utils.tensorboard import SummaryWriter  # 0.5 s that other runs need not wait for

        self._writer = SummaryWriter(str(self.folder), purge_step=purge_step)
