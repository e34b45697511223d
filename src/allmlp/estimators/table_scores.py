"""What a table's predictions are worth, and what they come from.

Axes: n rows, k classes.
"""

from typing import Any

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from allmlp.data import Table
from allmlp.estimators.tabular import TabularClassifier, TabularRegressor

__all__ = ["calibration", "importances", "partial_dependence", "scores"]

# rows that importances and dependence are estimated on: their error falls with the root
_ROWS = 1000


def scores(model: TabularClassifier | TabularRegressor, table: Table, y: Any) -> dict[str, Any]:
    """Of the predictions, and of the best constant one as `baseline`.

    Returns:
        Of classes: accuracy, log-loss in nats, and the area under the ROC curve where every class
        is there; of values: RMSE, MAE and R².
    """
    if isinstance(model, TabularRegressor):
        predicted = model.predict(table)
        return {
            "rmse": float(root_mean_squared_error(y, predicted)),
            "mae": float(mean_absolute_error(y, predicted)),
            "r2": float(r2_score(y, predicted)),
            "baseline": {"rmse": float(np.std(y))},
        }
    shares = model.predict_proba(table)
    classes = model.classes_
    found: dict[str, Any] = {
        "accuracy": float(accuracy_score(y, classes[shares.argmax(axis=1)])),
        "log_loss": float(log_loss(y, shares, labels=classes)) if len(classes) > 1 else 0.0,
        "baseline": {"accuracy": float(np.unique(y, return_counts=True)[1].max() / len(y))},
    }
    if len(np.unique(y)) == len(classes) > 1:
        answers = shares[:, 1] if len(classes) == 2 else shares
        found["roc_auc"] = float(roc_auc_score(y, answers, multi_class="ovr", labels=classes))
    return found


def calibration(model: TabularClassifier, table: Table, y: Any, bins: int = 10) -> dict[str, Any]:
    """How often the most probable class is right, by how probable it was said to be.

    Returns:
        `confidence`, `accuracy` and `count` of every bin with rows in it, and `error`: the mean
        distance of the first two, weighted by the third (expected calibration error, Guo et al.
        2017, arXiv:1706.04599, eq. 3).
    """
    shares = model.predict_proba(table)
    sure = shares.max(axis=1)
    right = model.classes_[shares.argmax(axis=1)] == y
    places = np.minimum((sure * bins).astype(int), bins - 1)
    filled = np.unique(places)
    confidence = np.array([sure[places == b].mean() for b in filled])
    accuracy = np.array([right[places == b].mean() for b in filled])
    count = np.array([(places == b).sum() for b in filled])
    return {
        "confidence": confidence.tolist(),
        "accuracy": accuracy.tolist(),
        "count": count.tolist(),
        "error": float((np.abs(confidence - accuracy) * count).sum() / count.sum()),
    }


def importances(
    model: TabularClassifier | TabularRegressor, table: Table, y: Any, repeats: int = 3
) -> list[dict[str, Any]]:
    """What shuffling each column costs: of accuracy, or of R² (Breiman 2001, §10).

    Returns:
        `column`, `mean` and `std` over the repeats, the dearest column first.
    """
    generator = np.random.default_rng(0)
    rows = generator.permutation(len(table))[:_ROWS]
    table, y = table.take(rows), y[rows]
    whole = model.score(table, y)
    found = []
    for index, name in enumerate(table.names):
        losses = []
        for _ in range(repeats if name not in model.encoder_.dropped else 0):
            columns = list(table.columns)
            columns[index] = generator.permutation(columns[index])
            losses.append(whole - model.score(Table(table.names, tuple(columns)), y))
        mean, std = (float(np.mean(losses)), float(np.std(losses))) if losses else (0.0, 0.0)
        found.append({"column": name, "mean": mean, "std": std})
    return sorted(found, key=lambda row: -row["mean"])


def partial_dependence(
    model: TabularClassifier | TabularRegressor, table: Table, name: str, points: int = 20
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
        values = np.unique(np.quantile(seen, np.linspace(0, 1, points))).tolist()
    index = table.names.index(name)
    predictions = []
    for value in values:
        columns = list(table.columns)
        columns[index] = np.full(len(table), value, dtype=column.dtype)
        changed = Table(table.names, tuple(columns))
        if isinstance(model, TabularClassifier):
            predictions.append(model.predict_proba(changed).mean(axis=0).tolist())
        else:
            predictions.append(float(model.predict(changed).mean()))
    return {"column": name, "values": values, "prediction": predictions}
