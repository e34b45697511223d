"""Draws the pictures of these pages: python docs/theory/make_pictures.py."""

import io
import random
from fractions import Fraction
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from allmlp.files import replace_file
from allmlp.theory import (
    ExactNet,
    MeanField,
    PlaneRegions,
    approximate,
    barron_greedy,
    check_init,
    count_regions,
    escape_path,
    inner_functions,
    memorize,
    random_relu_net,
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
from allmlp.theory.region_history import region_history, spiral_task
from allmlp.theory.region_pictures import draw_counts, draw_history, draw_init, draw_regions

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


def spiral_history() -> Figure:
    """Regions of a small network while it learns two spirals."""
    model, step, inputs, labels = spiral_task((2, 24, 24))
    history = region_history(model, step, (0, 200, 2000))
    return draw_history(history, points=inputs.double().numpy(), labels=labels.numpy())


def one_plane() -> PlaneRegions:
    """A random network."""
    regions = count_regions(random_relu_net((2, 16, 16), bias_std=0.3))
    assert isinstance(regions, PlaneRegions)
    return regions


def main() -> None:
    """Writes the pictures of the pages."""
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
        "region_counts": draw_counts(),
        "initialisation": draw_init(
            [check_init(MeanField("relu", v), [200] * 12) for v in (2.0, 1.0, 2.4)]
        ),
    }
    FOLDER.mkdir(exist_ok=True)
    for name, figure in figures.items():
        with replace_file(FOLDER / f"{name}.svg") as file:
            save(figure, file, suffix="svg")
    # shades by the thousand: pixels in few colours are a tenth of the size
    for name, figure in (("regions", draw_regions(one_plane())), ("history", spiral_history())):
        pixels = io.BytesIO()
        save(figure, pixels, suffix="png")
        picture = Image.open(pixels).convert("RGB").quantize(48, dither=Image.Dither.NONE)
        with replace_file(FOLDER / f"{name}.png") as file:
            picture.save(file, format="PNG", optimize=True)


if __name__ == "__main__":
    main()
