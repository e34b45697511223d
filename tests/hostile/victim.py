"""Gives hostile files to the command line and notes whatever should not happen.

victim.py FOLDER KIND FIRST COUNT: prints one JSON object: the misbehaviour of each case, how many
ended with which status, the longest time and the memory that was needed. Nothing here may run code
from a file, connect, or write outside the folder: an audit hook, which cannot be taken off again,
sees to that; hence a process of its own.
"""

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from mutations import (  # type: ignore[import-not-found]
    KINDS,
    intact_pictures,
    make_case,
    small_picture,
)

from allmlp.cli import main as cli
from allmlp.data import Preprocess
from allmlp.errors import AllmlpError

SECONDS = 60  # until a case counts as hanging, on a machine that does other things as well

FORBIDDEN = {
    "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "os.symlink",
    "os.link", "os.chmod", "os.chown", "pickle.find_class", "socket.connect", "socket.getaddrinfo",
    "subprocess.Popen",
}  # fmt: skip
WRITES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.utime"}


class Hang(BaseException):
    """A case took too long."""


class Guard:
    """Collects what was done that may not be done. Only while a case runs."""

    def __init__(self, folder: Path):
        self.folder = str(folder)
        self.seen: list[str] | None = None

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.seen is None:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT
            if (mode and set("wax+") & set(mode)) or (not mode and (flags or 0) & writes):
                self._check(event, path)
        elif event in WRITES:
            self._check(event, arguments[0])
        elif event in FORBIDDEN:
            self.seen.append(f"{event} {str(arguments)[:200]}")

    def _check(self, event: str, path: Any) -> None:
        if isinstance(path, int):
            return
        place = os.path.realpath(os.fsdecode(path))
        if not place.startswith(self.folder + os.sep) and place != os.devnull:
            assert self.seen is not None
            self.seen.append(f"{event} {place}")


def prepare(folder: Path) -> None:
    """What a case stands among: intact images of two classes."""
    for name in "ab":
        (folder / "photos" / name).mkdir(parents=True)
        (folder / name).symlink_to(folder / "photos" / name)  # for paths of CSV files
        for number in range(6):
            (folder / "photos" / name / f"{number}.png").write_bytes(small_picture())


def place(folder: Path, kind: str, data: bytes) -> list[str]:
    """Put a hostile file where it belongs; the command that reads it."""
    if kind == "picture":
        (folder / "photos" / "a" / "x.png").write_bytes(data)
        return ["data", "check", str(folder / "photos")]
    path = folder / f"x.{kind}"
    path.write_bytes(data)
    if kind == "yaml":  # never trains: the configuration is read before the data
        return ["train", "./no data", "--config", str(path), "--run", str(folder / "run")]
    return ["data", "check", str(path)]


def decode(data: bytes) -> list[str]:
    """Read a picture as training does, too."""
    faults = []
    boxes = (None, lambda size: (0, 0, max(1, size[0] // 2), max(1, size[1] // 2)))
    for channels in (1, 3):
        read = Preprocess(
            img_size=(5, 7), in_chans=channels, mean=(0.0,) * channels, std=(1.0,) * channels
        )
        for choose in boxes:
            with contextlib.suppress(AllmlpError):
                picture = read.decode_picture(data, choose)
                if picture.size != (7, 5) or len(picture.getbands()) != channels:
                    faults.append(f"a picture of {picture.size} and {picture.mode}")
    return faults


def run(guard: Guard, folder: Path, kind: str, data: bytes) -> tuple[int | None, list[str]]:
    """Exit status and faults of one case."""
    command = place(folder, kind, data)
    out, err = io.StringIO(), io.StringIO()
    status: int | None = 0
    faults: list[str] = []
    guard.seen = []
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli(command)
        if kind == "picture":
            faults += decode(data)
    except SystemExit as e:
        status = int(e.code or 0)
    except Hang:
        status, faults = None, ["it hangs"]
    except BaseException:
        status, faults = None, [traceback.format_exc()[-1500:]]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    faults += guard.seen
    guard.seen = None
    lines = err.getvalue().splitlines()
    if status == 1 and (len(lines) != 1 or not lines[0].startswith("allmlp: ")):
        faults.append(f"no single line: {lines}"[:1500])
    if status == 0 and lines:
        faults.append(f"noise: {lines}"[:1500])
    if sum(map(len, lines)) > 3000:
        faults.append(f"{sum(map(len, lines))} letters on stderr: {lines[0][:100]}")
    if status not in (0, 1, None):
        faults.append(f"status {status}: {lines}")
    told = (out.getvalue() + err.getvalue()).replace("\n", "")
    if not told.isprintable() and kind != "yaml":  # a configuration is printed as YAML
        faults.append(f"control characters: {[c for c in told if not c.isprintable()][:20]}")
    return status, faults


def kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    folder, first, count = Path(sys.argv[1]).resolve(), int(sys.argv[3]), int(sys.argv[4])
    kinds = list(KINDS) if sys.argv[2] == "all" else [sys.argv[2]]
    torch.set_num_threads(1)
    intact_pictures()
    prepare(folder)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "torch")  # which some imports make
    os.chdir(folder)
    guard = Guard(folder)
    sys.addaudithook(guard)

    def hang(*_: object) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, hang)
    for kind in kinds:  # imports everything
        run(guard, folder, kind, small_picture())
    # a case that takes everything ends as MemoryError and not as the end of the machine
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**31, used + 2**31))
    before, longest = kib(), (0.0, "")
    statuses: Counter[str] = Counter()
    faults = {}
    for number in range(first, first + count):
        kind = kinds[number % len(kinds)]
        data = make_case(kind, number)
        began = time.monotonic()
        status, found = run(guard, folder, kind, data)
        longest = max(longest, (time.monotonic() - began, f"{kind} {number}"))
        statuses[f"{kind} {status}"] += 1
        left = {p.name for p in folder.iterdir()} - {
            "photos",
            "a",
            "b",
            "torch",
            *(f"x.{k}" for k in KINDS),
        }
        for name in left:
            found.append(f"left {name}")
            shutil.rmtree(folder / name, ignore_errors=True)
            (folder / name).unlink(missing_ok=True)
        if found:
            faults[f"{kind} {number}"] = found
    growth = (kib() - before) / 1024
    print(
        json.dumps(
            {"faults": faults, "statuses": statuses, "longest": longest, "mib": round(growth)}
        )
    )


if __name__ == "__main__":
    warnings.simplefilter("default")
    main()
