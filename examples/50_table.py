"""A table with texts and gaps: how a network, an ensemble and boosted trees do, and where they err.

python examples/50_table.py
"""

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.inspection import permutation_importance
from sklearn.metrics import root_mean_squared_error

from allmlp.estimators import TabularRegressor


def rents(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Flats: district, area, year and distance; the rent is smooth in all of them together."""
    generator = np.random.default_rng(seed)
    district = generator.choice(["centre", "harbour", "hills", "suburb"], count)
    area = generator.gamma(8, 9, count)
    year = generator.integers(1890, 2025, count)
    distance = generator.exponential(3, count)
    level = np.select([district == d for d in ("centre", "harbour", "hills")], [22, 18, 16], 11)
    charm = 3 * np.cos((year - 1900) / 40)  # old and new are dear, the years between are not
    rent = area**0.85 * (level + charm) * np.exp(-distance / 15) / 10
    table = np.empty((count, 4), dtype=object)
    table[:, 0], table[:, 1], table[:, 3] = district, area, distance
    table[:, 2] = np.where(generator.random(count) < 0.1, None, year.astype(object))
    return table, rent + generator.normal(0, 4, count)


def main() -> None:
    """Fit all three, compare, and ask the network what it reads."""
    train, rent = rents(1500, seed=0)
    test, truth = rents(1000, seed=1)
    options = {"random_state": 0, "width": 64, "lr": 3e-3, "max_epochs": 40}
    network = TabularRegressor(model="mlp", **options)
    ensemble = TabularRegressor(model="tabm-mini", members=8, **options)
    for name, model in {"MLP": network, "TabM-mini": ensemble}.items():
        error = root_mean_squared_error(truth, model.fit(train, rent).predict(test))
        print(f"{name:10} RMSE {error:.2f} after {model.n_iter_} epochs")

    # trees of scikit-learn take no texts: codes of the districts instead
    codes = {name: code for code, name in enumerate(np.unique(train[:, 0]))}

    def coded(table: np.ndarray) -> np.ndarray:
        numbers = np.where(table[:, 1:] == None, np.nan, table[:, 1:]).astype(float)  # noqa: E711
        return np.column_stack([[codes[name] for name in table[:, 0]], numbers])

    trees = HistGradientBoostingRegressor(categorical_features=[0], random_state=0)
    guessed = trees.fit(coded(train), rent).predict(coded(test))
    print(f"{'trees':10} RMSE {root_mean_squared_error(truth, guessed):.2f}")
    both = (guessed + network.predict(test)) / 2
    print(f"{'mean of MLP and trees':10} RMSE {root_mean_squared_error(truth, both):.2f}")

    found = permutation_importance(network, test, truth, n_repeats=3, random_state=0)
    for index, name in enumerate(("district", "area", "year", "distance")):
        print(f"shuffling {name} costs {found.importances_mean[index]:.2f} of R²")


if __name__ == "__main__":
    main()
