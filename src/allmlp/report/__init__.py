"""Run directories and result records in, self-contained HTML pages out. All HTML lives here."""

from allmlp.report.bench_page import bench_page as bench_page
from allmlp.report.comparison import Comparison as Comparison
from allmlp.report.comparison import compare_runs as compare_runs
from allmlp.report.comparison import comparison_page as comparison_page
from allmlp.report.comparison import write_sweep as write_sweep
from allmlp.report.explain_page import explain_page as explain_page
from allmlp.report.explain_table import explain_table as explain_table
from allmlp.report.figures import new_figure as new_figure
from allmlp.report.figures import picture as picture
from allmlp.report.kan_page import kan_page as kan_page
from allmlp.report.kan_page import law_sections as law_sections
from allmlp.report.page import Cell as Cell
from allmlp.report.page import Code as Code
from allmlp.report.page import Explorer as Explorer
from allmlp.report.page import Facts as Facts
from allmlp.report.page import Gallery as Gallery
from allmlp.report.page import Page as Page
from allmlp.report.page import Part as Part
from allmlp.report.page import Picture as Picture
from allmlp.report.page import Section as Section
from allmlp.report.page import Table as Table
from allmlp.report.page import Text as Text
from allmlp.report.page import render_page as render_page
from allmlp.report.page import write_page as write_page
from allmlp.report.run_page import run_page as run_page
from allmlp.report.scaling_page import scaling_page as scaling_page
from allmlp.report.scaling_page import write_scaling as write_scaling
from allmlp.report.table_page import table_page as table_page
from allmlp.report.write import write_report as write_report

__all__ = [
    "Cell",
    "Code",
    "Comparison",
    "Explorer",
    "Facts",
    "Gallery",
    "Page",
    "Part",
    "Picture",
    "Section",
    "Table",
    "Text",
    "bench_page",
    "compare_runs",
    "comparison_page",
    "explain_page",
    "explain_table",
    "kan_page",
    "law_sections",
    "new_figure",
    "picture",
    "render_page",
    "run_page",
    "scaling_page",
    "table_page",
    "write_page",
    "write_report",
    "write_scaling",
    "write_sweep",
]
