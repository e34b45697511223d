"""A real browser that looks at pages."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")

# every picture: how wide it is, whether it was decoded, and whether something of it is painted
PICTURES = """() => [...document.querySelectorAll("img, svg[role=img]")].map((p) => {
  const box = p.getBoundingClientRect();
  const details = p.closest("details");
  if (details) details.open = true;
  return {
    name: p.alt || p.getAttribute("aria-label"),
    left: box.left + scrollX,
    width: box.width,
    height: box.height,
    empty: p.tagName === "IMG" ? p.naturalWidth === 0 : !p.querySelector("path, use, image, text"),
    scrolled: p.closest(".scroll") !== null,
    hidden: !p.checkVisibility({opacityProperty: true, visibilityProperty: true}),
  };
})"""


@dataclass
class Look:
    """What a browser saw of a page."""

    page: Any  # playwright's, for what a test wants to do with it
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def pictures(self) -> list[dict[str, Any]]:
        return self.page.evaluate(PICTURES)

    def sound(self, width: int) -> list[dict[str, Any]]:
        """No complaint, no request, nothing too wide, every picture there to be seen."""
        assert self.messages == []
        assert self.requests == []
        assert self.page.evaluate("document.documentElement.scrollWidth") <= width
        for p in (pictures := self.pictures):
            assert (p["empty"], p["hidden"]) == (False, False)
            assert min(p["width"], p["height"]) >= 20
            if not p["scrolled"]:  # a wide table scrolls by itself
                assert 0 <= p["left"] <= width - p["width"]
        return pictures


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    found = [path for name in BROWSERS if (path := shutil.which(name))]
    if not found:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the path")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright, of the dev group, is not installed"
    )
    with playwright.sync_playwright() as driver:
        # root cannot have Chromium's sandbox; the pages are our own
        browser = driver.chromium.launch(executable_path=found[0], args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def look(chromium: Any) -> Iterator[Callable[..., Look]]:
    """Open a file as on a screen of some width, light or dark."""
    pages = []

    def open_file(path: Path, width: int = 1280, scheme: str = "light") -> Look:
        page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        pages.append(page)
        page.set_default_timeout(30_000)  # of a busy machine
        seen = Look(page)
        page.on("console", lambda message: seen.messages.append(message.text))
        page.on("pageerror", lambda error: seen.messages.append(str(error)))
        page.on("request", lambda request: seen.requests.append(request.url))
        page.goto(path.as_uri())
        seen.requests = [
            url for url in seen.requests if url != path.as_uri() and not url.startswith("data:")
        ]
        return seen

    yield open_file
    for page in pages:
        page.close()
