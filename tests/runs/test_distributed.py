"""Two processes train what one would train, whichever way the model is spread over them."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from allmlp.runs.run import load_run
from allmlp.training import load_checkpoint

Config = dict[str, Any]

CONFIG: Config = {
    "model": {"overrides": {"depth": 2, "width": 8, "channel_hidden": 16, "token_hidden": 8}},
    "train": {
        "epochs": 2,
        # 1,257 images: the last batch has one, and one of the processes none
        "batch_size": 314,
        "warmup": 0.5,
        "log_every": 2,
        "checkpoint_steps": 3,
        "accumulate": 2,
        "ema": 0.9,
    },
    "run": {"precision": "fp32", "device": "cpu"},
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def config(form: str, **settings: Any) -> Config:
    return {
        **CONFIG,
        "train": CONFIG["train"] | settings,
        "run": CONFIG["run"] | ({} if form == "alone" else {"parallel": form}),
    }


def together(form: str) -> dict[str, int]:
    return {} if form == "alone" else {"ranks": 2, "port": free_port()}


def logged(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines]


def assert_equal_to_rounding(run: Path, other: Path) -> None:
    for ours, theirs in zip(logged(run), logged(other), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    state, expected = (load_checkpoint(r / "last.ckpt") for r in (run, other))
    for key in ("model", "average"):
        for name, value in expected[key].items():
            # A constant added to all channels of a token is removed by every norm: the gradient of
            # this bias is rounding alone, which Adam blows up to full steps.
            if not name.endswith("token_mlp.fc2.bias"):
                torch.testing.assert_close(state[key][name], value, rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def alone(zygote: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("alone") / "run"
    assert zygote.ask(config=config("alone"), run=str(path)) == 0
    return path


@pytest.mark.parametrize("form", ["ddp", "fsdp"])
def test_two_processes_equal_one(zygote: Any, alone: Path, tmp_path: Path, form: str) -> None:
    run = tmp_path / "run"
    assert zygote.ask(config=config(form), run=str(run), **together(form)) == 0
    assert_equal_to_rounding(run, alone)
    # evaluated and kept as ever
    ours, theirs = load_run(run).scores(), load_run(alone).scores()
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
    assert ours["accuracy"] == theirs["accuracy"]
    assert {p.name for p in run.rglob("*")} == {p.name for p in alone.rglob("*")}


@pytest.mark.parametrize("form", ["ddp", "fsdp"])
def test_two_processes_judge_a_schedule_free_optimizer_as_one_does(
    zygote: Any, tmp_path: Path, form: str
) -> None:
    pytest.importorskip("schedulefree", reason="needs the extra schedulefree")
    fields = {"optimizer": "schedule_free", "ema": None}
    for name, spread in (("alone", "alone"), ("run", form)):
        given = config(spread, **fields)
        assert zygote.ask(config=given, run=str(tmp_path / name), **together(spread)) == 0
    for ours, theirs in zip(logged(tmp_path / "run"), logged(tmp_path / "alone"), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    ours, theirs = (load_run(tmp_path / name).model.state_dict() for name in ("run", "alone"))
    for name, value in theirs.items():
        if not name.endswith("token_mlp.fc2.bias"):  # see above
            torch.testing.assert_close(ours[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("alone", "fsdp"),
        ("ddp", "alone"),
        ("fsdp", "ddp"),
        pytest.param("ddp", "fsdp", marks=pytest.mark.slow),
        pytest.param("fsdp", "alone", marks=pytest.mark.slow),
    ],
)
def test_each_ones_checkpoint_loads_in_the_other(
    zygote: Any, alone: Path, tmp_path: Path, before: str, after: str
) -> None:
    run = tmp_path / "run"
    # dies after the checkpoint of the third step, in the middle of an epoch
    fault = {"file": "last.ckpt", "stage": "rename", "moment": "after", "occurrence": 1}
    status = zygote.ask(config=config(before), run=str(run), fault=fault, **together(before))
    assert status == 9
    assert load_checkpoint(run / "last.ckpt")["step"] == 3
    written = (run / "config.yaml").read_text()
    form = after if after != "alone" else "ddp"
    changed = written.replace("parallel: fsdp", "parallel: ddp").replace("ddp", form)
    (run / "config.yaml").write_text(changed)
    assert zygote.ask(resume=str(run), **together(after)) == 0
    assert_equal_to_rounding(run, alone)


def test_the_same_processes_resume_bit_for_bit(zygote: Any, tmp_path: Path) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    noisy = config("ddp", log_every=4)
    noisy["model"] = {"overrides": CONFIG["model"]["overrides"] | {"dropout_rate": 0.2}}
    assert zygote.ask(config=noisy, run=str(whole), **together("ddp")) == 0
    fault = {"file": "last.ckpt", "stage": "rename", "moment": "after", "occurrence": 1}
    assert zygote.ask(config=noisy, run=str(run), fault=fault, **together("ddp")) == 9
    assert zygote.ask(resume=str(run), **together("ddp")) == 0
    assert logged(run) == logged(whole)


@pytest.mark.slow
def test_torchrun_restarts_a_killed_rank(tmp_path: Path) -> None:
    def launch(run: str) -> subprocess.Popen[str]:
        arguments = ["train", "--run", run, "--resume", "auto", "--epochs", "3"]
        arguments += ["--precision", "fp32", "--train.warmup", "1", "--train.checkpoint_steps", "2"]
        arguments += ["--model.overrides.dropout_rate", "0.1", "--train.ema", "0.9"]
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
        torchrun += ["--max-restarts", "2", "-m", "--", "allmlp"]
        return subprocess.Popen([*torchrun, *arguments], cwd=tmp_path, text=True)

    assert launch("whole").wait(timeout=300) == 0
    process = launch("run")
    checkpoint = tmp_path / "run" / "last.ckpt"
    while not checkpoint.is_file():
        assert process.poll() is None
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ranks = [c for c in children if b"allmlp" in Path(f"/proc/{c}/cmdline").read_bytes()]
    os.kill(int(ranks[1]), signal.SIGKILL)
    assert process.wait(timeout=300) == 0
    assert logged(tmp_path / "run") == logged(tmp_path / "whole")
    shutil.rmtree(tmp_path / "run")
