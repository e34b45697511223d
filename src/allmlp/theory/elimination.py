"""Linear equations in fractions, exactly."""

from collections.abc import Iterable
from fractions import Fraction

__all__ = ["eliminate"]


def eliminate(rows: list[list[Fraction]], columns: Iterable[int]) -> list[int]:
    """Gauss-Jordan, in place: each pivot's column becomes a unit vector.

    Args:
        rows: of the matrix, with right hand sides or without; sorted and scaled on the way.
        columns: in the order in which pivots are looked for.

    Returns:
        The pivots: that of the first row, of the second and so on; rows beyond them are 0 in all
        `columns`.

    Example:
        >>> rows = [[Fraction(v) for v in row] for row in ([0, 2, 6], [1, 1, 5])]
        >>> eliminate(rows, range(2)), [row[2] for row in rows]
        ([0, 1], [Fraction(2, 1), Fraction(3, 1)])
    """
    pivots: list[int] = []
    for column in columns:
        r = len(pivots)
        found = next((i for i in range(r, len(rows)) if rows[i][column]), None)
        if found is None:
            continue
        rows[r], rows[found] = rows[found], rows[r]
        rows[r] = [value / rows[r][column] for value in rows[r]]
        for i, row in enumerate(rows):
            if i != r and row[column]:
                rows[i] = [a - row[column] * b for a, b in zip(row, rows[r], strict=True)]
        pivots.append(column)
    return pivots
