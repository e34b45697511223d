"""Regions of a plane as files: arrays for programs, GeoJSON for viewers.

Coordinates are those of the slice.
"""

from typing import IO, Any

import numpy as np

from allmlp.theory.plane_regions import PlaneRegions

__all__ = ["region_geojson", "save_regions"]


def save_regions(regions: PlaneRegions, file: IO[bytes]) -> None:
    """Writes an npz file without pickled objects.

    Arrays: `points` (t, 2) and `sizes` (c,), the corners of all regions one after the other;
    `labels` (t,), what the edge behind each corner lies on (a hidden unit's number counted through
    all layers, or -1 to -4: the box's lower, right, upper, left side); `patterns` (c, bytes);
    `maps` (c, k, 3); `widths`, `box`, `origin`, `directions`.

    Args:
        regions: what to write.
        file: open for writing bytes.
    """
    np.savez_compressed(
        file,
        points=regions.cells.points,
        sizes=regions.cells.sizes,
        labels=regions.cells.labels,
        patterns=regions.patterns,
        maps=regions.maps,
        widths=np.array(regions.net.widths),
        box=np.array(regions.box),
        origin=regions.slice.origin,
        directions=regions.slice.directions,
    )


def region_geojson(regions: PlaneRegions) -> dict[str, Any]:
    """A FeatureCollection of polygons, ready for `json.dump`.

    GeoJSON but for its axes, which are slice coordinates and no longitudes. Each feature has its
    `area`, number of `edges`, `slope` (`gradient_norms`) and `pattern` in hexadecimal digits.
    """
    features = []
    rows = zip(
        regions.polygons, regions.areas, regions.gradient_norms, regions.patterns, strict=True
    )
    for i, (polygon, area, slope, pattern) in enumerate(rows):
        ring = polygon.tolist()
        features.append(
            {
                "type": "Feature",
                "id": i,
                "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
                "properties": {
                    "area": float(area),
                    "edges": len(ring),
                    "slope": float(slope),
                    "pattern": pattern.tobytes().hex(),
                },
            }
        )
    return {"type": "FeatureCollection", "features": features}
