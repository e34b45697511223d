"""Run directories and result records in, self-contained HTML pages out. All HTML lives here."""

from allmlp.report.figures import new_figure as new_figure
from allmlp.report.figures import picture as picture
from allmlp.report.page import Cell as Cell
from allmlp.report.page import Code as Code
from allmlp.report.page import Facts as Facts
from allmlp.report.page import Gallery as Gallery
from allmlp.report.page import Page as Page
from allmlp.report.page import Picture as Picture
from allmlp.report.page import Section as Section
from allmlp.report.page import Table as Table
from allmlp.report.page import Text as Text
from allmlp.report.page import render_page as render_page
from allmlp.report.page import write_page as write_page

__all__ = [
    "Cell",
    "Code",
    "Facts",
    "Gallery",
    "Page",
    "Picture",
    "Section",
    "Table",
    "Text",
    "new_figure",
    "picture",
    "render_page",
    "write_page",
]
