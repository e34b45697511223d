"""A law from noisy measurements, in their own units: how long a pendulum of any length swings.

python examples/23_kan_noisy_law.py [--epochs 50]
"""

import argparse
from pathlib import Path

import numpy as np

from allmlp.data import Table
from allmlp.estimators import KANRegressor
from allmlp.report import Facts, kan_page, write_page


def measure(count: int, noise: float, seed: int) -> tuple[Table, np.ndarray]:
    """Periods in seconds of pendulums on several planets: 2 pi sqrt(length / gravity)."""
    generator = np.random.default_rng(seed)
    length = generator.uniform(0.2, 3.0, count)  # metres
    gravity = generator.uniform(1.6, 25.0, count)  # metres per second squared
    mass = generator.uniform(0.1, 5.0, count)  # kilograms, which do not matter
    period = 2 * np.pi * np.sqrt(length / gravity)
    period = period + noise * period.std() * generator.normal(size=count)
    return Table(("mass", "length", "gravity"), (mass, length, gravity)), period


def main() -> None:
    """About a minute on one core."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=50, help="steps of LBFGS, each time")
    epochs = parser.parse_args().epochs
    table, period = measure(400, noise=0.02, seed=0)
    model = KANRegressor(widths=[3, 2, 1], max_epochs=epochs, random_state=0).fit(table, period)
    unseen, exact = measure(1000, noise=0.0, seed=1)
    print(f"network: R2 {model.score(unseen, exact):.5f} on new pendulums, without noise")

    print("complexity, explained share of held-out periods, formula")
    for law in model.laws():
        print(f"{law.complexity:5} {law.explained:9.5f}  {law.short[0]}")
    symbols = ", ".join(f"{symbol} = {name}" for symbol, name in model.symbols_.items())
    law = model.law_
    error = law.formula(np.column_stack(unseen.columns))[:, 0] - exact
    print(f"chosen: period = {law.short[0]} with {symbols}")
    print(f"error on new pendulums: {np.sqrt((error**2).mean()):.4f} s")

    facts = Facts((("explained", law.explained), ("complexity", law.complexity)))
    page = kan_page(model.diagram(formula=True), title="The pendulum", facts=facts)
    write_page(Path("pendulum.html"), page)
    print("pendulum.html: the network, edge by edge")


if __name__ == "__main__":
    main()
