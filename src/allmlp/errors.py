"""The one exception for what a user can mend, and how unknown names are answered."""

import difflib
from collections.abc import Iterable

__all__ = ["AllmlpError", "unknown_name"]


class AllmlpError(ValueError):
    """Input, configuration or files that the caller can mend.

    The message states requirement, fact and remedy. The command line prints it as one line and
    exits with 1; any other exception is a bug of ours and keeps its traceback. It is a
    `ValueError`, so that library callers need not know this class.
    """


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """The message for a name nobody has: the nearest known names, or all if few.

    Args:
        kind: what the name should have been, for example `model`.
        name: what was asked for.
        known: every valid name.

    Example:
        >>> unknown_name("model", "mixer_b61", ["mixer_b16", "mixer_b32", "mixer_l16"])
        "unknown model 'mixer_b61'; did you mean mixer_b16?"
        >>> unknown_name("precision", "int8", ["fp32", "bf16"])
        "unknown precision 'int8'; choose one of: bf16, fp32"
    """
    choices = sorted(set(known))
    # 0.75 keeps transposed and dropped letters and leaves out mere relatives
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.75)
    if near:
        return f"unknown {kind} {name!r}; did you mean {' or '.join(near)}?"
    shown = ", ".join(choices[:20]) + (", …" if len(choices) > 20 else "")
    return f"unknown {kind} {name!r}; choose one of: {shown}"
