"""Fixtures for all tests. Golden files are described in tests/golden/README.md."""

import io
import os
import shutil
import signal
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

# The suite takes the same examples every time, so that a failure can be repeated, and no clock: on
# a busy machine any example takes long. `--hypothesis-profile=explore` looks for new ones.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("repeatable")

Files = Mapping[str, bytes]


@pytest.fixture(scope="session")
def golden() -> Path:
    return Path(__file__).parent / "golden"


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """What sends this process a Ctrl-C: a suite in the background of a shell ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data that are not part of the repository."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    path = Path(os.environ.get("ALLMLP_SHARED", beside))
    if not path.is_dir():
        pytest.skip("the real data are absent; ALLMLP_SHARED names their folder")
    return path


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """A picture's pixels to the content of a file."""

    def encoded(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options: object) -> bytes:
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return encoded


@pytest.fixture(scope="session")
def pictures(encode: Callable[..., bytes]) -> Callable[..., dict[str, bytes]]:
    """Files of noise, `count` in each folder, all different; 10 high and 12 wide."""

    def made(*folders: str, count: int = 4, channels: int = 3) -> dict[str, bytes]:
        noise = np.random.default_rng(0)
        shape = (10, 12, 3)[: 3 if channels == 3 else 2]
        return {
            f"{folder}/{i}.png": encode(noise.integers(0, 256, shape, dtype=np.uint8))
            for folder in folders
            for i in range(count)
        }

    return made


@pytest.fixture(scope="session")
def tar() -> Callable[..., Path]:
    """Writes a tar of some files, then of others, and returns its path."""

    def written(path: Path, *contents: Files, form: int = tarfile.USTAR_FORMAT) -> Path:
        with tarfile.open(path, "w", format=form) as file:
            for name, content in (item for files in contents for item in files.items()):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
        return path

    return written


@pytest.fixture(params=["folder", "zip"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Files], str]:
    """Puts files into a folder or a zip and returns its path."""

    def folder(files: Files) -> str:
        for name, content in files.items():
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return str(tmp_path / "photos")

    def archive(files: Files) -> str:
        with zipfile.ZipFile(tmp_path / "photos.zip", "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in files.items():
                file.writestr(name, content)
        return str(tmp_path / "photos.zip")

    return folder if request.param == "folder" else archive


# A real browser that looks at pages.
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
