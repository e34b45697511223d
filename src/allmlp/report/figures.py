"""matplotlib figures as pictures of a page: small, sharp, and in the page's own colours.

A figure is drawn once, in the light palette. In its SVG every colour of the palette becomes a
variable of the page, so that the same picture is right on paper, on a white and on a dark screen.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.figure import Figure

from allmlp.report.page import Picture
from allmlp.report.palette import LIGHT, SERIES

__all__ = ["new_figure", "picture"]

_STYLE: Any = {  # matplotlib types the keys as one long Literal
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 9.0,
    "axes.edgecolor": LIGHT["muted"],
    "axes.labelcolor": LIGHT["muted"],
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=list(SERIES)),
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "grid.color": LIGHT["line"],
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.labelcolor": LIGHT["ink"],
    "lines.linewidth": 1.5,
    "text.color": LIGHT["ink"],
    "xtick.color": LIGHT["muted"],
    "ytick.color": LIGHT["muted"],
    "xtick.major.size": 2.5,
    "ytick.major.size": 0.0,
    # text stays text: it can be searched and read aloud, in the page's own font
    "svg.fonttype": "none",
    "svg.hashsalt": "allmlp",  # the same figure gives the same bytes
}

# a page holds many SVGs, in which matplotlib gives the same names again and again
_numbers = count(1)


@contextmanager
def new_figure(width: float = 4.4, height: float = 2.7) -> Iterator[Figure]:
    """An empty figure, which belongs to no window, to be drawn in the style of the pages.

    On a phone a figure is about 350 pixels wide, which is the default; wider ones shrink, and their
    letters with them.

    Args:
        width: inches.
        height: inches.

    Example:
        >>> with new_figure() as figure:
        ...     _ = figure.subplots().plot([3, 1, 2])
        >>> picture(figure, alt="A line that falls and rises.").alt
        'A line that falls and rises.'
    """
    with mpl.rc_context(_STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def picture(figure: Figure, *, alt: str, caption: str = "") -> Picture:
    """A figure as part of a page.

    Colours of the palette follow the page, black becomes its ink, and a white background goes.
    Names that users chose (of classes, of runs) belong into tables and captions: the page escapes
    and wraps them, a figure does not.

    Args:
        figure: any matplotlib figure, best from `new_figure`.
        alt: what it shows, for those who cannot see it.
        caption: below it.

    Raises:
        AllmlpError: no alternative text.
    """
    buffer = io.StringIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    return Picture(alt, caption, svg=_embed(buffer.getvalue(), next(_numbers)))


def _embed(svg: str, number: int) -> str:
    """The inner part of an SVG document, with names and colours fit for a page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    # tags alone: what the axes say is not touched
    svg = re.sub(r"<[^>]+>", lambda tag: _adapt(tag[0]), svg)
    used = set(re.findall(r"(?:url\(|href=\")#([^\")]+)", svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", svg)
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\1s{number}-", svg)
    box = re.search(r'viewBox="([^"]+)"', svg)
    assert box is not None  # matplotlib always writes one
    inner = svg[svg.index(">") + 1 : svg.rindex("</svg>")]
    return f'viewBox="{box[1]}">{inner}'


def _adapt(tag: str) -> str:
    """One tag with the page's colours and font, and a hundredth of a point as the finest step."""
    for role, colour in LIGHT.items():
        if role != "paper":
            tag = tag.replace(f": {colour}", f": var(--{role})")
    tag = re.sub(r"(stroke|fill): #000000", r"\1: var(--ink)", tag)
    tag = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", tag)
    return re.sub(r"(?<![\w#.])(-?\d+\.\d{2})\d+", r"\1", tag)
