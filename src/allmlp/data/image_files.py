"""Labelled images that are still encoded: what a folder or an archive holds.

Axes: n images.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

from jaxtyping import Int64
from torch import Tensor

from allmlp.data.formats import open_header, quietly

__all__ = ["ImageFiles", "Reader"]

# modes whose pixels carry no colour
_GREY = {"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N", "F"}
# enough to meet one colour image in a hundred with a probability of 0.99995
_SAMPLED = 1000


@runtime_checkable
class Reader(Protocol):
    """Gives the bytes behind a name. Readers go to worker processes: they must pickle."""

    def read(self, name: str) -> bytes:
        """The content of one file.

        Raises:
            OSError: it cannot be read.
            AllmlpError: it is refused; the message says why.
        """
        ...


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Names of image files, where to read them, their labels and the names of the classes."""

    reader: Reader
    names: tuple[str, ...]
    labels: Int64[Tensor, " n"]  # indices into classes
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def take(self, index: Int64[Tensor, " m"]) -> "ImageFiles":
        """The files at these positions, in this order."""
        names = tuple(self.names[i] for i in index.tolist())
        return ImageFiles(self.reader, names, self.labels[index], self.classes)

    @cached_property
    def in_chans(self) -> int:
        """1 if all files looked at are grey, else 3. Looks at 2,000 at most, evenly spaced."""
        modes = set()
        for name in self.names[:: max(1, len(self) // _SAMPLED)]:
            mode = _mode(self.reader, name)
            if mode is not None and mode not in _GREY:
                return 3  # as a rule after one file
            modes.add(mode)
        return 1 if modes != {None} else 3


def _mode(reader: Reader, name: str) -> str | None:
    """Pillow's name for the kind of pixels, from the header alone; None if it cannot be told."""
    try:
        with quietly(), open_header(reader.read(name)) as image:
            return image.mode
    except Exception:  # whatever is wrong with the file is reported when it is decoded
        return None
