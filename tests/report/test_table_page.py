"""Pages of runs on tables, looked at in a browser where there is one."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allmlp.errors import AllmlpError
from allmlp.estimators.table_source import TableConfig
from allmlp.estimators.table_train import train_table
from allmlp.report import Facts, Page, Table, table_page, write_report
from allmlp.report.table_record import read_table_run

FAST = {"model": "mlp", "width": 16, "depth": 1, "max_epochs": 6, "lr": 0.02, "random_state": 0}
NASTY = ("<script>document.title='x'</script>", "\"'><img src=x onerror=1>", "$\\frac{", "x" * 150)


def trained(
    folder: Path, head: list[str], rows: list[list[Any]], target: str, **asked: Any
) -> Path:
    folder.mkdir(exist_ok=True)
    with (folder / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    config = {"source": str(folder / "t.csv"), "run": str(folder / "run"), "parameters": FAST}
    return train_table(TableConfig(**config, target=target, **asked)).directory.path


def shop(count: int = 150) -> tuple[list[str], list[list[Any]]]:
    """A text, a number that is missing now and then, one that is always the same, two targets."""
    generator = np.random.default_rng(0)
    rows: list[list[Any]] = []
    for i in range(count):
        colour = str(generator.choice(["red", "green", "blue"]))
        size = float(generator.normal())
        price = 1e5 * size + 2e4 * (colour == "red")
        kind = NASTY[(colour == "red") + (size > 0)]
        rows.append([colour, "" if i % 9 == 0 else size, 7, i % 10, price, kind])
    return ["colour", NASTY[1], "same", "month", "price", "kind"], rows


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("values"), *shop(), "price", time="month")


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("classes"), *shop(), "kind")


@pytest.fixture
def copied(values: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(values, tmp_path / "run"))


def facts(page: Page, title: str) -> dict[str, Any]:
    (section,) = (s for s in page.sections if s.title == title)
    (found,) = (block for block in section.blocks if isinstance(block, Facts))
    return dict(found.entries)


def table(page: Page, title: str) -> Table:
    (section,) = (s for s in page.sections if s.title == title)
    return [block for block in section.blocks if isinstance(block, Table)][-1]


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_values_in_a_browser(
    values: Path, look: Callable[..., Any], width: int, scheme: str
) -> None:
    path = write_report(values)
    assert path == values / "report.html"
    assert path.stat().st_size <= 2**20
    seen = look(path, width, scheme)
    names = [p["name"] for p in seen.sound(width)]
    # two curves, two clouds, the dependence on the one number that is kept
    assert [name.split(" ")[0] for name in names] == [
        "Loss",
        "mae",
        "Predictions",
        "Residuals",
        "Mean",
    ]
    assert seen.page.locator("h2").all_inner_texts() == [
        "Training",
        "Scores",
        "Residuals",
        "Importance",
        "Partial dependence",
        "Columns",
        "How it was made",
        "Configuration",
    ]
    assert seen.page.title() == "price by mlp"


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_classes_in_a_browser(
    classes: Path, look: Callable[..., Any], width: int, scheme: str
) -> None:
    seen = look(write_report(classes), width, scheme)
    names = [p["name"].partition(" ")[0] for p in seen.sound(width)]
    assert names == ["Loss", "accuracy", "Reliability", *["Mean"] * 3]
    assert seen.page.title() == "kind by mlp"
    titles = seen.page.locator("h2").all_inner_texts()
    assert titles[1:5] == ["Scores", "Confusion", "Classes", "Calibration"]
    # three classes of the four names: nothing of them became markup
    named = seen.page.locator("section:has(h2:text-is('Classes')) tbody th").all_inner_texts()
    assert sorted(named) == sorted(NASTY[:3])
    bars = seen.page.locator("section:has(h2:text-is('Importance')) td[style]")
    assert bars.first.evaluate("e => getComputedStyle(e).backgroundImage").startswith("linear")


def test_the_page_says_what_the_scores_say(values: Path, classes: Path) -> None:
    run = read_table_run(values)
    assert run.scored is not None
    page, scores = table_page(run), run.scored.scores
    told = facts(page, "Scores")
    assert told["RMSE"] == scores["rmse"]
    assert told["RMSE of the mean alone"] == scores["baseline"]["rmse"]
    assert f"{scores['rmse']:,.0f} (RMSE)" in page.lead
    worst = table(page, "Residuals")
    with (values / "eval" / "predictions.csv").open(newline="") as file:
        missed = [float(row["true"]) - float(row["predicted"]) for row in csv.DictReader(file)]
    assert abs(float(str(worst.rows[0][3]))) == pytest.approx(max(map(abs, missed)))
    made = facts(page, "How it was made")
    assert made["rows split"] == "by month: the newest rows are tested"
    assert made["epoch that was kept"] == run.scored.summary["best_epoch"]
    described = {str(row[0].value): row for row in table(page, "Columns").cells}
    assert described["same"][1].value == "number, left out"
    assert described["colour"][6].value == 3
    assert described[NASTY[1]][2].value != described["colour"][2].value
    ranked = {str(row[0].value): row[1] for row in table(page, "Importance").cells}
    assert ranked["same"].text == "left out"
    assert max(cell.shade or 0 for cell in ranked.values()) == 1

    run = read_table_run(classes)
    assert run.scored is not None
    told = facts(table_page(run), "Scores")
    assert told["accuracy"].split()[0] == f"{100 * run.scored.scores['accuracy']:.1f}"
    levels = table(table_page(run), "Partial dependence")
    assert levels.head[0] == "colour"
    assert {str(row[0]) for row in levels.rows} == {"red", "green", "blue"}
    for row in levels.rows:  # all three classes are shown
        assert sum(cell.value for cell in row[1:]) == pytest.approx(1)


def test_many_columns_and_few_rows(tmp_path: Path, look: Callable[..., Any]) -> None:
    generator = np.random.default_rng(0)
    head = [f"column {i} {'<b>' * (i % 3)}" for i in range(120)]
    numbers = generator.normal(size=(12, 120))
    rows = [[*row, "yes" if row[0] > 0 else "no"] for row in numbers.tolist()]
    path = write_report(trained(tmp_path, [*head, "y"], rows, "y"))
    seen = look(path, 390)
    assert len(seen.sound(390)) == 7
    assert seen.page.locator("section:has(h2:text-is('Columns')) tbody tr").count() == 120


def test_one_class_and_one_target_value(tmp_path: Path, look: Callable[..., Any]) -> None:
    """Of the rows that are tested, the newest; what is all the same is not trained on."""
    rows = [[i, float(i % 2) if i < 20 else 0.0, "ab"[i % 2] if i < 20 else "a"] for i in range(30)]
    for target, task in (("flat", "regression"), ("only", "classification")):
        head = ["i", "flat", "only"]
        run = trained(tmp_path / target, head, rows, target, task=task, time="i")
        assert look(write_report(run), 390).sound(390)


def test_an_evaluation_that_was_cut_short(copied: Path) -> None:
    (copied / "eval" / "scores.json").unlink()
    page = table_page(read_table_run(copied))
    assert page.lead.startswith("Not scored")
    assert [s.title for s in page.sections] == ["Training", "How it was made", "Configuration"]


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("metrics.jsonl", "metrics.jsonl, line 1 is damaged"),
        ("sessions.json", "sessions.json is damaged"),
        ("eval/scores.json", "scores.json is damaged"),
        ("eval/summary.json", "summary.json is damaged"),
        ("eval/predictions.csv", "predictions.csv is missing or damaged"),
    ],
)
def test_damage_is_named(copied: Path, file: str, says: str) -> None:
    (copied / file).write_text("{nonsense\n1\n")
    with pytest.raises(AllmlpError, match=says):
        write_report(copied)


def test_a_run_of_an_earlier_version(copied: Path) -> None:
    columns = json.loads((copied / "eval" / "columns.json").read_text())
    (copied / "eval" / "columns.json").write_text(json.dumps({"rows": columns["columns"]}))
    with pytest.raises(
        AllmlpError, match=r"eval is damaged, or of an earlier version \('columns'\)"
    ):
        write_report(copied)
