import json
from pathlib import Path

import numpy as np
import pytest

from allmlp.theory import PlaneRegions, count_regions, random_relu_net
from allmlp.theory.region_files import region_geojson, save_regions


@pytest.fixture(scope="module")
def regions() -> PlaneRegions:
    found = count_regions(random_relu_net((2, 8, 8), bias_std=0.3, seed=1))
    assert isinstance(found, PlaneRegions)
    return found


def test_arrays_come_back(regions: PlaneRegions, tmp_path: Path) -> None:
    with (tmp_path / "regions.npz").open("wb") as file:
        save_regions(regions, file)
    with np.load(tmp_path / "regions.npz", allow_pickle=False) as arrays:
        assert arrays["widths"].tolist() == [8, 8]
        assert (arrays["patterns"] == regions.patterns).all()
        ends = np.cumsum(arrays["sizes"])
        for i in (0, regions.count - 1):
            polygon = arrays["points"][ends[i] - arrays["sizes"][i] : ends[i]]
            assert (polygon == regions.polygons[i]).all()
            x, y = polygon.mean(axis=0)
            value = arrays["maps"][i, 0] @ [x, y, 1]
            assert value == pytest.approx(regions.net([[x, y]])[0, 0], abs=1e-12)


def test_geojson_is_json_of_closed_rings(regions: PlaneRegions) -> None:
    document = json.loads(json.dumps(region_geojson(regions)))
    assert document["type"] == "FeatureCollection"
    assert len(document["features"]) == regions.count
    for feature in document["features"]:
        (ring,) = feature["geometry"]["coordinates"]
        assert ring[0] == ring[-1]
        assert len(ring) == feature["properties"]["edges"] + 1
    areas = [feature["properties"]["area"] for feature in document["features"]]
    assert sum(areas) == pytest.approx(4)
