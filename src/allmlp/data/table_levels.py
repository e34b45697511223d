"""How values are spelt as levels of a category: 1, 1.0 and "1" are one.

A table of a training and one of a prediction may hold the same column as other types.
"""

import numpy as np

__all__ = ["BOOLEANS", "is_number", "number_text", "spellings"]

# as columns of booleans are read, which elsewhere are numbers
BOOLEANS = {"False": 0.0, "True": 1.0}


def number_text(value: float) -> str:
    """A number as a level, the same whatever type held it.

    Example:
        >>> number_text(1.0), number_text(0.5)
        ('1', '0.5')
    """
    number = float(value)
    return str(int(number)) if number.is_integer() else str(number)


def is_number(text: str) -> bool:
    """Whether a csv file that says so means a number."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # which Python allows within a number


def spellings(value: str | float | int) -> list[str]:
    """How else a level or a class may have been written where it was learned.

    Example:
        >>> spellings("1.0"), spellings(0.5), spellings("red")
        (['1.0', '1', 'True'], ['0.5'], ['red'])
        >>> spellings("True"), spellings(float(np.float32(0.1)))
        (['True', '1', '1.0'], ['0.10000000149011612', '0.1'])
    """
    found = [str(value)]
    if found[0] in BOOLEANS:  # of where there are booleans, in a column of numbers
        found += [f"{BOOLEANS[found[0]]:.0f}", f"{BOOLEANS[found[0]]:.1f}"]
    if is_number(found[0]):
        number = float(found[0])
        found += [str(number), number_text(number)]
        with np.errstate(over="ignore"):
            short = np.float32(number)  # one that was kept in fewer bits is longer in more of them
        found += [str(short)] if float(short) == number else []
        # a column of booleans, from where there are none
        found += [{0.0: "False", 1.0: "True"}[number]] if number in (0, 1) else []
    return list(dict.fromkeys(found))
