"""Pages of scaling sweeps, looked at in a browser where there is one."""

import importlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allmlp.cli import main
from allmlp.errors import AllmlpError
from allmlp.report import render_page, scaling_page, write_scaling
from allmlp.report.scaling_page import fit_families
from allmlp.scaling import Settings, SweepState, make_trials, read_sweep
from allmlp.scaling.ledger import append_line
from allmlp.scaling.trial import Trial

NASTY = "RuntimeError: <script>document.title='x'</script> " + "x" * 300
# a law for one family, too few runs for the other
TRIALS = [
    *make_trials(["mlp"], [8, 16, 64], [2], [100, 400, 1600], seeds=1),
    *make_trials(["kan"], [8], [2], [100, 400, 1600], seeds=1),
    *make_trials(["kan"], [16], [2], [100, 400, 1600], seeds=1),
]


def row(trial: Trial, seed: int = 0) -> dict[str, Any]:
    """A run under E + A N^-alpha + B D^-beta with known constants and 1 % noise."""
    N, D = 100 * trial.width, 20 * trial.samples
    noise = np.exp(0.01 * np.random.default_rng([seed, N, D, trial.seed]).standard_normal())
    loss = (0.1 + 30 * N**-0.5 + 20 * D**-0.4) * noise
    return {
        **asdict(trial),
        "parameters": N,
        "body_parameters": N,
        "seen": D,
        "macs": N,
        "flops": 6 * N * D,
        "loss": float(loss),
        "error": float(loss / 3),
        "epochs": 20,
        "lr": 0.01,
        "seconds": trial.samples / 100,
        "resumed": False,
    }


def make_sweep(folder: Path, measured: int) -> Path:
    """A folder as `run_sweep` leaves it, of which only so many trials are measured."""
    folder.mkdir(parents=True)
    content = {"settings": asdict(Settings()), "trials": [asdict(trial) for trial in TRIALS]}
    (folder / "sweep.json").write_text(json.dumps(content))
    for trial in TRIALS[:measured]:
        append_line(folder / "rows.jsonl", {"key": trial.key, **row(trial)})
    for trial in (TRIALS[0], TRIALS[-1], TRIALS[-1]):
        append_line(folder / "failures.jsonl", {"key": trial.key, "error": NASTY})
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sweep(tmp_path_factory.mktemp("scaling") / "half full", len(TRIALS) - 3)


@pytest.fixture(scope="module")
def page(folder: Path) -> Path:
    return write_scaling(folder, bootstrap=2)


def test_what_a_sweep_has_and_lacks(folder: Path) -> None:
    state = read_sweep(folder)
    assert len(state.rows) == len(TRIALS) - 3
    assert set(state.missing) == set(TRIALS[-3:])
    assert {key: len(errors) for key, errors in state.failures.items()} == {
        TRIALS[0].key: 1,
        TRIALS[-1].key: 2,
    }
    with pytest.raises(AllmlpError, match="holds no sweep; begin one with allmlp scale run"):
        read_sweep(folder / "none")
    assert not (folder / "none").exists()


def test_the_time_left_follows_from_the_nearest_trials() -> None:
    small, large, wide = (
        Trial("mlp", width, 2, samples, 0) for width, samples in ((8, 100), (8, 400), (16, 100))
    )
    nothing = SweepState((small, large), Settings(), (), {})
    assert nothing.seconds_left is None
    # four times as much work takes four times as long, a quarter of it no less
    rows = ({"key": small.key, **row(small)},)
    assert SweepState((small, large), Settings(), rows, {}).seconds_left == pytest.approx(4)
    rows = ({"key": large.key, **row(large)},)
    assert SweepState((small, large), Settings(), rows, {}).seconds_left == pytest.approx(4)
    # and the nearest one of the same family knows best
    others = tuple({"key": trial.key, **row(trial)} for trial in (small, large))
    assert SweepState((small, large, wide), Settings(), others, {}).seconds_left == pytest.approx(
        (2 * 1 + 1 * 4) / 2
    )
    assert SweepState((small,), Settings(), others, {}).seconds_left == 0


def test_the_page_says_what_the_laws_say(folder: Path, page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    assert page == folder / "report.html"
    assert "12 of 15 trials are measured; 3 are missing" in html
    assert "<script>document" not in html
    assert html.count(">95 % interval<") == 2  # of the loss and the error of one family
    assert "No law of the loss: chinchilla has 5 parameters" in html
    assert "dearest runs, predicted from the others" in html
    laws = fit_families(read_sweep(folder).rows, bootstrap=0)
    assert [(law.family, law.target, law.law is not None) for law in laws] == [
        (family, target, family == "mlp")
        for family in ("kan", "mlp")
        for target in ("loss", "error")
    ]
    for own in laws[2:]:
        assert own.law is not None
        assert own.law.params["beta"] == pytest.approx(0.4, abs=0.15)
        assert own.flops == pytest.approx(6)


def test_a_sweep_that_has_just_begun_has_a_page() -> None:
    trials = tuple(TRIALS)
    html = render_page(scaling_page(SweepState(trials, Settings(), (), {}), [], "new"))
    assert "0 of 15 trials are measured; 15 are missing." in html
    rows = tuple({"key": t.key, **row(t), "error": 0.0} for t in trials[:3])
    state = SweepState(trials, Settings(), rows, {})
    html = render_page(scaling_page(state, fit_families(rows, bootstrap=0), "new"))
    assert "No law of the loss: chinchilla has 5 parameters" in html
    assert "No law of the error: every loss must be positive" in html


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_in_a_browser(page: Path, look: Callable[..., Any], width: int, scheme: str) -> None:
    seen = look(page, width, scheme)
    assert seen.messages == []
    assert seen.requests == []
    assert seen.page.title() == "Scaling sweep half full"
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    pictures = seen.pictures
    assert len(pictures) == 2 + 2 * 3
    for picture in pictures:
        assert (picture["empty"], picture["hidden"]) == (False, False)
        assert 0 <= picture["left"] <= width - picture["width"]
    # the dearest run first: columns of numbers sort as numbers, not as their letters
    runs = seen.page.locator("section").filter(has_text="Every run;")
    runs.get_by_role("button", name="FLOPs").click()
    first = runs.locator("tbody tr").first.inner_text()
    dearest = max(TRIALS[:-3], key=lambda t: row(t)["flops"])
    assert f"-w{dearest.width}-" in first
    assert f"-n{dearest.samples}-" in first


def test_the_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # the function of the same name hides the module
    module = importlib.import_module("allmlp.report.scaling_page")
    monkeypatch.setattr(module, "fit_families", lambda rows, *, bootstrap: [])
    folder = make_sweep(tmp_path / "sweep", 10)
    for command in (["scale", "report", str(folder)], ["report", str(folder)]):
        (folder / "report.html").unlink(missing_ok=True)
        main(command)
        assert capsys.readouterr().out.strip() == str(folder / "report.html")
        assert "10 of 15" in (folder / "report.html").read_text(encoding="utf-8")
