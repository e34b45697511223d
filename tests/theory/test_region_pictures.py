from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from allmlp.errors import AllmlpError
from allmlp.theory import LineRegions, MeanField, PlaneRegions, check_init, count_regions
from allmlp.theory.pictures import save
from allmlp.theory.region_pictures import draw_history, draw_init, draw_line, draw_regions
from allmlp.theory.relu_net import random_relu_net


@pytest.mark.parametrize("kind", ["regions", "history", "line", "init"])
def test_every_picture_can_be_drawn_twice_alike(kind: str, tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    plane = count_regions(random_relu_net((2, 8), seed=1))
    line = count_regions(random_relu_net((1, 8), seed=1))
    assert isinstance(plane, PlaneRegions)
    assert isinstance(line, LineRegions)
    points, labels = np.array([[0.0, 0.5], [9.0, 0.0]]), np.array([0, 1])
    check = check_init(MeanField("relu", 2.0), [20] * 3, draws=5)
    for i in range(2):
        figure = {
            "regions": lambda: draw_regions(plane, points=points),
            "history": lambda: draw_history([(0, plane), (7, plane)], points=points, labels=labels),
            "line": lambda: draw_line(line),
            "init": lambda: draw_init([check], curves=("relu",)),
        }[kind]()
        with (tmp_path / f"{i}.svg").open("wb") as file:
            save(figure, file, suffix="svg")
    first, second = ((tmp_path / f"{i}.svg").read_bytes() for i in range(2))
    assert first == second
    assert dict(mpl.rcParams) == before


def test_a_flat_network_can_be_drawn() -> None:
    net = random_relu_net((2, 3), bias_std=0.0)
    flat = count_regions(type(net)((0 * net.weights[0], net.weights[1]), net.biases, net.slopes))
    assert isinstance(flat, PlaneRegions)
    draw_regions(flat)


def test_a_history_of_nothing() -> None:
    with pytest.raises(AllmlpError, match="at least one count of regions"):
        draw_history([])
