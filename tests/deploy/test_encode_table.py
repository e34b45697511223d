import numpy as np
import pytest
import torch
from scipy.special import ndtri

from allmlp.data import fit_encoder
from allmlp.data.table import Table
from allmlp.data.table_encoder import TAIL
from allmlp.deploy.encode_table import EncodeTable, normal_quantile


def some_table(count: int, seed: int = 0, stretch: float = 1.0) -> Table:
    """Numbers of all kinds: many equal ones, whole ones, huge ones with gaps; texts with gaps."""
    draw = np.random.default_rng(seed)
    columns = {
        "even": stretch * draw.normal(size=count),
        "heavy": stretch * np.where(draw.random(count) < 0.7, 0, draw.exponential(size=count)),
        "whole": draw.integers(0, 5, count).astype(float),
        "gaps": np.where(draw.random(count) < 0.3, np.nan, 1e9 * draw.normal(size=count)),
    }
    letters = ["x", "y", "z", "new" if stretch > 1 else "x", None]
    texts = np.array([letters[i] for i in draw.integers(0, 5, count)], dtype=object)
    return Table((*columns, "letter"), (*columns.values(), texts))


@pytest.mark.parametrize("scaling", ["quantile", "robust", "standard", "range"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_rows_as_the_encoder(scaling: str, dtype: str) -> None:
    encoder = fit_encoder(some_table(500), scaling=scaling, dtype=dtype)
    others = some_table(300, seed=1, stretch=4.0)  # beyond the training's range
    for table in (some_table(500), others):
        numbers, codes = encoder.columns(table)
        found = EncodeTable(encoder)(torch.from_numpy(numbers), torch.from_numpy(codes))
        expected = encoder.encode(table)
        assert found.dtype == getattr(torch, dtype)
        # a rank that is rounded otherwise, by 1e-16, is 2e6 times as far from others in the tails
        assert np.abs(found.numpy() - expected).max() < (1e-6 if dtype == "float32" else 1e-9)


def test_numbers_alone_and_texts_alone() -> None:
    table = some_table(100)
    alone = table.drop("letter")
    encoder = fit_encoder(alone)
    numbers, codes = encoder.columns(alone)
    assert codes.shape == (100, 0)
    rows = EncodeTable(encoder)(torch.from_numpy(numbers))
    assert np.array_equal(rows.numpy(), encoder.encode(alone))
    texts = table.drop("even", "heavy", "whole", "gaps")
    encoder = fit_encoder(texts)
    numbers, codes = encoder.columns(texts)
    assert numbers.shape == (100, 0)
    rows = EncodeTable(encoder)(torch.from_numpy(codes))
    assert np.array_equal(rows.numpy(), encoder.encode(texts))


def test_normal_quantile() -> None:
    p = np.concatenate([np.linspace(TAIL, 1 - TAIL, 10_001), [1e-6, 0.075, 0.925, 0.5]])
    found = normal_quantile(torch.from_numpy(p)).numpy()
    assert np.abs(found - ndtri(p)).max() < 1e-14
    ends = normal_quantile(torch.tensor([0.0, 1.0], dtype=torch.float64)).numpy()
    assert ends == pytest.approx([ndtri(TAIL), -ndtri(TAIL)], abs=1e-8)
