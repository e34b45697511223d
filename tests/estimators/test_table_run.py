"""Tables to runs, and the commands that do it."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.inspection import permutation_importance
from sklearn.metrics import accuracy_score

from allmlp.cli import main
from allmlp.cli.table import means_table
from allmlp.data import read_table, to_table
from allmlp.errors import AllmlpError
from allmlp.estimators import TabularClassifier, TabularRegressor
from allmlp.estimators.table_run import TableRun
from allmlp.estimators.table_scores import calibration, importances, partial_dependence, scores
from allmlp.estimators.table_source import TableConfig
from allmlp.estimators.table_train import train_table

TINY = [
    "--epochs",
    "15",
    "--lr",
    "0.02",
    "--batch-size",
    "16",
    "--table.width",
    "16",
    "--table.depth",
    "1",
]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The label follows the colour, the price the size; months and shops are there to split by."""
    path = tmp_path_factory.mktemp("tables") / "shop.csv"
    generator = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["colour", "size", "month", "shop", "price", "sold"])
        for row in range(120):
            colour = generator.choice(["red", "green", "blue"])
            size = generator.normal()
            writer.writerow(
                [
                    colour,
                    "" if row % 11 == 0 else f"{size:.3f}",
                    f"2024-{1 + row % 12:02}",
                    f"s{row % 9}",
                    f"{3 * size:.3f}",
                    "yes" if colour == "red" else "no",
                ]
            )
    return path


@pytest.fixture(scope="module")
def run(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "sold"
    main(["train", str(table), "--target", "sold", "--run", str(path), *TINY])
    return path


def test_train_says_what_it_found(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    main(["train", str(table), "--target", "price", "--run", str(path), *TINY])
    said = capsys.readouterr().out
    assert "colour: text, 3 levels, mostly" in said
    assert "size: number, " in said
    assert "9.2% missing" in said
    assert "RMSE" in said
    assert f"predict {path} TABLE.csv" in said
    assert f"report        {path / 'report.html'}" in said
    records = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert [r["epoch"] for r in records] == list(range(1, 16))
    scores = TableRun(path).scores()
    assert scores["count"] == 24
    assert scores["rmse"] < scores["baseline"]["rmse"]


def test_a_run_answers_as_its_estimator_did(run: Path, table: Path) -> None:
    trained = TableRun(run)
    assert isinstance(trained.model, TabularClassifier)
    rows = read(run / "eval" / "predictions.csv")
    whole = read_table(table)
    places = np.array([int(row["row"]) for row in rows])
    assert [row["true"] for row in rows] == whole["sold"][places].tolist()
    predicted = trained.predict(whole.take(places))
    assert [row["predicted"] for row in rows] == predicted["sold"].tolist()
    said = [float(row["p(yes)"]) for row in rows]
    np.testing.assert_allclose(predicted["p(yes)"], said, rtol=1e-6)
    assert trained.scores()["accuracy"] == accuracy_score(
        [row["true"] for row in rows], [row["predicted"] for row in rows]
    )
    assert trained.evaluate()["accuracy"] == trained.scores()["accuracy"]
    assert trained.evaluate(part="all")["count"] == 120
    ranked = trained.directory.read_json(run / "eval" / "importance.json")["columns"]
    assert ranked[0]["column"] == "colour"
    curves = trained.directory.read_json(run / "eval" / "dependence.json")["columns"]
    by_colour = dict(zip(curves[0]["values"], curves[0]["prediction"], strict=True))
    assert by_colour["red"][1] > by_colour["blue"][1] + 0.3


def test_predict_and_eval(
    run: Path,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["predict", str(run), str(table), "--device", "cpu"])
    rows = read(Path("shop-predictions.csv"))
    assert rows[0].keys() == {"sold", "p(no)", "p(yes)"}
    assert len(rows) == 120
    main(["predict", str(run), str(table), "--output", "other.csv"])
    assert Path("other.csv").read_text() == Path("shop-predictions.csv").read_text()
    main(["eval", str(run), "--part", "test"])
    assert f"{table} test: accuracy" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(run), str(table), str(table)])
    assert ended.value.code == 1
    assert "one table at a time, got 2" in capsys.readouterr().err


def test_split_by_time_and_by_group(table: Path, tmp_path: Path) -> None:
    fast = {"width": 8, "depth": 1, "max_epochs": 1, "random_state": 0}
    whole = read_table(table)
    for column in ("month", "shop"):
        by = {"time" if column == "month" else "group": column}
        path = str(tmp_path / column)
        config = TableConfig(source=str(table), target="sold", run=path, parameters=fast, **by)
        trained = train_table(config)
        assert column not in trained.model.feature_names_in_
        rows = read(Path(path) / "eval" / "predictions.csv")
        tested = {int(row["row"]) for row in rows}
        inside = {whole[column][row] for row in tested}
        outside = {whole[column][row] for row in range(120) if row not in tested}
        assert not inside & outside
        if column == "month":
            assert min(inside) > max(outside)


def test_replay(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    main(["train", "--config", str(run / "config.yaml"), "--run", str(again)])
    assert (again / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--target", "pric"], "no column 'pric'; it has colour, size"),
        (["--target", "sold", "--task", "regression"], "regression needs numbers in 'sold', got"),
        (["--target", "sold", "--table.with", "8"], "did you mean width"),
        (["--target", "sold", "--time", "month", "--group", "shop"], "by time or by group"),
        (["--target", "sold", "--train.warmup", "3"], "train is for images"),
        (["--target", "sold", "--precision", "bf16"], "--precision means nothing for a table"),
        (["--target", "sold", "--strict"], "--strict means nothing for a table"),
        ([], "allmlp train TABLE --target COLUMN"),
        (["--target", "sold", "--group", "sold"], "at least 3 groups, got 2"),
        (
            ["--target", "sold", "--model", "mixer_s16"],
            "unknown model 'mixer_s16'; choose one of: kan, mlp",
        ),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    table: Path,
    tmp_path: Path,
    arguments: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", str(table), "--run", str(tmp_path / "run"), *arguments])
    assert ended.value.code == 1
    assert says in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_that_fails_leaves_no_folder(table: Path, tmp_path: Path) -> None:
    settings = {"width": 8, "optimizer": "torch.optim.SGD", "lr": 1e30, "max_epochs": 2}
    config = TableConfig(
        source=str(table), target="price", run=str(tmp_path / "run"), parameters=settings
    )
    with pytest.raises(AllmlpError):
        train_table(config)
    assert not (tmp_path / "run").exists()


def test_what_is_odd_about_a_table_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        f'k{i},{i % 28 + 1}.5.2024,2024-03-{i % 28 + 1:02},"{i},5",{"" if i % 10 == 0 else i % 3}'
        for i in range(60)
    ]
    path = write(tmp_path / "t.csv", "id,sold,when,price,y", *rows)
    run = tmp_path / "run"
    fast = ["--task", "classification", "--epochs", "1", "--table.width", "8", "--no-report"]
    main(["train", str(path), "--target", "y", "--time", "when", "--run", str(run), *fast])
    said = capsys.readouterr().out
    assert re.search(r"id: text.*\(nearly every row has its own", said)
    assert re.search(r"sold: text.*\(dates, read as mere names", said)
    assert re.search(r"price: text.*\(numbers with a decimal comma", said)
    assert "6 rows without a target were left out" in said
    assert "tested on the rows with when from 2024-03-" in said
    summary = json.loads((run / "eval" / "summary.json").read_text())
    assert summary["without_target"] == 6
    assert summary["times"]["train"][1] < summary["times"]["test"][0]
    main(["eval", str(run), str(path)])
    assert "of 54 rows" in (out := capsys.readouterr().out)
    assert "6 without a target left out" in out


def test_the_times_that_are_tested_are_those_of_the_clock(tmp_path: Path) -> None:
    """23:00+05:00 is earlier than 20:00Z, though not as a text."""
    stamps = [f"2024-05-{day:02}T{h}" for day in range(1, 11) for h in ("23:00+05:00", "20:00Z")]
    path = write(tmp_path / "t.csv", "when,x,y", *(f"{t},{i},{i}" for i, t in enumerate(stamps)))
    fast = {"width": 8, "depth": 1, "max_epochs": 1, "random_state": 0}
    asked = {"source": str(path), "target": "y", "time": "when", "parameters": fast}
    run = train_table(TableConfig(**asked, run=str(tmp_path / "run")))
    times = run.directory.read_json(run.directory.eval / "summary.json")["times"]
    assert times["train"] == [stamps[0], stamps[13]]
    assert times["test"] == [stamps[16], stamps[19]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x,y\n" + "1,a\n" * 20, "column 'y' is a in every row"),
        (",x,y\n" + "".join(f"{i},{i},{i}\n" for i in range(20)), "column 1 has no name"),
    ],
)
def test_tables_that_teach_nothing_or_too_much(
    tmp_path: Path, text: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(SystemExit):
        main(["train", str(tmp_path / "t.csv"), "--target", "y", "--run", str(tmp_path / "run")])
    assert says in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_rare_and_fractional_classes(tmp_path: Path) -> None:
    """A class of one row is in no part but training; labels of 10.5 and 2.5 sort as they are."""
    path = tmp_path / "t.csv"
    labels = [2.5, 10.5] * 20 + [float(i) for i in range(100, 103)]
    path.write_text("x,y\n" + "".join(f"{i},{label}\n" for i, label in enumerate(labels)))
    fast = {"width": 8, "depth": 1, "max_epochs": 1, "random_state": 0}
    asked = {"source": str(path), "target": "y", "task": "classification", "parameters": fast}
    run = train_table(TableConfig(**asked, run=str(tmp_path / "run")))
    tested = {row["true"] for row in read(tmp_path / "run" / "eval" / "predictions.csv")}
    assert tested <= {"2.5", "10.5"} | {str(c) for c in run.model.classes_}
    again = run.evaluate()
    assert {k: again[k] for k in ("count", "accuracy", "log_loss")} == {
        k: run.scores()[k] for k in ("count", "accuracy", "log_loss")
    }
    asked["target"] = "x"
    with pytest.raises(AllmlpError, match="too many have a single row"):
        train_table(TableConfig(**asked, run=str(tmp_path / "other")))
    assert not (tmp_path / "other").exists()


def test_a_table_in_parquet(table: Path, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    pandas.read_csv(table).to_parquet(tmp_path / "shop.parquet")
    pandas.DataFrame({"image": [b"x"], "label": [1]}).to_parquet(tmp_path / "images.parquet")
    assert means_table(str(tmp_path / "shop.parquet"), "sold")
    assert not means_table(str(tmp_path / "images.parquet"), "label")
    assert not means_table("digits", "label")
    assert not means_table(str(table), None)
    data = tmp_path / "shop.parquet"
    main(["train", str(data), "--target", "sold", "--run", str(tmp_path / "run"), *TINY])
    assert TableRun(tmp_path / "run").scores()["count"] == 24


def test_no_run_on_a_table(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("run: {seed: 0}\n")
    with pytest.raises(AllmlpError, match="is no run on a table"):
        TableRun(tmp_path)


def test_a_run_on_a_table_is_none_on_images(
    run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for command in (["probe", str(run)], ["train", "--resume", str(run)]):
        with pytest.raises(SystemExit):
            main(command)
        assert (
            "is a run on a table, which predict, eval, explain, report and export read"
            in capsys.readouterr().err
        )
    for command in (
        ["predict", str(run), "t.csv", "--top", "3"],
        ["eval", str(run), "--only", "a"],
    ):
        with pytest.raises(SystemExit):
            main(command)
        assert f"{command[-2]} means nothing for a" in capsys.readouterr().err


def test_predictions_never_take_the_place_of_their_table(
    run: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.csv"
    own.write_bytes(table.read_bytes())
    with pytest.raises(SystemExit):
        main(["predict", str(run), str(own), "--output", str(own)])
    assert "is the table itself; give another --output" in capsys.readouterr().err
    assert own.read_bytes() == table.read_bytes()
    for said in ("120 rows to", "in place of those that were there"):
        main(["predict", str(run), str(own), "--output", str(tmp_path / "p.csv")])
        assert said in capsys.readouterr().out


def test_importance_and_dependence_of_a_known_function() -> None:
    x = np.random.default_rng(0).normal(size=(300, 2))
    columns = to_table(x)
    model = TabularRegressor(width=32, depth=1, max_epochs=60, lr=0.02, random_state=0)
    model.fit(x, 2 * x[:, 0])
    ranked = importances(model, columns, 2 * x[:, 0])
    assert [row["column"] for row in ranked] == ["x0", "x1"]
    # a shuffled input is another one: of R² it costs twice the variance
    assert ranked[0]["mean"] == pytest.approx(2, abs=0.4)
    assert abs(ranked[1]["mean"]) < 0.1
    again = permutation_importance(model, x, 2 * x[:, 0], n_repeats=3, random_state=0)
    assert ranked[0]["mean"] == pytest.approx(again.importances_mean[0], abs=0.3)
    curve = partial_dependence(model, columns, "x0")
    slope = np.polyfit(curve["values"], curve["prediction"], 1)[0]
    assert slope == pytest.approx(2, abs=0.3)


def test_calibration_of_known_answers() -> None:
    class Sure(TabularClassifier):
        classes_ = np.array([0, 1])

        def predict_proba(self, X: object) -> np.ndarray:
            return np.array([[0.25, 0.75]] * 4 + [[1.0, 0.0]] * 2)

    table, y = to_table(np.zeros((6, 1))), np.array([1, 1, 0, 0, 0, 0])
    filled = [b for b in calibration(Sure(), table, y)["bins"] if b["count"]]
    assert [b["confidence"] for b in filled] == [0.75, 1.0]
    assert [b["accuracy"] for b in filled] == [0.5, 1.0]
    assert [b["count"] for b in filled] == [4, 2]
    found = scores(Sure(), table, y)
    assert found["ece"] == pytest.approx(0.25 * 4 / 6)
    assert found["accuracy"] == found["baseline"]["accuracy"] == pytest.approx(4 / 6)
    assert found["classes"][0]["recall"] == 0.5
    assert found["roc_auc"] == 0.75


def test_a_column_that_is_empty_in_the_test_rows() -> None:
    rows = [[float(i % 7), None] for i in range(40)]
    rows[0][1], rows[1][1], rows[2][1] = 1.0, 2.0, 3.0
    table = to_table(rows)
    model = TabularRegressor(max_epochs=1, random_state=0).fit(table, np.arange(40.0))
    held = table.take(np.arange(10, 40))
    assert partial_dependence(model, held, "x1")["values"] == []
    one = importances(model, table.take(np.array([0])), np.array([0.0]))
    assert [row["mean"] for row in one] == [0.0, 0.0]


def test_a_row_is_the_same_whatever_stands_in_its_file(tmp_path: Path) -> None:
    rows = [("01", 0), ("02", 10), ("A3", 20)] * 10
    write(tmp_path / "codes.csv", "code,x,y", *(f"{c},{i},{y}" for i, (c, y) in enumerate(rows)))
    options = ["--target", "y", "--run", str(tmp_path / "run"), *TINY]
    main(["train", str(tmp_path / "codes.csv"), *options])
    trained = TableRun(tmp_path / "run")
    numbers = write(tmp_path / "numbers.csv", "code,x", "01,3", "02,3")
    mixed = write(tmp_path / "mixed.csv", "code,x", "01,3", "02,3", "A3,3")
    alone = trained.predict(trained.read(numbers))["y"]
    np.testing.assert_allclose(alone, trained.predict(trained.read(mixed))["y"][:2], rtol=1e-5)
    assert abs(alone[0] - alone[1]) > 1e-3
    # a frame of numbers does not know how its levels were written
    with pytest.warns(UserWarning, match="column 'code' held texts in training, such as 01, 02"):
        trained.predict(read_table(numbers))


@pytest.mark.parametrize(
    ("labels", "some"), [(["1", "2", "x"], ["1", "2.0"]), (["0.5", "1.0", "1.5"], ["1", "1.0"])]
)
def test_labels_are_known_however_they_are_written(
    labels: list[str], some: list[str], tmp_path: Path
) -> None:
    train = write(tmp_path / "a.csv", "x,y", *(f"{i},{labels[i % 3]}" for i in range(30)))
    options = ["--target", "y", "--task", "classification", "--run", str(tmp_path / "run"), *TINY]
    main(["train", str(train), *options])
    other = write(tmp_path / "b.csv", "x,y", *(f"{i},{some[i % 2]}" for i in range(6)))
    assert TableRun(tmp_path / "run").evaluate(str(other))["count"] == 6


def test_booleans_are_known_by_their_numbers() -> None:
    rows = [[bool(i % 2), float(i % 3)] for i in range(40)]
    model = TabularRegressor(max_epochs=3, random_state=0).fit(rows, [i % 2 for i in range(40)])
    as_numbers = [[float(b), x] for b, x in rows]
    np.testing.assert_array_equal(model.predict(as_numbers), model.predict(rows))


def test_numbers_as_yaml_does_not_read_them(table: Path, tmp_path: Path) -> None:
    asked = ["train", str(table), "--target", "sold", *TINY, "--run", str(tmp_path / "run")]
    rates = ["--table.weight_decay", "1e-3", "--table.max_time", "1e1"]
    main([*asked, *rates, "--table.categorical_features", "shop, price"])
    model = TableRun(tmp_path / "run").model
    assert (model.weight_decay, model.max_time) == (0.001, 10.0)
    levels = {c.name: c.levels for c in model.encoder_.categories}
    assert set(levels) == {"colour", "month", "shop", "price"}
    with pytest.raises(AllmlpError, match="ema must be a number, got 'high'"):
        train_table(TableConfig(source=str(table), target="sold", parameters={"ema": "high"}))


def test_timestamps_order_rows_and_truths_are_classes(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    when = pandas.date_range("2024-05-01", periods=40, freq="D")
    frame = pandas.DataFrame({"when": when, "x": range(40), "y": [0, 1] * 20})
    frame.to_parquet(path := tmp_path / "t.parquet")
    fast = {"width": 8, "depth": 1, "max_epochs": 1, "random_state": 0}
    asked = {"source": str(path), "target": "y", "time": "when", "parameters": fast}
    run = train_table(TableConfig(**asked, run=str(tmp_path / "run")))
    times = run.directory.read_json(run.directory.eval / "summary.json")["times"]
    assert times["test"] == ["2024-06-02T00:00:00", "2024-06-09T00:00:00"]
    assert len(run.predict(run.read(path))["y"]) == 40
    frame.assign(y=frame.y.astype(bool)).to_csv(truths := tmp_path / "t.csv", index=False)
    same = ("accuracy", "log_loss", "count")
    ours, theirs = run.evaluate(str(path)), run.evaluate(str(truths))
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}
