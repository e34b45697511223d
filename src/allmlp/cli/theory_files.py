"""What `allmlp theory …` reads and writes: points with labels, certificates, pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from allmlp.errors import AllmlpError, check_choice

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from allmlp.theory import Certificate

__all__ = ["OUT", "Format", "read_points", "write_certificate"]

Format = Literal["svg", "png"]

OUT = Path("runs/theory")


def write_certificate(
    name: str, certificate: "Certificate", figure: "Figure | None", out: Path, format: str
) -> None:
    """The certificate as JSON and the picture, if there is one, as `name` in the folder `out`."""
    from allmlp.files import replace_file, write_text
    from allmlp.theory.pictures import save

    out.mkdir(parents=True, exist_ok=True)
    written = [out / f"{name}.json"]
    write_text(written[0], certificate.to_json() + "\n")
    if figure is not None:
        written.append(out / f"{name}.{format}")
        with replace_file(written[1]) as file:
            save(figure, file, suffix=format)
    print(f"\nwrote {' and '.join(map(str, written))}")


def read_points(data: str, target: str | None) -> tuple[Any, Any]:
    """Points and labels of `digits` or of a CSV file of numbers.

    Args:
        data: `digits` or a path.
        target: the column of the labels; the last one for None.

    Raises:
        AllmlpError: no such file or column, or a line that is not all numbers.
    """
    import csv

    import numpy as np

    if data == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        return digits.data, digits.target
    path = Path(data)
    if not path.is_file():
        raise AllmlpError(
            f"DATA must be `digits` or a CSV file, but {data!r} is neither; check the path"
        )
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # Excel writes a mark in front
            reader = csv.reader(file)
            lines = [(reader.line_num, row) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise AllmlpError(
            f"{path} must be a CSV file in UTF-8, but cannot be read ({error}); "
            "export it as one from the program that made it"
        ) from None
    if len(lines) < 2 or len(lines[0][1]) < 2:
        raise AllmlpError(
            f"{path} must hold a header of two or more columns and at least one row below it, but "
            f"has {len(lines)} lines with text; add a header, features and a label column"
        )
    (_, header), *rows = lines
    column = target if target is not None else header[-1]
    check_choice("column", column, header)
    for line, row in rows:
        bad = [cell for cell in row if not _is_number(cell)]
        if bad or len(row) != len(header):
            fact = f"line {line} holds {bad[0]!r}" if bad else f"line {line} has {len(row)} cells"
            raise AllmlpError(
                f"{path} must hold {len(header)} numbers on every line below its header, but "
                f"{fact}; encode names as integers and fill gaps"
            )
    values = np.array([row for _, row in rows], dtype=np.float64)
    at = header.index(column)
    return np.delete(values, at, axis=1), values[:, at]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
