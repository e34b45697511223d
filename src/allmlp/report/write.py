"""The page of a run, in its directory."""

from pathlib import Path

from allmlp.report.page import write_page
from allmlp.report.record import read_run
from allmlp.report.run_page import run_page
from allmlp.report.table_page import table_page
from allmlp.report.table_record import read_table_run
from allmlp.runs.config_tree import read_yaml
from allmlp.runs.directory import RunDirectory

__all__ = ["write_report"]


def write_report(path: str | Path) -> Path:
    """Write the page of a run, `report.html` in its directory, from what is there.

    Args:
        path: directory of a run on images or on a table.

    Returns:
        The file.

    Raises:
        AllmlpError: no run, or a damaged file, which is named.
        OSError: the directory is read-only or full.
    """
    directory = RunDirectory.open(path)
    on_table = "table" in read_yaml(directory.config)
    page = table_page(read_table_run(path)) if on_table else run_page(read_run(path))
    write_page(directory.report, page)
    return directory.report
