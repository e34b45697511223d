"""What a column of numbers may be passed as."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

__all__ = ["Values"]

# numpy's ArrayLike, as far as a checker of types can tell at run time
Values = NDArray[Any] | Sequence[Any] | float | int
