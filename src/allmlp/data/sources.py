"""Data by name."""

from collections.abc import Callable

from allmlp.data.digits import load_digits
from allmlp.data.image_set import Splits
from allmlp.errors import AllmlpError, unknown_name

__all__ = ["SOURCES", "load_source"]

SOURCES: dict[str, Callable[[], Splits]] = {"digits": load_digits}


def load_source(source: str) -> Splits:
    """Read the data called `source`.

    Raises:
        AllmlpError: nothing is called that; the nearest names are listed.
    """
    if source not in SOURCES:
        raise AllmlpError(unknown_name("data source", source, SOURCES))
    return SOURCES[source]()
