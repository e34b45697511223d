"""MLPs for tables against trees, three seeds, on raw files.

python benchmarks/tabular.py california --models mlp-ple default lightgbm --threads 2

A row that benchmarks/results/tabular.json holds already is kept, so that an interrupted run goes
on; --again measures it anew, and so does a row of ours whose settings are no longer the same. Needs
pandas, and the peers lightgbm and pytabkit if they are asked; a peer that is not installed is left
out.

Splits: a fifth of the rows is the test part (seed 0); of the others each seed draws a fifth to
validate on (stratified for classes). Adult has a test file of its own. The test part chooses
nothing: epochs and trees are chosen on the validation part (by scikit-learn's networks and trees on
a tenth that they draw from all other rows), and `validation` of a row of ours is there to choose
among models. California: RMSE in 100 000 USD; Adult: accuracy; wine: RMSE of the quality, red and
white together; digits: accuracy, scikit-learn's 8x8 pixels as 64 columns.
"""

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn
import torch
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer
from threadpoolctl import threadpool_limits

from allmlp.bench import describe_machine
from allmlp.estimators import TabularClassifier, TabularRegressor
from allmlp.estimators.recipes import RECIPES
from allmlp.files import write_text

RESULT = Path(__file__).parent / "results" / "tabular.json"
SHARED = (
    Path(os.environ.get("ALLMLP_SHARED", Path(__file__).parents[2] / "shared" / "data")) / "tabular"
)
ADULT = [
    *("age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation"),
    *("relationship", "race", "sex", "capital_gain", "capital_loss", "hours_per_week"),
    *("native_country", "income"),
]

# what each of ours is asked for beside the seed
OURS: dict[str, dict[str, Any]] = {
    "default": {},
    "default-by-loss": {"metric": "loss"},  # of classes alone: of values it is the default
    "mlp-plain": {"model": "mlp", "num_embedding": "none"},
    "mlp-ple": {"model": "mlp", "num_embedding": "ple"},
    "mlp-plr-lite": {"model": "mlp", "num_embedding": "plr-lite"},
    "resnet-ple": {"model": "resnet"},
    "tabm-mini-k32": {"model": "tabm-mini", "members": 32, "width": 256},
    "tabm-ple": {"model": "tabm"},
    "realmlp": {"model": "realmlp"},
}
PEERS = ("lightgbm", "hist-gradient-boosting", "sklearn-mlp", "pytabkit-realmlp")


def california() -> tuple[pd.DataFrame, np.ndarray, np.ndarray, bool]:
    table = pd.read_csv(SHARED / "california_housing.csv")
    y = table.pop("median_house_value").to_numpy(float) / 1e5
    return table, y, _fifth(len(table)), False


def adult() -> tuple[pd.DataFrame, np.ndarray, np.ndarray, bool]:
    train, test = (
        pd.read_csv(SHARED / f"adult-{part}.csv", names=ADULT, skipinitialspace=True, na_values="?")
        for part in ("train", "test")
    )
    train, test = train[train.income.notna()], test[test.income.notna()]
    table = pd.concat([train, test], ignore_index=True)
    y = table.pop("income").str.contains(">50K").to_numpy(int)
    return table, y, np.arange(len(train), len(table)), True


def wine() -> tuple[pd.DataFrame, np.ndarray, np.ndarray, bool]:
    parts = []
    for colour in ("red", "white"):
        part = pd.read_csv(SHARED / f"winequality-{colour}.csv", header=None)
        parts.append(part.assign(colour=colour))
    table = pd.concat(parts, ignore_index=True)
    y = table.pop(11).to_numpy(float)
    table.columns = table.columns.astype(str)
    return table, y, _fifth(len(table)), False


def digits() -> tuple[pd.DataFrame, np.ndarray, np.ndarray, bool]:
    from sklearn.datasets import load_digits

    pixels, y = load_digits(return_X_y=True, as_frame=True)
    return pixels, y.to_numpy(), _fifth(len(pixels), y.to_numpy()), True


DATA: dict[str, Callable[[], tuple[pd.DataFrame, np.ndarray, np.ndarray, bool]]] = {
    "california": california,
    "adult": adult,
    "wine": wine,
    "digits": digits,
}
VALUES = ("california", "wine")  # the others have classes


def _fifth(count: int, labels: np.ndarray | None = None) -> np.ndarray:
    rows = np.arange(count)
    return train_test_split(rows, test_size=0.2, random_state=0, stratify=labels)[1]


def settings(options: dict[str, Any]) -> dict[str, Any]:
    """All that a model of ours is built and trained with."""
    model = TabularRegressor(**options)
    recipe = asdict(RECIPES[model.model])
    given = {name: value for name, value in model.get_params().items() if value is not None}
    return json.loads(json.dumps({**recipe, **given, **options}))


def ours(options: dict[str, Any], seed: int, classes: bool) -> Callable[..., Any]:
    def run(table: pd.DataFrame, y: np.ndarray, parts: tuple[np.ndarray, ...]) -> Any:
        train, val, test = parts
        kind = TabularClassifier if classes else TabularRegressor
        model = kind(random_state=seed, verbose=0, **options)
        model.fit(table.iloc[train], y[train], eval_set=(table.iloc[val], y[val]))
        return model.predict(table.iloc[test]), {
            "settings": settings(options),
            "validation": {model.history_.metric: model.history_.best},
            "epochs": model.n_iter_,
            "parameters": sum(p.numel() for p in model.module_.parameters()),
            "stopped": model.history_.stopped,
        }

    return run


def peer(name: str, seed: int, classes: bool, threads: int) -> Callable[..., Any]:
    def run(table: pd.DataFrame, y: np.ndarray, parts: tuple[np.ndarray, ...]) -> Any:
        train, val, test = parts
        both = np.concatenate([train, val])
        texts = [c for c in table if not pd.api.types.is_numeric_dtype(table[c])]
        numbers = [c for c in table if c not in texts]
        if name == "sklearn-mlp":
            prepare = make_column_transformer(
                (
                    make_pipeline(
                        SimpleImputer(strategy="median", add_indicator=True),
                        QuantileTransformer(output_distribution="normal", random_state=0),
                    ),
                    numbers,
                ),
                (OneHotEncoder(handle_unknown="ignore"), texts),
                sparse_threshold=0,
            )
            net = (MLPClassifier if classes else MLPRegressor)(
                hidden_layer_sizes=(256, 256),
                early_stopping=True,
                n_iter_no_change=16,
                random_state=seed,
            )
            pipe = make_pipeline(prepare, net)
            pipe.fit(table.iloc[both], y[both])
            return pipe.predict(table.iloc[test]), {"epochs": net.n_iter_}
        table = table.assign(**{c: pd.Categorical(table[c]) for c in texts})
        if name == "lightgbm":
            import lightgbm

            kind = lightgbm.LGBMClassifier if classes else lightgbm.LGBMRegressor
            trees = kind(
                n_estimators=3000,
                learning_rate=0.05,
                random_state=seed,
                n_jobs=threads,
                subsample=0.9,
                subsample_freq=1,
                colsample_bytree=0.9,
                verbose=-1,
            )
            stop = lightgbm.early_stopping(100, verbose=False)
            held = [(table.iloc[val], y[val])]
            trees.fit(table.iloc[train], y[train], eval_set=held, callbacks=[stop])
            return trees.predict(table.iloc[test]), {"trees": int(trees.best_iteration_)}
        if name == "hist-gradient-boosting":
            boosted = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
            trees = boosted(
                random_state=seed,
                early_stopping=True,
                max_iter=1000,
                categorical_features="from_dtype",
            )
            trees.fit(table.iloc[both], y[both])
            return trees.predict(table.iloc[test]), {"trees": int(trees.n_iter_)}
        import pytabkit

        kind = pytabkit.RealMLP_TD_Classifier if classes else pytabkit.RealMLP_TD_Regressor
        # it takes no missing numbers
        table = table.fillna({c: table[c].iloc[train].median() for c in numbers})
        net = kind(random_state=seed, device="cpu", n_threads=threads)
        net.fit(table.iloc[both], y[both], val_idxs=np.arange(len(train), len(both)))
        return np.asarray(net.predict(table.iloc[test])).ravel(), {}

    return run


def measure(data: str, name: str, seed: int, threads: int) -> dict[str, Any]:
    table, y, test, classes = DATA[data]()
    rest = np.setdiff1d(np.arange(len(table)), test)
    labels = y[rest] if classes else None
    train, val = train_test_split(rest, test_size=0.2, random_state=seed, stratify=labels)
    run = ours(OURS[name], seed, classes) if name in OURS else peer(name, seed, classes, threads)
    started, cpu = time.perf_counter(), time.process_time()
    predicted, facts = run(table, y, (train, val, test))
    error = predicted == y[test] if classes else (predicted - y[test]) ** 2
    return {
        "data": data,
        "model": name,
        "seed": seed,
        "metric": "accuracy" if classes else "rmse",
        "test": float(error.mean() if classes else np.sqrt(error.mean())),
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        **facts,
        "machine": {**describe_machine(), "sklearn": sklearn.__version__},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", choices=DATA, nargs="+")
    parser.add_argument("--models", nargs="+", choices=[*OURS, *PEERS], default=[*OURS, *PEERS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="measure rows that are there already")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    warnings.filterwarnings("ignore")  # of the peers
    # seeds outermost: an interrupted run has compared all contestants on some seeds
    for seed in asked.seeds:
        for data in asked.data:
            for name in asked.models:
                rows = json.loads(RESULT.read_text())["rows"] if RESULT.exists() else []
                if name == "default-by-loss" and data in VALUES:
                    continue
                key = (data, name, seed)
                known = [r for r in rows if (r["data"], r["model"], r["seed"]) == key]
                same = name not in OURS or [settings(OURS[name])] == [
                    r.get("settings") for r in known
                ]
                if known and same and not asked.again:
                    continue
                try:
                    with threadpool_limits(asked.threads):
                        row = measure(data, name, seed, asked.threads)
                except ImportError as e:
                    print(f"{data} {name} is left out: {e}")
                    continue
                rows = [r for r in rows if r not in known] + [row]
                rows.sort(key=lambda r: (r["data"], r["model"], r["seed"]))
                write_text(RESULT, json.dumps({"rows": rows}, indent=1) + "\n")
                print(f"{data} {name} seed {seed}: {row['test']:.4f} in {row['seconds']} s")


if __name__ == "__main__":
    main()
