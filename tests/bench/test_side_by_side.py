"""Models side by side: real ones, small ones, and some that fail."""

import csv
import importlib
import io
import json
import os
import subprocess
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from allmlp.bench import (
    Benchmark,
    BenchRow,
    Contestant,
    Memory,
    Timing,
    bench_models,
    find_models,
    find_peers,
    measure_memory,
    side_by_side,
    work,
)
from allmlp.bench.benchmark import COLUMNS
from allmlp.bench.contestants import DEFAULT_MODELS, PEERS
from allmlp.errors import AllmlpError
from allmlp.zoo import create_model, list_models, model_info

TINY = find_models(["mixer_digits", "gmlp_digits"])


@pytest.fixture(autouse=True)
def _quick_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(work._SIDE, "cpu", 1024)


def test_two_models_in_two_precisions() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    told: list[str] = []
    found = bench_models(
        TINY, batch_size=3, precisions=["fp32", "bf16"], threads=1, rounds=2, device="cpu",
        report=told.append,
    )  # fmt: skip
    assert [row.label for row in found.rows] == [
        "mixer_digits", "mixer_digits bf16", "gmlp_digits", "gmlp_digits bf16",
    ]  # fmt: skip
    for row in found.rows:
        info = model_info(row.model)
        assert (row.parameters, row.macs, row.error) == (info.parameters, info.macs, "")
        assert row.latency is not None
        assert row.forward is not None
        assert row.train is not None
        counts = [len(timing.seconds) for timing in (row.latency, row.forward, row.train)]
        assert counts == [6, 2, 2]
        assert row.forward_memory is not None
        assert row.train_memory is not None
        # weights at least; in training their gradients and AdamW's two moments as well
        assert row.forward_memory >= 4 * info.parameters
        assert row.train_memory >= 16 * info.parameters
        assert 0 < (found.peak_share(row, "forward") or 0) < 1
        assert row.images_per_second("train") == 3 / row.train.median
    assert set(found.peaks) == {"fp32", "bf16"}
    assert found.machine["threads"] == 1
    assert (torch.get_num_threads(), found.interrupted) == (threads, False)
    assert torch.equal(torch.get_rng_state(), state)
    assert told[0] == "memory of mixer_digits"
    assert told[-1] == "train: round 2 of 2, 4 rows"

    table = list(csv.DictReader(io.StringIO(found.as_csv())))
    assert tuple(table[0]) == COLUMNS
    assert [row["precision"] for row in table] == ["fp32", "bf16"] * 2
    assert float(table[0]["train_ms_median"]) > float(table[0]["train_ms_min"]) > 0
    assert table[0]["img_size"] == "8"
    stored = json.loads(json.dumps(found.as_dict()))
    assert len(stored["rows"][0]["latency"]["seconds"]) == 6


def test_memory_grows_with_the_batch() -> None:
    small, large = (measure_memory(TINY[0], size, threads=1) for size in (1, 2000))
    # of an image the first token MLP alone keeps 16 tokens x 64 hidden units twice over
    for one, many in ((small.forward, large.forward), (small.train, large.train)):
        assert one is not None
        assert many is not None
        assert many > one + 2000 * 2 * 4 * 16 * 64
    assert small.error == large.error == ""


def ended(build: Callable[[], nn.Module], **changes: Any) -> Contestant:
    return replace(TINY[0], name="broken", build=build, **changes)


def test_the_others_go_on_without_a_model_that_fails() -> None:
    broken = [
        ended(partial(create_model, "mixer_digits", img_size=7)),
        ended(partial(create_model, "mixer_digits", img_size=16), input_shape=(1, 8, 8)),
        # no batch norm can be trained on one value: forward passes are measured all the same
        ended(partial(create_model, "convmixer_256_8", patch_size=32), input_shape=(3, 32, 32)),
        ended(os.abort),
    ]
    found = bench_models([*broken[:3], TINY[1]], batch_size=1, threads=1, rounds=1, device="cpu")
    first, second, third, last = found.rows
    assert "patch" in first.error
    assert first.parameters is None
    assert "built for" in second.error
    assert second.forward is None
    assert third.error.startswith("train: ValueError: Expected more than 1 value per channel")
    assert (third.forward is None, third.train is None) == (False, True)
    assert last.error == ""
    assert last.train is not None
    # a process that the system ends takes nobody with it
    assert measure_memory(broken[3], 1).error == "its process was ended by SIGABRT"


def test_ctrl_c_keeps_what_was_measured(ctrl_c: Callable[[], None]) -> None:
    def interrupt(text: str) -> None:
        if text == "train: round 2 of 3, 1 rows":
            ctrl_c()

    found = bench_models(
        TINY[:1], batch_size=1, threads=1, rounds=3, device="cpu", report=interrupt
    )
    (row,) = found.rows
    assert found.interrupted
    assert row.forward is not None
    assert row.train is not None
    assert (len(row.forward.seconds), len(row.train.seconds)) == (3, 1)


def test_large_models_take_turns_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    table = [
        (TINY[0], BenchRow(name, "", "fp32", False, 1, (1, 8, 8), parameters=100))
        for name in "abcd"
    ]
    table[1][1].error = "gone"
    monkeypatch.setattr(side_by_side, "_memory", lambda device: 2 * 16 * 200)
    groups = side_by_side._groups(table, torch.device("cpu"))
    assert [[row.model for _, row in group] for group in groups] == [["a", "c"], ["d"]]


def test_shares_and_rates_are_those_of_the_formulas() -> None:
    row = BenchRow("m", "allmlp", "fp32", False, 4, (3, 8, 8), macs=100)
    found = Benchmark({}, None, 1, {"fp32": 4000.0}, (row,))
    assert found.peak_share(row, "forward") is None
    row.forward, row.train = Timing((0.4, 0.5, 0.6)), Timing((0.8, 2.0))
    # 2 FLOPs x 100 MACs x 4 images, in training three times, in the fastest round
    assert found.peak_share(row, "forward") == pytest.approx(800 / 0.4 / 4000)
    assert found.peak_share(row, "train") == pytest.approx(2400 / 0.8 / 4000)
    assert row.images_per_second("forward") == pytest.approx(4 / 0.5)
    assert found.peak_share(replace(row, precision="bf16"), "forward") is None


@pytest.mark.unhooked
@pytest.mark.slow  # a compiler works for half a minute
def test_compiled_rows_stand_beside_the_others() -> None:
    found = bench_models(TINY, batch_size=2, compiled=True, threads=1, rounds=1, device="cpu")
    assert [(row.compiled, row.error) for row in found.rows] == [(False, ""), (True, "")] * 2
    for row in found.rows:
        assert (row.compile_seconds is None) != row.compiled
        assert (row.train_memory is None) == row.compiled
        assert row.train is not None


def test_a_missing_compiler_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Compiled(nn.Module):
        def __init__(self, model: nn.Module, *, dynamic: bool) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("No working C++ compiler found\nmore lines")

    monkeypatch.setattr(torch, "compile", Compiled)
    monkeypatch.setattr(side_by_side, "measure_memory", lambda *a, **k: Memory(1, 1))
    found = bench_models(TINY[:1], compiled=True, batch_size=1, threads=1, rounds=1, device="cpu")
    assert [row.error for row in found.rows] == [
        "", "latency: RuntimeError: No working C++ compiler found",
    ]  # fmt: skip


def test_names_and_patterns() -> None:
    assert [c.name for c in find_models()] == list(DEFAULT_MODELS)
    assert [c.name for c in find_models(["resmlp_s12*", "resmlp_12_224"])] == list_models(
        "resmlp_s12*"
    )
    (tall,) = find_models(["cyclemlp_b1"], img_size=64)
    # an accuracy of other sizes is not this one's
    assert (tall.input_shape, tall.published) == ((3, 64, 64), None)
    with pytest.raises(AllmlpError, match="unknown model 'mixer_s31'; did you mean mixer_s32"):
        find_models(["mixer_s31"])
    with pytest.raises(AllmlpError, match="no model matches 'vit_.'; `allmlp models` lists all"):
        find_models(["vit_*"])


def test_wrong_settings() -> None:
    for settings, message in (
        ({"rounds": 0}, "integer rounds of at least 1, got 0"),
        ({"batch_size": 0}, "integer batch_size of at least 1, got 0"),
        ({"threads": 0}, "integer threads of at least 1, got 0"),
        ({"precisions": ["fp16"]}, "unknown precision 'fp16'"),
    ):
        with pytest.raises(AllmlpError, match=message):
            bench_models(TINY, device="cpu", **settings)
    with pytest.raises(AllmlpError, match="at least one model"):
        bench_models([])


def test_without_timm_there_are_no_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(AllmlpError, match="timm is missing; pip install timm"):
        find_peers()

    def broken(name: str) -> object:
        raise RuntimeError("operator torchvision::nms does not exist\n")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(AllmlpError, match=r"cannot be imported \(operator torchvision::nms does"):
        find_peers()


def test_peers_are_built_by_timm_at_the_size_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Made(nn.Module):
        def __init__(self, name: str, **options: int) -> None:
            super().__init__()
            self.given = (name, options)

    timm = types.ModuleType("timm")
    timm.create_model = Made
    monkeypatch.setitem(sys.modules, "timm", timm)
    assert [(c.library, c.input_shape) for c in find_peers()] == [("timm", (3, 224, 224))] * 5
    assert [c.published for c in find_peers()] == list(PEERS.values())
    for peer in find_peers(img_size=64):
        options = {} if peer.name.startswith("resnet") else {"img_size": 64}
        assert peer.build().given == (peer.name, options)
        assert (peer.input_shape, peer.published) == ((3, 64, 64), None)


@pytest.mark.skipif(find_spec("timm") is None, reason="timm, of the peers group, is not installed")
def test_peers_have_the_parameters_that_timm_states() -> None:
    """Of the table that their accuracies are from, in millions. A process may break torchvision."""
    stated = [5.72, 22.05, 86.57, 11.69, 25.56]
    code = """
import torch
from torchvision_stub import declare_operators
declare_operators()
from allmlp.bench import find_peers
with torch.device("meta"):
    print([round(sum(p.numel() for p in c.build().parameters()) / 1e6, 2) for c in find_peers()])
"""
    folder = Path(__file__).parents[2] / "benchmarks"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == stated
