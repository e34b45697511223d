"""Files made to do harm: a clear error or a counted skip, whatever is in them.

Each case is given to the command line in a process that sees every file it opens for writing, every
program it starts and every class it unpickles. mutations.py makes the cases, victim.py runs them.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

KINDS = ("picture", "yaml", "csv", "npz", "zip", "tar")

# above what the intact files need: a picture of 179 million pixels, Pillow's limit, fits
MIB = 1024


@pytest.mark.parametrize(
    ("first", "count", "limit"),
    [(0, 300, 300), pytest.param(300, 10_000, 3600, marks=pytest.mark.slow)],
)
def test_hostile_files(tmp_path: Path, first: int, count: int, limit: int) -> None:
    victim = Path(__file__).with_name("victim.py")
    done = subprocess.run(
        [sys.executable, str(victim), str(tmp_path), "all", str(first), str(count)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=limit,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["faults"] == {}
    assert result["mib"] <= MIB
    assert result["longest"][0] < 60  # seconds; two or three on an idle machine
    # the cases mean something: of each kind all were run, and archives both refused and read
    counts = Counter(result["statuses"])
    for kind in KINDS:
        assert counts[f"{kind} 0"] + counts[f"{kind} 1"] == count // len(KINDS) + (
            KINDS.index(kind) in {n % len(KINDS) for n in range(first, first + count % len(KINDS))}
        )
    assert all(counts[f"{kind} {code}"] for kind in ("csv", "npz", "zip", "tar") for code in (0, 1))
    assert counts["picture 1"] == counts["yaml 0"] == 0


def test_the_guard_sees_what_it_should(tmp_path: Path) -> None:
    """Without this the test above could not fail."""
    script = tmp_path / "probe.py"
    script.write_text(
        """
import os, pickle, socket, subprocess, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from victim import Guard
folder = Path(sys.argv[2]) / "inside"
folder.mkdir()
guard = Guard(folder)
sys.addaudithook(guard)
guard.seen = []
(folder / "mine").write_text("x")
(folder / "mine").read_text()
assert guard.seen == [], guard.seen
(folder / ".." / "theirs").write_text("x")
os.rename(folder / "mine", folder / "mine2")
os.mkdir(folder.parent / "new")
subprocess.run(["true"])
pickle.loads(pickle.dumps(Guard))
print(sorted(seen.split()[0] for seen in guard.seen))
"""
    )
    done = subprocess.run(
        [sys.executable, str(script), str(Path(__file__).parent), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.strip().splitlines()[-1:] == [
        "['open', 'os.mkdir', 'pickle.find_class', 'subprocess.Popen']"
    ], done.stderr
