"""Pages: nothing is injected, nothing is fetched, everything can be seen."""

import base64
import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from allmlp.errors import AllmlpError
from allmlp.report import (
    Cell,
    Code,
    Facts,
    Gallery,
    Page,
    Picture,
    Section,
    Table,
    Text,
    new_figure,
    picture,
    render_page,
    write_page,
)

NASTY = [
    "<script>document.title = 'x'</script>",
    "\"><img src=x onerror=document.title='x'>",
    "'; } body { display: none }",
    "{{ 7 * 7 }} {% raw %}",
    "</style></title></textarea><svg onload=document.title='x'>",
    "日本語 😀 👩‍👩‍👧 \u202e rtl",
    "x" * 200,
    "$\\frac{$",
    "",
]


def drawing() -> Picture:
    with new_figure() as figure:
        axis = figure.subplots()
        for number in range(5):
            axis.plot([0, 1, 2], [number, 1, -number], label=f"run {number}")
        axis.legend()
    return picture(figure, alt="Five lines.", caption="Five lines that meet.")


def thumbnail() -> Picture:
    dot = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
        "gg=="
    )
    return Picture.from_bytes(dot, "png", alt="A dot.", width=40)


def page() -> Page:
    names = tuple(NASTY)
    table = Table(
        ("class", "recall", "images"),
        tuple((name, Cell.share(i / 10), i) for i, name in enumerate(names)),
        "Every class.",
        sortable=True,
    )
    matrix = Table(
        ("true", *names),
        tuple((name, *(Cell(i, shade=0.5) for i in range(len(names)))) for name in names),
        "Counts.",
        matrix=True,
    )
    sections = (
        Section("Pictures", (Gallery((drawing(), drawing())), Gallery((thumbnail(),), small=True))),
        Section("Tables", (table, matrix)),
        Section(names[0], (Text("\n\n".join(names)), Code(names[1], names[2]))),
        Section("Folded", (Facts(tuple((name, name) for name in names)), drawing()), folded=True),
    )
    return Page(names[4], sections, names[1], Facts(((names[0], names[1]), ("number", 0.5))))


class Tags(HTMLParser):
    """Every tag and attribute of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def test_no_text_becomes_markup() -> None:
    tags = Tags()
    tags.feed(render_page(page()))
    assert tags.tags.count("script") == 1
    assert tags.tags.count("style") == 1
    assert tags.tags.count("img") == 1
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    ids = [value for name, value in tags.attributes if name == "id"]
    assert len(ids) == len(set(ids))  # every figure brings names of its own


def test_the_script_is_the_one_that_the_page_allows() -> None:
    html = render_page(page())
    script = re.search(r"<script>(.*)</script>", html, flags=re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html


def test_a_picture_needs_words_and_lies_inside() -> None:
    with pytest.raises(AllmlpError, match="needs an alt text; say what it shows"):
        Picture("  ", source="data:image/png;base64,")
    with pytest.raises(AllmlpError, match=r"pictures inside, got the address 'https://x\.org/a"):
        Picture("A cat.", source="https://x.org/a.png")
    with pytest.raises(AllmlpError, match="either svg or source"):
        Picture("A cat.")


def test_rows_are_as_long_as_the_head() -> None:
    with pytest.raises(AllmlpError, match=r"2 columns \(a, b\) needs rows as long, got 3 cells"):
        Table(("a", "b"), (("x", 1, 2),), "Two.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser(tmp_path: Path, look: Callable[..., Any], width: int, scheme: str) -> None:
    path = tmp_path / "page.html"
    write_page(path, page())
    seen = look(path, width, scheme)
    assert seen.messages == []
    assert seen.requests == []
    assert seen.page.title() == NASTY[4]
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    pictures = seen.pictures
    assert [p["name"] for p in pictures] == ["Five lines.", "Five lines.", "A dot.", "Five lines."]
    for p in seen.pictures:  # once more: the folded section is open now
        assert (p["empty"], p["hidden"]) == (False, False)
        assert min(p["width"], p["height"]) > 30
        assert 0 <= p["left"] <= width - p["width"]
    line = seen.page.locator("svg path[style*='--c1']").first
    colour = line.evaluate("e => getComputedStyle(e).stroke")
    assert colour == ("rgb(9, 89, 147)" if scheme == "light" else "rgb(105, 192, 255)")


def test_the_page_forbids_requests(tmp_path: Path, look: Callable[..., Any]) -> None:
    path = tmp_path / "page.html"
    write_page(path, page())
    seen = look(path)
    refused = seen.page.evaluate(
        "fetch('https://example.org').then(() => 'fetched', () => 'refused')"
    )
    assert refused == "refused"
    assert "Content Security Policy" in " ".join(seen.messages)


def test_tables_sort_by_keyboard(tmp_path: Path, look: Callable[..., Any]) -> None:
    path = tmp_path / "page.html"
    rows = (("b", 9), ("a", 10), ("c", None), ("d", 1.5))
    table = Table(("name", "n"), rows, "Letters.", sortable=True)
    write_page(path, Page("Sorted", (Section("Table", (table,)),)))
    here = look(path).page

    def names() -> list[str]:
        return here.locator("tbody th").all_inner_texts()

    here.get_by_role("button", name="n", exact=True).focus()
    here.keyboard.press("Enter")
    assert names() == ["a", "b", "d", "c"]
    assert here.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    here.keyboard.press("Space")
    assert names() == ["d", "b", "a", "c"]
    here.get_by_role("button", name="name").click()
    assert names() == ["a", "b", "c", "d"]


def test_what_is_folded_is_printed(tmp_path: Path, look: Callable[..., Any]) -> None:
    path = tmp_path / "page.html"
    write_page(path, page())
    here = look(path).page
    here.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert here.locator("details").evaluate("d => d.open")
    here.emulate_media(media="print", color_scheme="dark")
    background = here.locator("body").evaluate("e => getComputedStyle(e).backgroundColor")
    assert background == "rgb(255, 255, 255)"
