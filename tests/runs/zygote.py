"""A process that has imported everything and forks a child for each command on its stdin.

It answers with the child's number and then with its exit status. A child trains as the command
says, and dies by `os._exit` where the command wants it to: no handler runs then, as with SIGKILL.
Several children train together. Started by the fixture `zygote`.
"""

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # by the first optimizer, in each child again if it is not here

from allmlp.cli import main as cli
from allmlp.runs.train import train

KILLED = 9


class Fault:
    """Kills this process at one occurrence of one moment of one stage of a write."""

    def __init__(self, file: str, stage: str, moment: str, occurrence: int):
        self.file, self.stage, self.moment = file, stage, moment
        self.left = occurrence

    def __call__(self, path: Path, stage: str, moment: str) -> None:
        # a temporary file is .NAME.PID.tmp
        name = path.name
        if name.endswith(".tmp"):
            name = name.removeprefix(".").rsplit(".", 2)[0]
        if (name, stage, moment) == (self.file, self.stage, self.moment):
            self.left -= 1
            if self.left == 0:
                os._exit(KILLED)


class Torn(io.FileIO):
    """A file that may die half-way through a write."""

    def __init__(self, path: Path, mode: str, fault: Callable[[Path, str, str], None], stage: str):
        super().__init__(path, mode)
        self.path, self.fault, self.stage = path, fault, stage

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self.fault(self.path, self.stage, "before")
        super().write(view[: len(view) // 2])
        self.fault(self.path, self.stage, "during")
        super().write(view[len(view) // 2 :])
        self.fault(self.path, self.stage, "after")
        return len(view)


def arm(fault: Fault) -> None:
    """Put the fault into everything that writes durably."""
    open_path, replace, fsync, link = Path.open, Path.replace, os.fsync, os.link

    def opened(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        stage = {"wb": "temp", "a": "append"}.get(mode)
        if stage is None:
            return open_path(self, mode, *args, **kwargs)
        torn = Torn(self, mode.replace("b", ""), fault, stage)
        binary = io.BufferedWriter(torn)
        return binary if mode == "wb" else io.TextIOWrapper(binary, encoding="utf-8")

    def replaced(self: Path, target: Path) -> Path:
        fault(Path(target), "rename", "before")
        done = replace(self, target)
        fault(Path(target), "rename", "after")
        return done

    def synced(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        fault(path, "fsync", "before")
        fsync(descriptor)
        fault(path, "fsync", "after")

    def linked(source: Path, target: Path) -> None:
        fault(Path(target), "link", "before")
        link(source, target)
        fault(Path(target), "link", "after")

    patches: list[tuple[Any, str, Any]] = [(Path, "open", opened), (Path, "replace", replaced)]
    patches += [(os, "fsync", synced), (os, "link", linked)]
    for owner, name, function in patches:
        setattr(owner, name, function)


def obey(command: dict[str, Any], rank: int) -> None:
    if "port" in command:
        os.environ |= {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(command["ranks"]),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(command["port"]),
        }
    if command["fault"] and rank == 0:
        arm(Fault(**command["fault"]))
    if "arguments" in command:
        cli(command["arguments"])
    elif "resume" in command:
        train(resume=command["resume"], progress=False)
    else:
        train(command["config"], run=command["run"], progress=False)


def fork(command: dict[str, Any], rank: int) -> int:
    """Number of a child that obeys, and exits with 1 after any error."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        obey(command, rank)
        code = 0
    except SystemExit as e:  # of the command line
        code = int(e.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    # no operation of torch may run in this process: forked threads do not survive
    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a child prints is no answer
    for line in sys.stdin:
        command = json.loads(line)
        children = [fork(command, rank) for rank in range(command.get("ranks", 1))]
        print(children[0], file=answers, flush=True)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(codes[0], file=answers, flush=True)


if __name__ == "__main__":
    main()
