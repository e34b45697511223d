"""The page of a KAN: every edge can be chosen by any means, and says what is true of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from allmlp.interpret.kan import diagram
from allmlp.models.kan import KAN
from allmlp.report import Page, kan_page, render_page, write_page

NASTY = "<script>document.title = 'x'</script>\"'"


@pytest.fixture(scope="module")
def page() -> Page:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = KAN([3, [1, 1], 1], grid=3).double()
        x = 2 * torch.rand(100, 3, dtype=torch.float64) - 1
    model = model.set_symbolic({(0, 0, 0): ("sin", (2.0, 0.0, 1.0, 0.5))})
    shown = diagram(model, x, names=[NASTY, "x2", "x3"], suggest=True)
    return kan_page(shown, title="A law")


def test_the_page_says_what_edges_are(page: Page) -> None:
    html = render_page(page)
    assert NASTY not in html  # escaped wherever a column is named
    assert html.count('<div class="part" id="edge-') == html.count('<a class="part ') == 3 * 3 + 2
    assert "1.0*sin(2.0*t) + 0.5" in html
    assert html.count("suggested function") == 3 * 3 + 2 - 1  # of every spline


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_in_a_browser(
    page: Page, tmp_path: Path, look: Callable[..., Any], width: int, scheme: str
) -> None:
    path = tmp_path / "kan.html"
    write_page(path, page)
    seen = look(path, width, scheme)
    here = seen.page
    assert (seen.messages, seen.requests) == ([], [])
    assert here.title() == "A law"
    assert here.evaluate("document.documentElement.scrollWidth") <= width
    details = here.locator("div.part:visible")

    def chosen() -> str:
        assert details.count() == 1
        return details.get_attribute("id")

    def panel(key: str) -> Any:
        return here.locator(f"a.part[href='#{key}'] .panel")

    first = chosen()
    panel("edge-0-2-1").hover()
    assert chosen() == "edge-0-2-1"
    here.locator("h1").hover()
    assert chosen() == first  # a look is not a choice
    panel("edge-1-1-0").click()
    here.locator("h1").hover()
    assert chosen() == "edge-1-1-0"
    here.keyboard.press("Shift+Tab")
    assert chosen() != "edge-1-1-0"
    here.keyboard.press("Tab")
    assert chosen() == "edge-1-1-0"
    here.get_by_role("link", name="x2 to sum 1 of layer 1").last.click()  # of the table
    here.locator("#edge-0-1-0").wait_for()  # a browser tells of a followed link in its own time
    assert chosen() == "edge-0-1-0"
    curve = here.locator("a.part.symbolic .curve").evaluate("e => getComputedStyle(e).stroke")
    assert curve == ("rgb(220, 95, 13)" if scheme == "light" else "rgb(229, 123, 62)")


def test_all_parts_are_there_without_a_script_and_in_print(
    page: Page, tmp_path: Path, look: Callable[..., Any]
) -> None:
    path = tmp_path / "kan.html"
    write_page(path, page)
    here = look(path).page
    assert here.locator("div.part:visible").count() == 1
    here.emulate_media(media="print")
    assert here.locator("div.part:visible").count() == 11
    path.write_text(path.read_text().replace("data-explorer", "data-none"))
    assert look(path).page.locator("div.part:visible").count() == 11
