"""The site: it builds without a warning, every link leads somewhere, and a phone can read it."""

import fcntl
import html
import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("sphinx", reason="sphinx, of the docs group, is not installed")
DOCS = Path(__file__).parents[1] / "docs"
ROOMS = sorted(page.stem for page in (DOCS / "api").glob("*.md") if page.stem != "index")


class Parts(HTMLParser):
    """Where a page leads to, what it loads, and the places that others may lead to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value is not None}
        self.places.update(given[name] for name in ("id", "name") if name in given)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and "href" in given:
            self.loaded.append(given["href"])
        elif "src" in given:
            self.loaded.append(given["src"])


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built once for all workers."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "site"
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            command = [sys.executable, "-m", "sphinx", "--builder", "html", "--fail-on-warning"]
            command += ["--keep-going", "--quiet", str(DOCS), str(folder)]
            built = subprocess.run(command, capture_output=True, text=True, check=False)
            assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[Path, Parts]:
    return {path: Parts(path) for path in sorted(site.rglob("*.html"))}


def test_every_page_of_the_folder_is_there(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        assert (site / page.relative_to(DOCS)).with_suffix(".html").is_file(), page


def test_every_link_leads_somewhere(pages: dict[Path, Parts]) -> None:
    dead = []
    for page, parts in pages.items():
        for link in parts.links + parts.loaded:
            url = urlsplit(link)
            if url.scheme:
                continue
            target = (page.parent / unquote(url.path)).resolve() if url.path else page
            place = unquote(url.fragment)
            known = pages[target].places if target in pages else {""}
            if not target.is_file() or (place and target in pages and place not in known):
                dead.append(f"{page.name}: {link}")
    assert not dead


def test_nothing_comes_from_elsewhere(pages: dict[Path, Parts]) -> None:
    for page, parts in pages.items():
        assert not [url for url in parts.loaded if urlsplit(url).scheme not in ("", "data")], page


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_described(room: str, pages: dict[Path, Parts], site: Path) -> None:
    module = importlib.import_module(f"allmlp.{room}")
    places = pages[site / "api" / f"{room}.html"].places
    for name in getattr(module, "__all__", ()):
        if inspect.isclass(thing := getattr(module, name)) or inspect.isfunction(thing):
            assert f"allmlp.{room}.{name}" in places


def test_signatures_show_shapes_and_configs_their_fields(site: Path) -> None:
    def text(page: str) -> str:
        tags = r"<[^>]+>"
        return html.unescape(re.sub(tags, "", (site / "api" / page).read_text(encoding="utf-8")))

    assert "forward(x: Float[Tensor, '*b i']) → Float[Tensor, '*b o']" in text("layers.html")
    assert "Define the computation performed at every call" not in text("layers.html")
    assert "D_S, independent of the number of tokens" in text("models.html")


SHOWN = ["index", "which_model", "gallery", "mistakes", "models/mixer", "api/layers", "api/theory"]


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_on_a_screen(
    name: str, width: int, scheme: str, site: Path, look: Callable[..., Any]
) -> None:
    seen = look(site / f"{name}.html", width, scheme)
    assert seen.messages == []
    assert all(url.startswith("file:") for url in seen.requests)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    dark = (
        seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        != "rgb(255, 255, 255)"
    )
    assert dark == (scheme == "dark")


def test_search_works_from_a_file(site: Path, look: Callable[..., Any]) -> None:
    page = look(site / "search.html").page
    page.goto((site / "search.html").as_uri() + "?q=eigenfeatures")
    page.wait_for_selector("#search-results li a")
    assert "bilinear" in page.inner_text("#search-results").lower()
