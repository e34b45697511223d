"""Which columns matter, and how: ten columns, three of which are in the law, one only with another.

python examples/24_kan_features.py [--epochs 50]
"""

import argparse

import numpy as np

from allmlp.estimators import KANRegressor
from allmlp.interpret.kan import feature_scores


def main() -> None:
    """About a minute on one core."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=50, help="steps of LBFGS, each time")
    epochs = parser.parse_args().epochs
    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, (600, 10))
    # the eighth column follows the third and is not in the law
    x[:, 7] = x[:, 2] + 0.3 * generator.normal(size=600)
    y = np.sin(np.pi * x[:, 2]) * np.exp(x[:, 5]) + x[:, 0] ** 2
    model = KANRegressor(widths=[10, [3, 1], 1], max_epochs=epochs, random_state=0).fit(x, y)

    read = model.model_
    kept = range(10) if read.inputs is None else read.inputs.tolist()
    found = feature_scores(read, model.kept_rows())
    for column in sorted(range(10), key=lambda column: -float(found[column])):
        mark = "" if column in kept else "  (pruned)"
        print(f"x{column + 1}: {float(found[column]):.3f}{mark}")
    print(f"R2 {model.score(x, y):.4f}")


if __name__ == "__main__":
    main()
