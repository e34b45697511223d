"""Whether anything may be fetched."""

import os

from allmlp.errors import AllmlpError

__all__ = ["require_online"]


def require_online(what: str) -> None:
    """Require that `ALLMLP_OFFLINE` does not forbid to connect.

    Args:
        what: would be fetched.

    Raises:
        AllmlpError: it does.
    """
    if os.environ.get("ALLMLP_OFFLINE", "0") not in ("", "0"):
        raise AllmlpError(
            f"{what} is not in the cache and ALLMLP_OFFLINE forbids to fetch it; give a local file"
        )
