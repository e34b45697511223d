"""Figures take on the colours of their page, and leave matplotlib as it was."""

import re

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from allmlp.report import new_figure, picture
from allmlp.report.palette import DARK, LIGHT, NEGATIVE, POSITIVE, SERIES, STRENGTH


def test_colours_become_variables_of_the_page() -> None:
    with new_figure() as figure:
        axis = figure.subplots()
        axis.plot([1, 2], color=SERIES[1])
        axis.axhline(1.5, color="black")
        axis.set_title("Title")
    svg = picture(figure, alt="A line.").svg
    assert svg is not None
    assert "stroke: var(--c2)" in svg
    assert "stroke: var(--ink)" in svg
    assert not re.search(r"#[0-9a-f]{6}", svg)
    assert re.search("<text[^>]*>Title</text>", svg)
    assert not re.search("<metadata|<style", svg)


def test_what_the_axes_say_is_not_touched() -> None:
    with new_figure() as figure:
        axis = figure.subplots()
        axis.plot([0.0025, 0.0075])
        axis.set_title("0.123456 : #095993")
    svg = picture(figure, alt="A line.").svg
    assert svg is not None
    assert ">0.123456 : #095993<" in svg
    assert ">0.004<" in svg
    assert not re.search(r'd="[^"]*\d\.\d{3}', svg)  # places are rounded


def test_a_figure_made_elsewhere_is_welcome() -> None:
    figure = Figure()
    figure.subplots().plot([1, 2], color="#123456")
    svg = picture(figure, alt="A line.").svg
    assert svg is not None
    assert "#123456" in svg
    assert "#ffffff" not in svg


def test_settings_come_back() -> None:
    before = dict(mpl.rcParams)
    with new_figure() as figure:
        figure.subplots()
    picture(figure, alt="Empty axes.")
    assert dict(mpl.rcParams) == before


def _linear(colour: str) -> np.ndarray:
    """Linear RGB in [0, 1], by the sRGB curve."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _contrast(a: str, b: str) -> float:
    """WCAG 2.2's ratio of relative luminances."""
    low, high = sorted(_linear(c) @ [0.2126, 0.7152, 0.0722] for c in (a, b))
    return float((high + 0.05) / (low + 0.05))


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_everything_stands_out_from_the_paper(colours: dict[str, str]) -> None:
    for background in ("paper", "panel"):
        assert _contrast(colours["ink"], colours[background]) >= 7
        assert _contrast(colours["muted"], colours[background]) >= 4.5
        for role in ("c1", "c2", "c3", "c4", "c5"):
            assert _contrast(colours[role], colours[background]) >= 3
        for colour in (POSITIVE, NEGATIVE, STRENGTH):
            assert _contrast(colour, colours[background]) >= 3


# Machado, Oliveira and Fernandes 2009, severity 1.0: protanopia, deuteranopia, tritanopia
BLINDNESS = {
    "none": np.eye(3),
    "protan": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deutan": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritan": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}


def _lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear RGB under D65."""
    xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    ) @ rgb.clip(0, 1)
    ratio = xyz / [0.95047, 1.0, 1.08883]
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_series_differ_for_everybody(colours: dict[str, str], blindness: str) -> None:
    labs = [_lab(BLINDNESS[blindness] @ _linear(colours[f"c{i}"])) for i in range(1, 6)]
    distances = {
        (i + 1, j + 1): np.linalg.norm(labs[i] - labs[j]) for i in range(5) for j in range(i)
    }
    # 2.3 is the smallest difference that is noticed; thin lines need a multiple of it
    assert min(distances.values()) >= 15, distances


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_signs_of_maps_differ_for_everybody(blindness: str) -> None:
    labs = [_lab(BLINDNESS[blindness] @ _linear(colour)) for colour in (POSITIVE, NEGATIVE)]
    assert np.linalg.norm(labs[0] - labs[1]) >= 40  # large areas, by shades of one colour
