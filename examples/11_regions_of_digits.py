"""The linear regions of an MLP trained on digits: counted, measured, drawn while it learns.

python examples/11_regions_of_digits.py
python examples/11_regions_of_digits.py --steps 2000 --width 128
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from allmlp.theory import (
    PlaneRegions,
    Slice,
    boundary_distance,
    count_regions,
    decision_boundary,
    lipschitz_certificate,
    region_history,
)
from allmlp.theory.pictures import save
from allmlp.theory.region_pictures import draw_history, draw_regions


def main() -> None:
    """Train, count, measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--width", type=int, default=64)
    arguments = parser.parse_args()

    X, y = load_digits(return_X_y=True)
    inputs, labels = torch.from_numpy(X / 16).float(), torch.from_numpy(y)
    order = np.random.default_rng(0).permutation(len(y))
    test, train = order[:360], order[360:]

    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(64, arguments.width),
        nn.BatchNorm1d(arguments.width),
        nn.ReLU(),
        nn.Linear(arguments.width, arguments.width),
        nn.ReLU(),
        nn.Linear(arguments.width, 10),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

    def step() -> None:
        model.train()
        batch = train[torch.randint(len(train), (128,)).numpy()]
        loss = nn.functional.cross_entropy(model(inputs[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    # a plane through a 0, a 1 and an 8; lengths on it are lengths between pictures
    corners = [X[y == digit][0] / 16 for digit in (0, 1, 8)]
    plane = Slice.through(*corners)
    at = plane.coordinates(corners)
    low, high = at.min(axis=0), at.max(axis=0)
    box = list(zip(low - (high - low) / 2, high + (high - low) / 2, strict=True))
    stops = sorted({0, *(arguments.steps * share // 100 for share in (2, 10, 25, 50, 100))})
    history = region_history(model, step, stops, box=box, slice=plane)
    for number, regions in history:
        print(f"step {number:>5}: {regions.count:,} activation regions on the plane")

    model.eval()
    with torch.no_grad():
        accuracy = (model(inputs[test]).argmax(dim=1) == labels[test]).float().mean()
    print(f"\naccuracy on 360 digits not trained on: {accuracy:.1%}\n")

    regions = history[-1][1]
    assert isinstance(regions, PlaneRegions)
    print(regions.certificate(), "\n")
    print(lipschitz_certificate(regions), "\n")
    boundary = decision_boundary(regions)
    between = sorted({(int(a), int(b)) for a, b in boundary.classes})
    print(f"decision boundary: {len(boundary.segments)} segments, between digits {between}")
    along = count_regions(model, (0, 1), Slice(corners[0], [corners[1] - corners[0]]))
    print(f"on the segment from the 0 to the 1: {along.count} regions")
    distances = boundary_distance(model, X[test] / 16)
    print(f"distance of a digit to the nearest kink, median: {np.median(distances):.4f}")
    print(f"distance to the nearest other digit, median: {_nearest(X[test] / 16):.2f}")

    for name, figure in (
        ("regions", draw_regions(regions, points=at)),
        ("history", draw_history(history, points=at)),
    ):
        path = Path(f"digits_{name}.png")
        with path.open("wb") as file:
            save(figure, file, suffix="png")
        print(f"wrote {path}")


def _nearest(points: np.ndarray) -> float:
    """Median distance of a point to its nearest neighbour."""
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    return float(np.median(gaps.min(axis=1)))


if __name__ == "__main__":
    main()
