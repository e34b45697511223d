"""The commands of docs/past_one_machine.md, on two local processes."""

import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "past_one_machine.md"
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
PROGRAMS = {"torchrun": "torch.distributed.run", "allmlp": "allmlp"}


def start(line: str, folder: Path, port: int) -> subprocess.Popen[bytes]:
    program, *rest = shlex.split(line.replace("localhost:29511", f"localhost:{port}"))
    return subprocess.Popen([sys.executable, "-m", PROGRAMS[program], *rest], cwd=folder)


@pytest.mark.slow
def test_the_commands_run(tmp_path: Path) -> None:
    assert len(BLOCKS) == 5
    for block in BLOCKS:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        # two equal workers and two agents at once, other commands one after another
        lines = block.splitlines()
        at_once = len(lines) == 2 and lines[0].split()[:2] == lines[1].split()[:2]
        waiting = []
        for line in lines:
            waiting.append(start(line, tmp_path, port))
            if not at_once:
                assert waiting[-1].wait(timeout=300) == 0, line
        assert [process.wait(timeout=300) for process in waiting] == [0] * len(lines), block
    for run in ("two", "shards", "machines"):
        assert (tmp_path / "runs" / run / "eval" / "scores.json").is_file()
    assert len((tmp_path / "runs" / "sweep" / "table.csv").read_text().splitlines()) == 2
