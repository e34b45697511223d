"""The one exception for what a user can mend, and how unknown names are answered."""

import difflib
import reprlib
from collections.abc import Iterable, Sequence
from numbers import Integral

__all__ = [
    "AllmlpError",
    "check_choice",
    "check_integers",
    "check_rates",
    "check_sizes",
    "first_line",
    "listing",
    "printable",
    "shown",
    "unknown_name",
]

# containers may refer to each other a thousandfold: their depth is limited as well
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 120


class AllmlpError(ValueError):
    """Input, configuration or files that the caller can mend.

    The message states requirement, fact and remedy. The command line prints it as one line and
    exits with 1; any other exception is a bug of ours and keeps its traceback. It is a
    `ValueError`, so that library callers need not know this class.
    """


def unknown_name(kind: str, name: str, known: Iterable[str], *, prefix: str = "") -> str:
    """The message for a name nobody has: the nearest known names, or all if few.

    Args:
        kind: what the name should have been, for example `model`.
        name: what was asked for.
        known: every valid name.
        prefix: of all names, shown but not compared.

    Example:
        >>> unknown_name("key", "epcohs", ["epochs", "lr", "batch_size"])
        "unknown key 'epcohs'; did you mean epochs?"
        >>> unknown_name("precision", "int8", ["fp32", "bf16"])
        "unknown precision 'int8'; choose one of: bf16, fp32"
    """
    choices = sorted(set(known))
    # 0.65 keeps two slips in a word of four letters and leaves out mere relatives
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.65)
    wrong = shown(prefix + name)
    if near:
        return f"unknown {kind} {wrong}; did you mean {' or '.join(prefix + n for n in near)}?"
    some = ", ".join(prefix + n for n in choices[:20]) + (", …" if len(choices) > 20 else "")
    return f"unknown {kind} {wrong}; choose one of: {some}"


def printable(text: str) -> str:
    r"""Text for a terminal: control characters, of names of files say, are spelt out.

    Example:
        >>> printable("cat\x1b[2J.png")
        'cat\\x1b[2J.png'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(value: object) -> str:
    """As `repr`, cut to what a line can hold, whatever it is that somebody wrote.

    Example:
        >>> shown("five"), len(shown("x" * 5000)) < 200
        ("'five'", True)
    """
    try:
        return _SHORT.repr(value)
    except ValueError:  # an integer of more than 4,300 digits
        return f"a {type(value).__name__} too long to show"


def first_line(error: BaseException) -> str:
    r"""The first line of what another library says went wrong; its type if it says nothing.

    Example:
        >>> first_line(RuntimeError("out of memory\nset DEBUG=1 for more")), first_line(EOFError())
        ('out of memory', 'EOFError')
    """
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def listing(names: Sequence[str], shown: int = 5) -> str:
    """The first names, and how many more there are.

    Example:
        >>> listing(["a", "b", "c"], shown=2)
        'a, b and 1 more'
    """
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def check_integers(owner: str, *, minimum: int, **values: object) -> None:
    """Require whole numbers of at least `minimum`, named as the caller names them.

    Raises:
        AllmlpError: a value is no integer (numpy's are, a bool is none) or too small.

    Example:
        >>> check_integers("Mixer", minimum=1, depth=0)
        Traceback (most recent call last):
        allmlp.errors.AllmlpError: Mixer needs an integer depth of at least 1, got 0
    """
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
            raise AllmlpError(
                f"{owner} needs an integer {name} of at least {minimum}, got {value!r}"
            )


def check_sizes(owner: str, *, count: int | None = None, **values: object) -> None:
    """Require lists of positive integers, named as the caller names them.

    Args:
        owner: what needs them.
        count: how many, where that is fixed.
        values: the lists or tuples.

    Raises:
        AllmlpError: a value is no list or tuple, has another length, or an entry is no positive
            integer.

    Example:
        >>> check_sizes("MLP", widths=256)
        Traceback (most recent call last):
        allmlp.errors.AllmlpError: MLP needs widths as a list of integers, got 256
    """
    for name, value in values.items():
        if not isinstance(value, list | tuple) or (count is not None and len(value) != count):
            many = "" if count is None else f"{count} "
            raise AllmlpError(f"{owner} needs {name} as a list of {many}integers, got {value!r}")
        check_integers(owner, minimum=1, **{f"{name}[{i}]": size for i, size in enumerate(value)})


def check_rates(owner: str, **values: object) -> None:
    """Require fractions in [0, 1): dropout, stochastic depth and the like.

    Raises:
        AllmlpError: a value is no number or outside [0, 1).
    """
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise AllmlpError(f"{owner} needs {name} in [0, 1), got {value!r}")


def check_choice(kind: str, value: object, choices: Iterable[str]) -> None:
    """Require one of a few names.

    Raises:
        AllmlpError: `value` is none of `choices`; the nearest is named.
    """
    known = list(choices)
    if value not in known:
        raise AllmlpError(unknown_name(kind, str(value), known))
