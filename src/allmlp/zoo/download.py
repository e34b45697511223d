"""Fetch weight files, once: into a cache, with their checksum. The only file here that connects."""

import hashlib
import http.client
import importlib
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from allmlp.data.online import require_online
from allmlp.errors import AllmlpError, first_line
from allmlp.files import replace_file, write_text

__all__ = ["cache_folder", "fetch_hub", "fetch_url"]

TIMEOUT = 10.0  # seconds without a byte
CHUNK = 1 << 20
# what a model repository may call its weights, preferred first
HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def cache_folder() -> Path:
    """`$ALLMLP_CACHE`, else `~/.cache/allmlp`."""
    return Path(os.environ.get("ALLMLP_CACHE") or Path.home() / ".cache" / "allmlp")


def fetch_url(url: str, sha256: str = "") -> Path:
    """The file behind `url`, from the cache if it is there.

    Its checksum is kept beside it and compared at every use, and with `sha256` where given.

    Args:
        url: http or https.
        sha256: leading hex digits of the checksum that the publisher states.

    Raises:
        AllmlpError: no connection, offline by `ALLMLP_OFFLINE=1`, no such file, or a checksum that
            differs.
    """
    path = cache_folder() / hashlib.sha256(url.encode()).hexdigest()[:16] / url.rpartition("/")[2]
    kept = path.with_name(path.name + ".sha256")
    if not (path.is_file() and kept.is_file()):
        require_online(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        found = _download(url, path, sha256)
        write_text(kept, found + "\n")
        return path
    found = _hash(path)
    if found != kept.read_text().strip() or not found.startswith(sha256):
        raise AllmlpError(
            f"{path} is not, or is no longer, what its publisher states; delete it and try again"
        )
    return path


def fetch_hub(repository: str) -> tuple[Path, dict[str, Any]]:
    """Weights and `config.json` of a model on the Hugging Face hub, through its own cache.

    Raises:
        AllmlpError: huggingface_hub is not installed, no connection, or no such model or file.
    """
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError:
        raise AllmlpError(
            "hf: needs the package huggingface_hub; install it by pip install 'allmlp[hub]'"
        ) from None
    require_online(f"hf:{repository}")
    reasons: list[Exception] = []
    for name in HUB_FILES:
        try:
            path = Path(hub.hf_hub_download(repository, name))
        except (OSError, ValueError) as e:  # what the hub raises derives from these
            reasons.append(e)
            continue
        return path, _hub_config(hub, repository)
    raise AllmlpError(
        f"cannot get hf:{repository} ({first_line(reasons[-1])}); give a local file instead"
    )


def _hub_config(hub: Any, repository: str) -> dict[str, Any]:
    import json

    try:
        text = Path(hub.hf_hub_download(repository, "config.json")).read_text(encoding="utf-8")
        config = json.loads(text)
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _download(url: str, path: Path, sha256: str) -> str:
    digest = hashlib.sha256()
    try:
        with (
            urllib.request.urlopen(url, timeout=TIMEOUT) as response,
            replace_file(path) as file,
        ):
            while chunk := response.read(CHUNK):
                digest.update(chunk)
                file.write(chunk)
            # within the context: a wrong file never takes its place
            stated = response.headers.get("Content-Length")
            if stated is not None and file.tell() != int(stated):
                raise AllmlpError(
                    f"{url} ended after {file.tell():,} of {int(stated):,} bytes; it was not kept, "
                    "try again"
                )
            if not digest.hexdigest().startswith(sha256):
                raise AllmlpError(
                    f"{url} has checksum {digest.hexdigest()[:8]}…, its publisher states {sha256}; "
                    "it was not kept"
                )
    except urllib.error.URLError as e:
        raise AllmlpError(
            f"cannot fetch {url} ({e.reason}); check the connection, or give a local file"
        ) from e
    except TimeoutError as e:
        raise AllmlpError(f"{url} does not answer; try again, or give a local file") from e
    except (ConnectionError, http.client.HTTPException) as e:
        raise AllmlpError(
            f"{url} broke off ({first_line(e)}); try again, or give a local file"
        ) from e
    return digest.hexdigest()


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
