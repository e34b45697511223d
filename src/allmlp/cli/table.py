"""What `train`, `predict` and `eval` do when the data are a table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allmlp.errors import AllmlpError
from allmlp.runs.config_tree import read_yaml

if TYPE_CHECKING:
    from allmlp.estimators.table_run import TableRun
    from allmlp.estimators.table_source import TableConfig

__all__ = [
    "evaluate_table",
    "holds_table",
    "means_table",
    "predict_table",
    "refuse",
    "scores_line",
    "train_aloud",
    "train_table_from",
]


def holds_table(run: Path) -> bool:
    """Whether a run was trained on a table; needs no torch."""
    config = run / "config.yaml"
    return config.is_file() and "table" in read_yaml(config)


def means_table(data: str | None, target: str | None) -> bool:
    """Whether a target is asked of a table, and not of parquet files that hold images."""
    if data is None or target is None:
        return False
    suffix = Path(data).suffix.lower()
    if suffix not in (".parquet", ".pq") or not Path(data).is_file():
        return suffix in (".csv", ".tsv", ".txt")
    try:
        from pyarrow import parquet
        from pyarrow.types import is_binary, is_large_binary, is_nested
    except ImportError:  # whoever reads it says what is needed
        return True
    kinds = parquet.read_schema(data).types
    return not any(is_binary(k) or is_large_binary(k) or is_nested(k) for k in kinds)


def refuse(data: str, options: Mapping[str, Any], hint: str = "") -> None:
    """Options that were given and mean nothing for these data.

    Raises:
        AllmlpError: one was given.
    """
    for name, value in options.items():
        if value:
            raise AllmlpError(f"{name} means nothing for {data}, leave it out{hint}")


def train_table_from(
    data: str | None,
    target: str | None,
    run: str | None,
    split: Mapping[str, Any],
    tree: Mapping[str, Any],
    given: Mapping[str, Any],
) -> Path:
    """Train, and say what was found.

    Args:
        data: path of the table, if not in the tree.
        target: name of the column.
        run: folder to create.
        split: task, time and group.
        tree: of --config and the dotted flags; `table` alone is read.
        given: parameters of the estimator that have short flags; None is not given.

    Returns:
        The run's folder.

    Raises:
        AllmlpError: settings of other data, or a table that cannot be trained on.
    """
    others = sorted(set(tree) - {"table"})
    if others:
        raise AllmlpError(
            f"a table is trained with --table.PARAMETER, {others[0]} is for images; leave it out"
        )
    settings = dict(tree.get("table", {}))
    fields = {"source", "target", "task", "time", "group", "run", "parameters"}
    known = {name: settings.pop(name) for name in fields & settings.keys()}
    parameters = dict(known.pop("parameters", {})) | settings
    parameters |= {name: value for name, value in given.items() if value is not None}
    columns = parameters.get("categorical_features")
    if isinstance(columns, str):  # a,b on the command line
        parameters["categorical_features"] = [name.strip() for name in columns.split(",")]
    parameters.setdefault("random_state", 0)
    parameters.setdefault("verbose", 1)
    if data is not None:
        known["source"] = data
    if target is None:
        raise AllmlpError("a table needs --target, the name of the column to predict")
    if "source" not in known:
        raise AllmlpError("--target names a column of a table; give the table's path as well")
    known |= {name: value for name, value in split.items() if value not in (None, "auto")}
    known |= {"target": target, "run": run}

    from allmlp.estimators.table_source import TableConfig

    trained = train_aloud(TableConfig(**known, parameters=parameters))
    found = trained.scores()
    ranked = trained.directory.read_json(trained.directory.eval / "importance.json")["columns"]
    print(f"what shuffling a column costs ({'R²' if 'rmse' in found else 'accuracy'}):")
    for row in ranked[:5]:
        print(f"  {row['column']}: {row['mean']:.4f} ± {row['std']:.4f}")
    print(f"run           {trained.directory.path}")
    return trained.directory.path


def train_aloud(config: "TableConfig") -> "TableRun":
    """Train, and print the columns before, and what the test part says after it."""
    from allmlp.estimators.table_columns import describe_columns
    from allmlp.estimators.table_source import read_source
    from allmlp.estimators.table_train import train_table

    for row in describe_columns(read_source(config)):
        print(_column_line(row))
    trained = train_table(config)
    summary = trained.directory.read_json(trained.directory.eval / "summary.json")
    if summary["without_target"]:
        print(f"{summary['without_target']} rows without a target were left out")
    if config.time is not None:
        first, last = summary["times"]["test"]
        print(f"tested on the rows with {config.time} from {first} to {last}")
    print(scores_line(trained.scores()))
    return trained


def predict_table(
    run: Path, tables: Sequence[str], output: Path | None, device: str = "cpu"
) -> None:
    """Write the predictions for one table as csv.

    Raises:
        AllmlpError: several tables, or one that does not fit.
    """
    if len(tables) != 1:
        raise AllmlpError(f"a run on a table predicts one table at a time, got {len(tables)}")

    from allmlp.estimators.table_run import TableRun, write_columns

    trained = TableRun(run)
    table = trained.read(tables[0])
    trained.model.to(device)
    path = output or Path(f"{Path(tables[0]).stem}-predictions.csv")
    there = path.exists()
    if there and path.samefile(tables[0]):
        raise AllmlpError(f"{path} is the table itself; give another --output")
    write_columns(path, trained.predict(table))
    print(f"{len(table)} rows to {path}{', in place of those that were there' if there else ''}")


def evaluate_table(run: Path, data: str | None, part: str) -> None:
    """Score a part of the run's own table, or all of another one."""
    from allmlp.estimators.table_run import TableRun

    found = TableRun(run).evaluate(data, part)
    left = f"; {found['left_out']} without a target left out" if found["left_out"] else ""
    print(f"{found['source']}{'' if data else f' {part}'}: {scores_line(found)}{left}")


def scores_line(found: Mapping[str, Any]) -> str:
    """What predictions are worth."""
    rows = f"of {found['count']} rows"
    if "rmse" in found:
        explained = "" if found["r2"] is None else f", R² {found['r2']:.4f}"
        return (
            f"RMSE {found['rmse']:.4f} {rows} (the mean alone: {found['baseline']['rmse']:.4f}), "
            f"MAE {found['mae']:.4f}{explained}"
        )
    area = f", ROC AUC {found['roc_auc']:.4f}" if "roc_auc" in found else ""
    return (
        f"accuracy {found['accuracy']:.2%} {rows} (the largest class alone: "
        f"{found['baseline']['accuracy']:.2%}), log-loss {found['log_loss']:.4f}{area}"
    )


def _column_line(row: Mapping[str, Any]) -> str:
    """What a column holds."""
    missing = f", {row['missing']:.1%} missing" if row["missing"] else ""
    if row["kind"] == "text":
        hint = f" ({row['hint']})" if row["hint"] else ""
        return (
            f"  {row['column']}: text, {row['levels']} levels, mostly {row['most']}{missing}{hint}"
        )
    if row["min"] is None:
        return f"  {row['column']}: nothing in it"
    return (
        f"  {row['column']}: number, {row['min']:g} … {row['median']:g} … {row['max']:g}{missing}"
    )
