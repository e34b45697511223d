"""How values are spelt as levels of a category: 1, 1.0 and "1" are one.

A table of a training and one of a prediction may hold the same column as other types.
"""

__all__ = ["is_number", "number_text", "spellings"]


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
    """
    found = [str(value)]
    if is_number(found[0]):
        number = float(found[0])
        found += [str(number), number_text(number)]
        # a column of booleans, from where there are none
        found += [{0.0: "False", 1.0: "True"}[number]] if number in (0, 1) else []
    return list(dict.fromkeys(found))
