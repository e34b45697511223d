import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from allmlp.errors import AllmlpError
from allmlp.theory import (
    PlaneRegions,
    boundary_distance,
    count_regions,
    lipschitz_absolute,
    lipschitz_certificate,
    lipschitz_product,
    random_relu_net,
    spectral_norm_bracket,
)


@pytest.mark.parametrize("widths", [(2, 32, 32), (2, 4, 4, 4), (2, 50)])
def test_the_ladder_is_ordered(widths: Any) -> None:
    regions = count_regions(random_relu_net(widths, bias_std=0.3, seed=3))
    assert isinstance(regions, PlaneRegions)
    certificate = lipschitz_certificate(regions)
    assert certificate.holds
    sampled = certificate[f"steepest of {10_000:,} samples"].attained
    assert 0.5 * regions.lipschitz < sampled <= regions.lipschitz


def test_other_norms_bound_other_differences() -> None:
    net = random_relu_net((3, 20, 20), seed=0)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 500, 3))
    for ord in (1, 2, math.inf):
        change = np.linalg.norm(net(a) - net(b), ord, axis=1) / np.linalg.norm(a - b, ord, axis=1)
        assert change.max() <= lipschitz_product(net, ord)
    assert change.max() <= lipschitz_absolute(net) * math.sqrt(3)
    with pytest.raises(AllmlpError, match="1, 2 or inf"):
        lipschitz_product(net, 3)


def test_a_steep_leaky_slope_counts() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.LeakyReLU(-3.0), nn.Linear(1, 1))
    with torch.no_grad():
        model[0].weight.fill_(1)
        model[2].weight.fill_(1)
    assert lipschitz_product(model) == lipschitz_absolute(model) == 3


def test_orthogonal_layers_attain_the_product_and_spectral_norm_caps_it() -> None:
    orthogonal = nn.Sequential(
        *(parametrizations.orthogonal(nn.Linear(6, 6, bias=False)) for _ in range(3))
    )
    net = torch.randn(50, 6)
    with torch.no_grad():
        stretch = orthogonal(net).norm(dim=1) / net.norm(dim=1)
    assert lipschitz_product(orthogonal) == pytest.approx(1, abs=1e-5)  # float32 factors
    torch.testing.assert_close(stretch, torch.ones(50), atol=1e-5, rtol=0)
    capped = nn.Sequential(
        parametrizations.spectral_norm(nn.Linear(2, 30)), nn.ReLU(),
        parametrizations.spectral_norm(nn.Linear(30, 1)),
    )  # fmt: skip
    for _ in range(50):  # the power iterations of training mode
        capped(torch.randn(4, 2))
    assert lipschitz_product(capped) == pytest.approx(1, abs=1e-4)
    regions = count_regions(capped, (-3, 3))
    assert isinstance(regions, PlaneRegions)
    assert regions.lipschitz <= lipschitz_product(capped)


@pytest.mark.parametrize("shape", [(12, 8), (5, 7), (1, 4), (3, 3)])
def test_certified_norms_hold_the_true_one(shape: Any) -> None:
    weight = np.random.default_rng(0).standard_normal(shape)
    bracket = spectral_norm_bracket(weight)
    assert float(bracket.high / bracket.low - 1) < 3e-12
    # against a matrix whose norm is known: 2 u vᵀ with units of rational entries
    u, v = np.array([0.6, 0.8]), np.array([5, 12]) / 16
    exact = spectral_norm_bracket(np.outer(u, v) * 32)
    truth = 26 * (0.6**2 + 0.8**2) ** 0.5
    assert float(exact.low) <= truth * (1 + 1e-15) <= float(exact.high) * (1 + 1e-15)


def test_zero_has_norm_zero_and_a_gap_can_be_too_small() -> None:
    assert spectral_norm_bracket(np.zeros((2, 3))).high == 0
    with pytest.raises(AllmlpError, match="widen the gap"):
        spectral_norm_bracket(np.random.default_rng(0).standard_normal((6, 6)), gap=1e-18)


def test_distances_to_the_boundary_are_those_of_the_polygons() -> None:
    net = random_relu_net((2, 12, 12), bias_std=0.3, seed=1)
    regions = count_regions(net, (-2, 2))
    assert isinstance(regions, PlaneRegions)
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (200, 2))
    found = boundary_distance(net, points)
    for point, cell, distance in zip(points, regions.locate(points), found, strict=True):
        polygon = regions.polygons[int(cell)]
        edges = np.roll(polygon, -1, axis=0) - polygon
        to = point - polygon
        across = edges[:, 0] * to[:, 1] - edges[:, 1] * to[:, 0]
        nearest = (across / np.linalg.norm(edges, axis=1)).min()
        # the sides of the box are no boundary of the network's region
        assert distance == pytest.approx(nearest, abs=1e-9) or distance > nearest > 1e-9


def test_a_network_without_kinks_has_no_boundary() -> None:
    assert boundary_distance(nn.Linear(3, 2), np.zeros((1, 3))).tolist() == [math.inf]


def test_distances_of_points_of_another_width_are_refused() -> None:
    with pytest.raises(AllmlpError, match=r"of 3 inputs are rows of as many numbers, got .*6, 2"):
        boundary_distance(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), np.zeros((6, 2)))
