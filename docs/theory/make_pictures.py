"""Draws the pictures of these pages: python docs/theory/make_pictures.py."""

import random
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from allmlp.files import replace_file
from allmlp.theory import (
    ExactNet,
    approximate,
    barron_greedy,
    escape_path,
    inner_functions,
    memorize,
    superpose,
)
from allmlp.theory.pictures import (
    draw_approximation,
    draw_barron,
    draw_depth_against_width,
    draw_escape,
    draw_kolmogorov,
    draw_memorizer,
    draw_polynomial_limit,
    draw_sawtooth,
    save,
)

FOLDER = Path(__file__).parent / "pictures"


def wave(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Steepest slope 3, and a kink."""
    return np.abs(np.sin(3 * x))


def escaping_net() -> ExactNet:
    """Width 2, all units active in the middle, so that the path has several legs."""
    rng = random.Random(298)

    def weight() -> Fraction:
        return Fraction(rng.randrange(-9, 10), 6)

    hidden = [
        ([[weight() for _ in range(2)] for _ in range(2)], [Fraction(1, 2)] * 2) for _ in range(4)
    ]
    return ExactNet([*hidden, ([[weight(), weight()]], [0])])


def main() -> None:
    """Writes one SVG for each page."""
    X, y = load_digits(return_X_y=True)
    figures = {
        "approximation": draw_approximation(
            wave,
            0.0,
            1.5,
            [
                approximate(wave, (0.0, 1.5), lipschitz=3.0, units=8, activation=activation)
                for activation in ("relu", "sigmoid")
            ],
        ),
        "polynomial_limit": draw_polynomial_limit(),
        "barron": draw_barron([(d, barron_greedy(d, 200)) for d in (2, 5, 20)]),
        "sawtooth": draw_sawtooth(4),
        "depth": draw_depth_against_width(),
        "memorize": draw_memorizer(memorize(X, y, method="staircase"), X, y, first=900),
        "escape": draw_escape(escape_path(escaping_net(), (Fraction(0), Fraction(0)))),
        "kolmogorov": draw_kolmogorov(
            superpose(
                lambda x: np.sin(3 * x[:, 0]) * np.cos(2 * x[:, 1]) + x[:, 0] * x[:, 1],
                inner_functions(),
            )
        ),
    }
    FOLDER.mkdir(exist_ok=True)
    for name, figure in figures.items():
        with replace_file(FOLDER / f"{name}.svg") as file:
            save(figure, file, suffix="svg")


if __name__ == "__main__":
    main()
