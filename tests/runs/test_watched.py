"""A run that is profiled, measured or compiled learns what it would have learned without."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from allmlp.runs.run import Run
from allmlp.runs.train import train

Config = dict[str, Any]


def test_a_profile_is_a_trace_that_browsers_read(
    small: Config, finished: Run, logged: Callable[[Path], Any], tmp_path: Path
) -> None:
    small["run"] |= {"profile": True}
    run = train(small, run=str(tmp_path / "run"), progress=False)
    assert json.loads((run.path / "trace.json").read_text())["traceEvents"]
    assert logged(run.path) == logged(finished.path)


def test_gradient_flow_is_resumed_and_changes_no_loss(
    zygote: Any,
    noisy: Config,
    unbroken: Path,
    logged: Callable[[Path], Any],
    tmp_path: Path,
) -> None:
    config = copy.deepcopy(noisy)
    config["train"] |= {"gradflow": 1}
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert zygote.ask(config=config, run=str(whole)) == 0
    assert logged(whole) == logged(unbroken)
    # dies with lines in the log that the checkpoint does not know
    fault = {"file": "last.ckpt", "stage": "rename", "moment": "before", "occurrence": 2}
    assert zygote.ask(config=config, run=str(run), fault=fault) == 9
    assert zygote.ask(resume=str(run)) == 0
    assert logged(run) == logged(whole)
    lines = (run / "gradflow.jsonl").read_text()
    assert [json.loads(line)["step"] for line in lines.splitlines()] == list(range(10))
    assert lines == (whole / "gradflow.jsonl").read_text()


@pytest.mark.unhooked
def test_a_compiled_model_learns_the_same_and_is_kept_uncompiled(
    small: Config, logged: Callable[[Path], Any], tmp_path: Path
) -> None:
    plain = train(small, run=str(tmp_path / "plain"), progress=False)
    small["run"] |= {"compile": True}
    compiled = train(small, run=str(tmp_path / "compiled"), progress=False)
    for ours, theirs in zip(logged(compiled.path), logged(plain.path), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)
    assert compiled.model.state_dict().keys() == plain.model.state_dict().keys()
