"""A finished run that tests may read: two epochs of a very small Mixer on the digits."""

from typing import Any

import pytest

from allmlp.runs.run import Run
from allmlp.runs.train import train

SMALL: dict[str, Any] = {
    "model": {"overrides": {"depth": 1, "width": 8, "channel_hidden": 16, "token_hidden": 8}},
    "train": {"epochs": 2, "batch_size": 256, "warmup": 0.5, "log_every": 2},
    "run": {"precision": "fp32", "device": "cpu"},
}


@pytest.fixture
def small() -> dict[str, Any]:
    return {section: dict(values) for section, values in SMALL.items()}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Shared: tests that write use a copy."""
    path = tmp_path_factory.mktemp("runs") / "small"
    return train(SMALL, run=str(path), progress=False)
