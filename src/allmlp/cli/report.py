"""`allmlp report`."""

from pathlib import Path

__all__ = ["report"]


def report(path: Path, /) -> None:
    """Write report.html: of a run all that is known about it, of a folder of runs all of them.

    One file that opens offline, in the run or folder. A folder of `allmlp scale run` gets the page
    of `allmlp scale report`.

    Parameters
    ----------
    path:
        Folder of a run, or of several.
    """
    from allmlp.report import write_report, write_scaling, write_sweep

    if (path / "config.yaml").is_file():
        print(write_report(path))
    elif (path / "sweep.json").is_file():
        print(write_scaling(path))
    else:
        print(write_sweep(path))
