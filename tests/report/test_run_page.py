"""Pages of runs, looked at in a browser where there is one."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from allmlp.cli import main
from allmlp.errors import AllmlpError
from allmlp.report import (
    Facts,
    compare_runs,
    comparison_page,
    render_page,
    write_report,
    write_sweep,
)
from allmlp.report.record import read_run
from allmlp.report.run_page import run_page
from allmlp.runs.scores import score_probabilities
from allmlp.runs.train import train

SMALL: dict[str, Any] = {
    "model": {"overrides": {"depth": 1, "width": 8, "channel_hidden": 16, "token_hidden": 8}},
    "train": {"epochs": 2, "batch_size": 256, "warmup": 0.5, "log_every": 2, "gradflow": 3},
    "run": {"precision": "fp32", "device": "cpu"},
}
NASTY = (
    "<script>document.title='x'</script>",
    "\"'><img src=x onerror=document.title='x'>",
    "😀 日本語 \u202eabc",
    "x" * 200,
    "$\\frac{",
    "{{ 7*7 }}",
)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs; tests that write use a copy."""
    folder = tmp_path_factory.mktemp("sweep")
    for seed in (0, 1):
        train(SMALL, run=str(folder / f"seed {seed}"), seed=seed, lr=0.01 + seed, progress=False)
    return folder


@pytest.fixture
def copied(sweep: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sweep, tmp_path / "sweep"))


def rename_classes(run: Path, names: tuple[str, ...], count: int = 400) -> None:
    """Make it a run on other classes, with random predictions."""
    record = json.loads((run / "model.json").read_text())
    record["classes"] = list(names)
    (run / "model.json").write_text(json.dumps(record))
    rng = np.random.default_rng(0)
    k = len(names)
    p = rng.dirichlet(np.full(k, 0.1), count).astype(np.float32)
    labels = np.where(rng.random(count) < 0.6, p.argmax(1), rng.integers(0, k, count))
    scores = json.loads((run / "eval" / "scores.json").read_text())
    scores |= score_probabilities(p, labels, names).to_json()
    (run / "eval" / "scores.json").write_text(json.dumps(scores))
    np.savez(
        run / "eval" / "predictions.npz",
        probabilities=p,
        labels=labels,
        positions=np.arange(count),
        classes=np.array(names),
    )
    mistakes = json.loads((run / "eval" / "mistakes.json").read_text())
    for i, m in enumerate(mistakes):
        m["truth"], m["predicted"] = names[i % k], names[(i + 1) % k]
    (run / "eval" / "mistakes.json").write_text(json.dumps(mistakes))


@pytest.fixture(scope="module")
def written(sweep: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run, in it."""
    run = tmp_path_factory.mktemp("written") / "run"
    path = write_report(shutil.copytree(sweep / "seed 0", run))
    assert path == run / "report.html"
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_run_in_a_browser(
    written: Path, look: Callable[..., Any], width: int, scheme: str
) -> None:
    assert written.stat().st_size <= 2 * 2**20
    seen = look(written, width, scheme)
    run = read_run(written.parent)
    # three curves, reliability, gradient flow twice, mistakes and training images
    assert len(seen.sound(width)) == 6 + len(run.mistakes) + 16
    titles = seen.page.locator("h2").all_inner_texts()
    assert titles == [
        "Curves",
        "Scores",
        "Confusion",
        "Classes",
        "Calibration",
        "Mistakes",
        "Gradient flow",
        "Training images",
        "Size and speed",
        "How it was made",
        "Configuration",
    ]
    rows = seen.page.locator("table.matrix tbody tr")
    with (written.parent / "eval" / "confusion.csv").open(newline="") as file:
        counts = [row[1:] for row in csv.reader(file)][1:]
    shown = [[cell or "0" for cell in row.locator("td").all_inner_texts()] for row in rows.all()]
    assert shown == counts


def test_the_page_says_what_the_scores_say(sweep: Path) -> None:
    run = read_run(sweep / "seed 0")
    assert run.scores is not None
    page = run_page(run)
    facts = dict(page.facts.entries)
    assert facts["accuracy"] == f"{run.scores['accuracy']:.1%}".replace("%", "\N{NO-BREAK SPACE}%")
    assert run.sessions[0].seconds is not None
    html = render_page(page).replace(",", "")
    told = [f"{run.scores['loss']:.4f}", run.sessions[0].command.split()[0], "depth: 1"]
    # counted, for pytest would compare a whole page letter by letter
    assert [min(1, html.count(text)) for text in (*told, str(run.costs[0]))] == [1, 1, 1, 1]


def test_the_page_says_how_it_learned(copied: Path) -> None:
    told = (copied / "seed 0" / "config.yaml").read_text()
    for old, new in (
        ("optimizer: adamw", "optimizer: muon"),
        ("optimizer_options: {}", "optimizer_options: {momentum: 0.9}"),
        ("schedule: null", "schedule: wsd"),
        ("schedule_options: {}", "schedule_options: {decay: 0.5}"),
        ("class_weights: null", "class_weights: {'1': 2.0}"),
        ("teacher: null", "teacher: runs/<i>"),
    ):
        assert told.count(f"  {old}\n") == 1
        told = told.replace(old, new)
    (copied / "seed 0" / "config.yaml").write_text(told)
    (section,) = (
        s for s in run_page(read_run(copied / "seed 0")).sections if s.title == "How it was made"
    )
    assert isinstance(section.blocks[0], Facts)
    facts = dict(section.blocks[0].entries)
    assert facts["images"] == "1 channel, 8×8 pixels"
    assert facts["optimizer"] == "muon, learning rate 0.01, momentum 0.9"
    assert facts["schedule"] == "wsd, decay 0.5, warm-up 0.5 of 2 epochs"
    assert facts["loss"] == "cross entropy, smoothing 0.1"
    assert facts["length"] == "2 epochs in batches of 256"
    assert facts["class weights"] == "given by name"
    assert facts["teacher"] == "runs/<i>, weight 0.5"


def test_class_names_are_text(copied: Path, look: Callable[..., Any]) -> None:
    rename_classes(copied / "seed 0", NASTY)
    path = write_report(copied / "seed 0")
    for width in (390, 1280):
        seen = look(path, width)
        seen.sound(width)
        assert seen.page.title() == "mixer_digits on digits"
        names = seen.page.locator("#s4 tbody th").all_inner_texts()
        assert [n.strip() for n in names] == [n.strip() for n in NASTY]


def test_a_thousand_classes(copied: Path, look: Callable[..., Any]) -> None:
    names = tuple(f"class <{i}>" for i in range(1000))
    rename_classes(copied / "seed 0", names, count=3000)
    path = write_report(copied / "seed 0")
    assert path.stat().st_size <= 2 * 2**20
    seen = look(path, 390)
    pictures = seen.sound(390)
    assert any(p["name"].startswith("Confusion matrix of 1000 classes") for p in pictures)
    assert seen.page.locator("#s4 tbody tr").count() == 1000
    seen.page.get_by_role("button", name="F1").click()
    assert seen.page.locator("#s4 tbody tr").count() == 1000


def test_an_unfinished_run_has_a_page(copied: Path) -> None:
    run = copied / "seed 0"
    shutil.rmtree(run / "eval")
    (run / "sessions.json").unlink()
    page = run_page(read_run(run))
    assert page.lead == "Not scored yet: 2 of 2 epochs are done."
    assert [s.title for s in page.sections][:2] == ["Curves", "Gradient flow"]
    (run / "metrics.jsonl").write_text("")
    assert run_page(read_run(run)).lead == "Not scored yet: 0 of 2 epochs are done."


def test_tables_are_not_compared(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("table: {source: t.csv, target: y}\n")
    with pytest.raises(AllmlpError, match=r"only runs on images are compared, .* on a table"):
        compare_runs([tmp_path / "a", tmp_path / "b"])


@pytest.mark.parametrize(
    "file", ["metrics.jsonl", "gradflow.jsonl", "eval/predictions.npz", "eval/mistakes.json",
             "eval/augmented.json", "eval/scores.json", "sessions.json"]
)  # fmt: skip
def test_damage_is_named(copied: Path, file: str) -> None:
    (copied / "seed 0" / file).write_text("{nonsense\n")
    with pytest.raises(AllmlpError, match=rf"{re.escape(Path(file).name)}(, line 1)? is damaged"):
        write_report(copied / "seed 0")


def test_a_removed_picture_is_left_out(copied: Path, written: Path) -> None:
    run = copied / "seed 0"
    before = written.read_text().count("<img")
    (run / "eval" / "mistakes" / "00.png").unlink()
    assert write_report(run).read_text().count("<img") == before - 1


def test_photographs_keep_the_page_small(copied: Path) -> None:
    run = copied / "seed 0"
    noise = np.random.default_rng(0)
    for m in json.loads((run / "eval" / "mistakes.json").read_text()):
        pixels = noise.integers(0, 256, (128, 128, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(run / "eval" / m["file"])
    assert write_report(run).stat().st_size <= 2 * 2**20


def test_runs_are_compared_in_pairs(sweep: Path) -> None:
    found = compare_runs([sweep / "seed 0", sweep / "seed 1"])
    assert set(found.differences) == {"run.seed", "train.lr"}
    (test,) = found.tests.values()
    accuracies = [run.scores["accuracy"] for run in found.runs if run.scores]
    gap = (test.only_first - test.only_second) / test.count
    assert gap == pytest.approx(accuracies[0] - accuracies[1])
    assert test.count == 360
    best = [max(run.series("val/accuracy")[1]) for run in found.runs]
    assert best == sorted(best, reverse=True)
    with pytest.raises(AllmlpError, match="at least two runs, each once"):
        compare_runs([sweep / "seed 0", sweep / "seed 0"])


def test_runs_on_other_images_are_not_tested(copied: Path) -> None:
    rename_classes(copied / "seed 0", tuple("0123456789"), count=360)
    found = compare_runs([copied / "seed 0", copied / "seed 1"])
    assert found.tests == {}
    assert found.unpaired == "1 and 2 are not tested: their test images differ."
    assert render_page(comparison_page(found, "Two", copied)).count("test images differ") == 1


def test_a_sweep_in_a_browser(copied: Path, look: Callable[..., Any]) -> None:
    shutil.copytree(copied / "seed 0", copied / "deeper" / 'un"finished <b>')
    shutil.rmtree(copied / "deeper" / 'un"finished <b>' / "eval")
    for seed in (0, 1):
        write_report(copied / f"seed {seed}")
    path = write_sweep(copied)
    for width, scheme in ((390, "dark"), (1280, "light")):
        seen = look(path, width, scheme)
        pictures = seen.sound(width)
        assert sum(p["name"].startswith("Validation accuracy") for p in pictures) == 3
        assert seen.page.locator("#s1 tbody tr").count() == 3
        seen.page.get_by_role("link", name="seed 1").click()
        seen.page.wait_for_function("document.title === 'mixer_digits on digits'")


def test_a_damaged_run_spoils_no_page(copied: Path) -> None:
    shutil.copytree(copied / "seed 0", copied / "seed 2")
    (copied / "seed 2" / "model.json").write_text("{")
    page = write_sweep(copied).read_text()
    assert "2 runs, the best on validation first" in page
    assert "seed 2 is left out" in page
    table = copied / "table"
    table.mkdir()
    (table / "config.yaml").write_text("table:\n  source: t.csv\n")
    page = write_sweep(copied).read_text()
    assert "table is left out: only runs on images are compared" in page
    (copied / "seed 1" / "model.json").write_text("{")
    with pytest.raises(AllmlpError, match="needs at least two runs, got 1 .*seed 1 is left out"):
        write_sweep(copied)


def test_commands(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["report", str(copied / "seed 0")])
    assert capsys.readouterr().out.strip() == str(copied / "seed 0" / "report.html")
    main(["report", str(copied)])
    assert capsys.readouterr().out.strip() == str(copied / "report.html")
    page = copied / "compare.html"
    main(["compare", str(copied / "seed 0"), str(copied / "seed 1"), "--to", str(page)])
    out = capsys.readouterr().out
    assert re.search(r"^train.lr: 1 [\d.]+, 2 [\d.]+$", out, flags=re.MULTILINE)
    assert re.search(r"p = [\d.e-]+ \(McNemar, Holm\): ", out)
    assert page.is_file()
    with pytest.raises(SystemExit):
        main(["report", str(copied / "seed 0" / "eval")])
    assert "no run in" in capsys.readouterr().err


def test_training_ends_with_a_report_or_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = ["--epochs", "1", "--train.warmup", "0", "--model.overrides.depth", "1"]
    main(["train", "--run", str(tmp_path / "a"), "--device", "cpu", *tiny])
    assert f"report        {tmp_path / 'a' / 'report.html'}" in capsys.readouterr().out
    assert (tmp_path / "a" / "report.html").is_file()

    def refuse(_: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("allmlp.report.write_report", refuse)
    main(["train", "--resume", str(tmp_path / "a")])
    out = capsys.readouterr().out
    assert "skipped ([Errno 28] No space left on device); write it with allmlp report" in out
