"""A table to a run directory.

config.yaml          what was asked for, under `table`
metrics.jsonl        an object an epoch
model.safetensors    the estimator: preparation and weights
sessions.json        by which command it was trained, on what, how long
eval/summary.json    rows of each part, parameters, the best epoch and why training ended
eval/columns.json    kind, missing values and range of every column of the training part
eval/scores.json     of the test part
eval/predictions.csv its rows, true and predicted
eval/importance.json, eval/dependence.json, eval/calibration.json
"""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import yaml

from allmlp.errors import AllmlpError
from allmlp.estimators.table_columns import describe_columns
from allmlp.estimators.table_models import Classifier, TableModel, make_model, model_name
from allmlp.estimators.table_run import TableRun, write_columns
from allmlp.estimators.table_scores import calibration, importances, partial_dependence, scores
from allmlp.estimators.table_source import Examples, TableConfig, read_examples
from allmlp.files import write_text
from allmlp.runs.directory import RunDirectory
from allmlp.runs.sessions import record_session
from allmlp.training import choose_device

__all__ = ["train_table"]

# the columns whose partial dependence is kept
_SHOWN = 4


def train_table(config: TableConfig) -> TableRun:
    """Train on a table, and keep everything in a run directory.

    Raises:
        AllmlpError: the table or the configuration cannot be trained with.
        OSError: the folder cannot be written.
    """
    examples = read_examples(config)
    if len(only := np.unique(examples.y)) == 1:
        raise AllmlpError(
            f"column {config.target!r} is {only[0]} in every row, so that nothing is to be "
            "learned; take another target"
        )
    model = make_model(examples.classes, config.parameters)
    parts = examples.parts()
    train, val = (examples.inputs.take(parts[name]) for name in ("train", "val"))
    y = examples.y
    stem = f"{Path(config.source).stem}-{model_name(config.parameters)}"
    directory = RunDirectory.create(config.run, stem)
    try:
        tree = {"table": asdict(config)}
        write_text(directory.config, yaml.safe_dump(tree, sort_keys=False, allow_unicode=True))
        with record_session(directory, choose_device(model.device)):
            model.fit(train, y[parts["train"]], eval_set=(val, y[parts["val"]]))
        model.save(directory.weights)
    except BaseException:  # without a model it is of no use
        shutil.rmtree(directory.path, ignore_errors=True)
        raise
    lines = [json.dumps(record) for record in model.history_.records]
    write_text(directory.metrics, "".join(f"{line}\n" for line in lines))
    _evaluate(directory, examples, parts, model)
    return TableRun(directory.path)


def _evaluate(
    directory: RunDirectory, examples: Examples, parts: dict[str, np.ndarray], model: TableModel
) -> None:
    folder, inputs, rows = directory.eval, examples.inputs, parts["test"]
    test, y = inputs.take(rows), examples.y[rows]
    history = model.history_
    summary = {
        "rows": {name: len(some) for name, some in parts.items()},
        "without_target": examples.left_out,
        "parameters": sum(p.numel() for p in model.module_.parameters()),
        "epochs": model.n_iter_,
        "best_epoch": history.best_epoch,
        "stopped": history.stopped,
    }
    if examples.config.time is not None:
        times = examples.table[examples.config.time].tolist()
        # parts are in the order of time
        summary["times"] = {name: [times[some[0]], times[some[-1]]] for name, some in parts.items()}
    directory.write_json(folder / "summary.json", summary)
    found = {"source": examples.config.source, "count": len(y), **scores(model, test, y)}
    predicted = {"row": rows, "true": y, "predicted": model.predict(test)}
    if isinstance(model, Classifier):
        shares = model.predict_proba(test)
        predicted |= {f"p({c})": shares[:, i] for i, c in enumerate(model.classes_)}
        directory.write_json(folder / "calibration.json", calibration(model, test, y))
    dropped = model.encoder_.dropped
    columns = [
        {**column, "used": column["column"] not in dropped}
        for column in describe_columns(inputs.take(parts["train"]))
    ]
    directory.write_json(folder / "columns.json", {"columns": columns})
    ranked = importances(model, test, y)
    directory.write_json(folder / "importance.json", {"columns": ranked})
    kept = [row["column"] for row in ranked if row["column"] not in dropped]
    curves = [partial_dependence(model, test, name) for name in kept[:_SHOWN]]
    curves = [curve for curve in curves if curve["values"]]
    directory.write_json(folder / "dependence.json", {"columns": curves})
    write_columns(folder / "predictions.csv", predicted)
    directory.write_json(folder / "scores.json", found)  # last: the mark of completeness
