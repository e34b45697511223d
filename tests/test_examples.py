"""Every example runs, shortened where it trains."""

import subprocess
import sys
from pathlib import Path

import pytest

SERVERS = {"70_serve.py"}  # tests/test_serve.py
EXAMPLES = sorted(
    path
    for path in (Path(__file__).parents[1] / "examples").glob("[0-9]*.py")
    if path.name not in SERVERS
)
SHORT = {
    "01_train_digits.py": ["--epochs", "2"],
    "02_your_own_photos.py": ["--epochs", "2"],
    "04_shards.py": ["--epochs", "2"],
    "05_report.py": ["--epochs", "2"],
    "22_kan_law.py": ["--steps", "6"],
    "23_kan_noisy_law.py": ["--epochs", "8"],
    "24_kan_features.py": ["--epochs", "3"],
    "25_kan_poisson.py": ["--steps", "1"],
    "40_bilinear_digits.py": ["--epochs", "5"],
    "41_bilinear_mixer.py": ["--epochs", "6"],
    "43_explain.py": ["--epochs", "2"],
}
# each takes longer than all of a room's tests
LONG = {
    "04_shards.py",
    "05_report.py",
    "11_regions_of_digits.py",
    "20_kan_staircase.py",
    "22_kan_law.py",
    "23_kan_noisy_law.py",
    "24_kan_features.py",
    "25_kan_poisson.py",
    "31_width_transfer.py",
    "32_gradient_flow_picture.py",
    "41_bilinear_mixer.py",
    "42_adversarial_masks.py",
    "43_explain.py",
    "60_scaling_law.py",
}


@pytest.mark.parametrize(
    "example",
    [pytest.param(e, marks=[pytest.mark.slow] if e.name in LONG else []) for e in EXAMPLES],
    ids=lambda path: path.name,
)
def test_example(example: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(example), *SHORT.get(example.name, [])]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout
