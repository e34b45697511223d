"""Fixtures for all tests. Golden files are described in tests/golden/README.md."""

import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

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
