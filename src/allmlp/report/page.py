"""A page as data: sections of blocks. The template alone knows HTML, and escapes every text.

The result is one file: no script, style, font or picture comes from elsewhere, and the page forbids
its browser to fetch any (Content-Security-Policy).
"""

import base64
import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from allmlp.errors import AllmlpError
from allmlp.files import write_text
from allmlp.report.palette import DARK, LIGHT

__all__ = [
    "Block",
    "Cell",
    "Code",
    "Explorer",
    "Facts",
    "Gallery",
    "Page",
    "Part",
    "Picture",
    "Section",
    "Table",
    "Text",
    "Value",
    "format_share",
    "format_value",
    "render_page",
    "write_page",
]

Value = str | int | float | None


def format_value(value: Value) -> str:
    """Text for people: whole numbers with commas, others to four digits, a dash for None.

    Example:
        >>> format_value(59880472), format_value(0.123456), format_value(None)
        ('59,880,472', '0.1235', '–')
        >>> format_value(56134.443), format_value(1e20)
        ('56,134', '1e+20')
    """
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:,.4g}"


def format_share(value: int | float | None) -> str:
    """A fraction as a percentage with one decimal, which does not break before its sign.

    Example:
        >>> format_share(0.98765).split()
        ['98.8', '%']
    """
    return "–" if value is None else f"{100 * value:.1f}\N{NO-BREAK SPACE}%"


@dataclass(frozen=True)
class Picture:
    """A picture that needs no other file.

    Args:
        alt: what it shows, for those who cannot see it.
        caption: below it.
        svg: the markup of an SVG, from `picture`; or None, and
        source: a `data:` address.
        width: pixels at which a raster picture is shown; None for its own.

    Raises:
        AllmlpError: no alternative text, or an address that leads elsewhere.
    """

    alt: str
    caption: str = ""
    svg: str | None = None
    source: str | None = None
    width: int | None = None

    def __post_init__(self) -> None:
        if not self.alt.strip():
            raise AllmlpError("a picture needs an alt text; say what it shows")
        if (self.svg is None) == (self.source is None):
            raise AllmlpError("a picture is either svg or source")
        if self.source is not None and not self.source.startswith("data:image/"):
            raise AllmlpError(
                f"a page needs its pictures inside, got the address {self.source[:60]!r}; use "
                "Picture.from_bytes"
            )

    @classmethod
    def from_bytes(
        cls, content: bytes, kind: str, *, alt: str, caption: str = "", width: int | None = None
    ) -> "Picture":
        """From the content of an image file.

        Args:
            content: of the file.
            kind: `png`, `jpeg`, `webp` or `gif`.
            alt: as in the class.
            caption: as in the class.
            width: as in the class.
        """
        text = base64.b64encode(content).decode()
        return cls(alt, caption, source=f"data:image/{kind};base64,{text}", width=width)


@dataclass(frozen=True)
class Cell:
    """An entry of a table that is more than a value.

    Args:
        value: what it says.
        order: what its column is sorted by; None takes the value.
        shade: depth of its colour, 0 to 1, as in a heat map.
        href: where it leads: a place in this page or a file beside it.
        picture: instead of the value.
        hint: shown on hover.
    """

    value: Value = None
    order: int | float | None = None
    shade: float | None = None
    href: str | None = None
    picture: Picture | None = None
    hint: str = ""

    @classmethod
    def share(cls, value: float | None) -> "Cell":
        """A fraction as a percentage, sorted as a number."""
        return cls() if value is None else cls(format_share(value), order=float(value))

    @property
    def text(self) -> str:
        """The value for people."""
        return format_value(self.value)

    @property
    def key(self) -> Value:
        """What a column is sorted by."""
        return self.value if self.order is None else self.order

    @property
    def numeric(self) -> bool:
        """Whether it is set to the right, as numbers are."""
        return not isinstance(self.value, str) or self.order is not None


@dataclass(frozen=True)
class Text:
    """Paragraphs, separated by empty lines."""

    text: str

    @property
    def paragraphs(self) -> list[str]:
        """Without the empty lines between them."""
        return [p for p in self.text.split("\n\n") if p.strip()]


@dataclass(frozen=True)
class Facts:
    """Names with their values."""

    entries: tuple[tuple[str, Value], ...]

    @property
    def rows(self) -> list[tuple[str, str]]:
        """The values for people."""
        return [(name, format_value(value)) for name, value in self.entries]


@dataclass(frozen=True)
class Code:
    """Text as typed: a command, a configuration, a formula."""

    text: str
    caption: str = ""


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side, as many as there is room for; `small` ones are thumbnails."""

    pictures: tuple[Picture, ...]
    small: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of values under a head; the first column names its row.

    Args:
        head: names of the columns.
        rows: each as long as the head.
        caption: what the table shows.
        sortable: by a click, or Enter, on a column's name.
        matrix: square cells and a corner, for heat maps.

    Raises:
        AllmlpError: a row of another length.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[Value | Cell, ...], ...]
    caption: str
    sortable: bool = False
    matrix: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.head):
                raise AllmlpError(
                    f"a table with {len(self.head)} columns ({', '.join(self.head[:8])}) needs "
                    f"rows as long, got {len(row)} cells"
                )

    @cached_property
    def cells(self) -> list[list[Cell]]:
        """Every entry as a `Cell`."""
        return [[v if isinstance(v, Cell) else Cell(v) for v in row] for row in self.rows]

    @cached_property
    def right(self) -> list[bool]:
        """Which columns hold numbers."""
        return [all(c.numeric for c in column) for column in zip(*self.cells, strict=True)] or [
            False for _ in self.head
        ]


@dataclass(frozen=True)
class Part:
    """A part of a drawing that can be chosen, and what there is to say of it.

    Args:
        key: its id in the page, that the drawing links to.
        title: its name.
        picture: of it alone.
        facts: about it.
    """

    key: str
    title: str
    picture: Picture
    facts: Facts


@dataclass(frozen=True)
class Explorer:
    """A drawing with parts: one is shown beside it, chosen by hovering, a click or the keyboard.

    Without a script, and in print, all parts are shown below each other.

    Args:
        drawing: an SVG in which `<a class="part" href="#KEY">` holds what stands for a part.
        parts: in order.
    """

    drawing: Picture
    parts: tuple[Part, ...]


Block = Text | Facts | Code | Picture | Gallery | Table | Explorer


@dataclass(frozen=True)
class Section:
    """One subject.

    Args:
        title: short; the page lists all titles at its top.
        blocks: in order.
        folded: shown on demand (and in print).
    """

    title: str
    blocks: tuple[Block, ...]
    folded: bool = False


@dataclass(frozen=True)
class Page:
    """A whole page.

    Args:
        title: its name.
        sections: in order.
        lead: one or two sentences below the title: the result.
        facts: the few numbers that matter, shown large.
    """

    title: str
    sections: tuple[Section, ...]
    lead: str = ""
    facts: Facts = Facts(())


def render_page(page: Page) -> str:
    """The HTML of a page, complete in itself.

    Example:
        >>> page = Page("Digits & <b>", (Section("Data", (Text("360 images"),)),))
        >>> "<h1>Digits &amp; &lt;b&gt;</h1>" in render_page(page)
        True
    """
    script = _read("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _template().render(
        page=page, style=_style(), script=script, script_digest=f"sha256-{digest}"
    )


def write_page(path: Path, page: Page) -> None:
    """Replace `path` by a page, durably.

    Raises:
        OSError: the folder is missing, read-only or full.
    """
    write_text(path, render_page(page))


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("allmlp.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


@cache
def _style() -> str:
    light, dark = (
        "; ".join(f"--{role}: {colour}" for role, colour in colours.items())
        for colours in (LIGHT, DARK)
    )
    return (
        f":root {{ {light} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
        f"{_read('page.css')}"
    )


def _read(name: str) -> str:
    return (files("allmlp.report") / name).read_text(encoding="utf-8")
