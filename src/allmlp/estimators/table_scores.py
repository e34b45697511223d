"""What a table's predictions are worth, and what they come from.

Axes: n rows, k classes.
"""

from dataclasses import asdict
from typing import Any

import numpy as np
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from allmlp.data import Table
from allmlp.estimators.table import EncodedRows
from allmlp.estimators.table_models import Classifier, TableModel
from allmlp.runs.scores import calibration_bins, score_probabilities

__all__ = ["calibration", "importances", "partial_dependence", "scores"]

# rows that importances and dependence are estimated on: their error falls with the root
_ROWS = 1000


def scores(model: TableModel, table: Table, y: Any) -> dict[str, Any]:
    """Of the predictions, and of the best constant one as `baseline`.

    Args:
        model: fitted.
        table: its columns.
        y: (n,) values, or labels that it knows.

    Returns:
        Of classes: accuracy, log-loss in nats, Brier score and calibration error (see
        `runs.scores.Scores`), the area under the ROC curve where there is one, and each class
        against all others (`classes`); of values: RMSE, MAE, median and 90 % quantile of the
        absolute error, and R² (None of a single row).
    """
    if not isinstance(model, Classifier):
        predicted = model.predict(table)
        errors = np.abs(predicted - y)
        return {
            "rmse": float(root_mean_squared_error(y, predicted)),
            "mae": float(mean_absolute_error(y, predicted)),
            "median": float(np.median(errors)),
            "q90": float(np.quantile(errors, 0.9)),
            "r2": float(r2_score(y, predicted)) if len(y) > 1 else None,
            "baseline": {"rmse": float(np.std(y))},
        }
    labels = np.searchsorted(model.classes_, y)
    names = [str(name) for name in model.classes_]
    found = score_probabilities(model.predict_proba(table), labels, names)
    known: dict[str, Any] = {
        "accuracy": found.accuracy,
        "log_loss": found.loss,
        "brier": found.brier,
        "ece": found.ece,
        "baseline": {"accuracy": float(np.bincount(labels).max() / len(y))},
        "classes": [asdict(scored) for scored in found.classes],
    }
    if found.auroc is not None:
        known["roc_auc"] = found.auroc
    return known


def calibration(model: Classifier, table: Table, y: Any) -> dict[str, Any]:
    """How often the most probable class is right, by how probable it was said to be.

    Returns:
        `bins`, as `runs.scores.calibration_bins` makes them.
    """
    labels = np.searchsorted(model.classes_, y)
    bins = calibration_bins(model.predict_proba(table), labels)
    return {"bins": [asdict(some) for some in bins]}


def importances(model: TableModel, table: Table, y: Any, repeats: int = 3) -> list[dict[str, Any]]:
    """What shuffling each column costs: of accuracy, or of R² (Breiman 2001, §10).

    Returns:
        `column`, `mean` and `std` over the repeats, the dearest column first.
    """
    generator = np.random.default_rng(0)
    rows = generator.permutation(len(table))[:_ROWS]
    # a shuffled column is one whose part of the encoded rows is shuffled
    encoded, y = model.encoder_.encode(table.take(rows)), y[rows]
    # one value has no R²
    repeats = repeats if len(y) > 1 else 0
    whole = model.score(EncodedRows(encoded), y) if repeats else 0.0
    found = []
    for name in table.names:
        places = model.encoder_.places(name)
        losses = []
        for _ in range(repeats if places else 0):
            shuffled = encoded.copy()
            shuffled[:, places] = generator.permutation(encoded[:, places])
            losses.append(whole - model.score(EncodedRows(shuffled), y))
        mean, std = (float(np.mean(losses)), float(np.std(losses))) if losses else (0.0, 0.0)
        found.append({"column": name, "mean": mean, "std": std})
    return sorted(found, key=lambda row: -row["mean"])


def partial_dependence(
    model: TableModel, table: Table, name: str, points: int = 20
) -> dict[str, Any]:
    """The mean prediction when a column is set to one value after another (Friedman 2001, §8.2).

    Args:
        model: fitted.
        table: rows to take the mean over.
        name: of the column.
        points: quantiles of a numeric column; the most frequent texts of another.

    Returns:
        `column`, its `values`, and the mean `prediction` for each: a value, or the probability of
        each class.
    """
    rows = np.random.default_rng(0).permutation(len(table))[: _ROWS // 2]
    table = table.take(rows)
    column = table[name]
    values: list[Any]
    if column.dtype == object:
        texts, counts = np.unique([v for v in column if v is not None], return_counts=True)
        values = texts[np.argsort(-counts, kind="stable")][:points].tolist()
    else:
        seen = column[~np.isnan(column)]
        # a rare number may be in none of these rows
        quantiles = np.quantile(seen, np.linspace(0, 1, points)) if len(seen) else seen
        values = np.unique(quantiles).tolist()
    index = table.names.index(name)
    predictions = []
    for value in values:
        columns = list(table.columns)
        columns[index] = np.full(len(table), value, dtype=column.dtype)
        changed = Table(table.names, tuple(columns))
        if isinstance(model, Classifier):
            predictions.append(model.predict_proba(changed).mean(axis=0).tolist())
        else:
            predictions.append(float(model.predict(changed).mean()))
    return {"column": name, "values": values, "prediction": predictions}
