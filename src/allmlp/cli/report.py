"""`allmlp report`."""

from pathlib import Path

__all__ = ["report"]


def report(path: Path, /) -> None:
    """Write report.html: of a run all that is known about it, of a folder of runs all of them.

    One file that opens offline, in the run or folder.

    Parameters
    ----------
    path:
        Folder of a run, or of several.
    """
    from allmlp.report import write_report, write_sweep

    single = (path / "config.yaml").is_file()
    print(write_report(path) if single else write_sweep(path))
