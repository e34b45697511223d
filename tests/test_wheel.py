"""What a user installs: the wheel, out of the source archive, with core dependencies alone."""

import os
import shlex
import subprocess
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# in order: later ones use what earlier ones leave
WORKS = """
--version
models mixer_*
info mixer_b16
train digits --epochs 1 --run runs/one --train.warmup 0
train --resume runs/one
train digits --epochs 1 --run runs/two --seed 1 --train.warmup 0
predict runs/one runs/one/eval/samples/3.png
eval runs/one
report runs/one
explain runs/one --class 3
compare runs/one runs/two
probe runs/one digits --k 5
data check digits
data shard digits shards
train shards --model mixer_digits --epochs 1 --train.warmup 0 --run runs/shards
train table.csv --target y --epochs 2 --run runs/table
predict runs/table table.csv
kan fit numbers.csv --target y --epochs 5 --run runs/kan --formula
scale fit sweep.csv --loss loss --size n --samples d
theory sawtooth
theory depth
"""
NAMES = {  # the extra that a command needs
    "train digits --train.optimizer schedule_free": "allmlp[schedulefree]",
    "train digits --run.tensorboard true": "allmlp[tensorboard]",
    "train table.parquet --target y": "allmlp[tabular]",
    "train images.parquet": "allmlp[hf]",
    "train hf:org/name": "allmlp[hf]",
    "train digits --model.name mixer_b16 --model.pretrained hf:org/name": "allmlp[hub]",
    "scale run digits --out sweep --storage sqlite:///trials.db": "allmlp[sweep]",
}


def run(*command: str | Path, folder: Path) -> str:
    """Output of a command that must succeed."""
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program `allmlp` of an empty environment."""
    folder = tmp_path_factory.mktemp("wheel")
    venv.create(folder / "tools", with_pip=True)
    tools = folder / "tools" / "bin" / "python"
    run(tools, "-m", "pip", "install", "-q", "build", folder=folder)
    # a wheel by way of the source archive: what is missing there is missing here
    run(tools, "-m", "build", "--outdir", folder / "dist", ROOT, folder=folder)
    venv.create(folder / "user", with_pip=True)
    user = folder / "user" / "bin" / "python"
    (wheel,) = (folder / "dist").glob("*.whl")
    run(user, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel, folder=folder)
    return folder / "user" / "bin" / "allmlp"


@pytest.mark.slow
def test_every_command_works_or_names_the_extra(installed: Path, tmp_path: Path) -> None:
    rows = ["x,kind,y", *(f"{n / 7:.3f},{'ab'[n % 2]},{2 * n / 7 + n % 2:.3f}" for n in range(60))]
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    numbers = ["x,z,y", *(f"{n / 7:.3f},{n % 9},{2 * n / 7 + n % 9:.3f}" for n in range(60))]
    (tmp_path / "numbers.csv").write_text("\n".join(numbers) + "\n")
    laws = [f"{n},{d},{1 + 20 / n**0.5 + 30 / d**0.5}" for n in (10, 40, 160) for d in (50, 200, 9)]
    (tmp_path / "sweep.csv").write_text("\n".join(["n,d,loss", *laws]) + "\n")
    for name in ("table.parquet", "images.parquet"):
        (tmp_path / name).write_bytes(b"PAR1PAR1")
    for line in WORKS.strip().splitlines():
        run(installed, *shlex.split(line), folder=tmp_path)
    for line, extra in NAMES.items():
        done = subprocess.run(
            [str(installed), *shlex.split(line)], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 1, (line, done.stdout, done.stderr)
        assert extra in " ".join(done.stderr.split()), (line, done.stderr)
        assert "Traceback" not in done.stderr, done.stderr


@pytest.mark.slow
def test_the_archive_holds_types_and_no_tests(installed: Path) -> None:
    site = next((installed.parents[1] / "lib").glob("python*/site-packages"))
    assert (site / "allmlp" / "py.typed").is_file()
    assert (site / "allmlp" / "__init__.pyi").is_file()
    assert not (site / "tests").exists()
    held = set(os.listdir(site / "allmlp"))
    assert {"models", "ops", "cli", "report"} <= held
    # templates and tables beside the code are packed as well
    ours = {
        p.relative_to(ROOT / "src") for p in (ROOT / "src" / "allmlp").rglob("*") if p.is_file()
    }
    ours = {path for path in ours if "__pycache__" not in path.parts}
    assert ours <= {p.relative_to(site) for p in (site / "allmlp").rglob("*")}
