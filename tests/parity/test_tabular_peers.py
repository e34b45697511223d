"""Numeric embeddings and TabM against rtdl_num_embeddings and tabm, with copied weights."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from allmlp.layers import (
    LinearEmbedding,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
    TableStem,
)
from allmlp.models.tabm import TabM, TabMMini, TabMPacked

rtdl = pytest.importorskip("rtdl_num_embeddings")
pytestmark = pytest.mark.filterwarnings("ignore:The .-th feature has just two bin edges")

# bins of three, one and two per feature: padding and the single bin are in it
EDGES = [
    torch.tensor([-1.0, -0.2, 0.3, 1.5]),
    torch.tensor([0.0, 2.0]),
    torch.tensor([-2.0, 0.1, 0.7]),
]
# beyond the edges as well
X = torch.linspace(-3, 3, 60).view(20, 3)


def copy(ours: nn.Module, theirs: nn.Module, names: dict[str, str]) -> None:
    state = theirs.state_dict()
    ours.load_state_dict({mine: state[name] for mine, name in names.items()}, strict=False)
    trained = {name for name, _ in ours.named_parameters()}
    assert trained == names.keys()


def close(ours: Tensor, theirs: Tensor) -> None:
    # the same float32 operations, added up in another order
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_linear() -> None:
    theirs = rtdl.LinearReLUEmbeddings(3, 8)
    ours = LinearEmbedding(3, 8, activation=nn.ReLU())
    copy(ours, theirs, {"weight": "linear.weight", "bias": "linear.bias"})
    close(ours(X), theirs(X))


@pytest.mark.parametrize("lite", [False, True])
def test_periodic(lite: bool) -> None:
    theirs = rtdl.PeriodicEmbeddings(3, 8, n_frequencies=5, frequency_init_scale=0.5, lite=lite)
    ours = PeriodicEmbedding(3, 8, num_frequencies=5, sigma=0.5, lite=lite)
    names = {f"linear.{name}": f"linear.{name}" for name in ("weight", "bias")}
    copy(ours, theirs, {"frequency": "periodic.weight", **names})
    close(ours(X), theirs(X))


@pytest.mark.parametrize("edges", [EDGES, [EDGES[1]] * 3], ids=["padded", "single"])
def test_piecewise_linear(edges: list[Tensor]) -> None:
    theirs = rtdl.PiecewiseLinearEmbeddings(edges, 8, activation=False, version="B")
    nn.init.normal_(theirs.linear.weight)  # it starts at zero
    ours = PiecewiseLinearEmbedding(edges, 8)
    copy(ours, theirs, {**LINEAR0, "bins.weight": "linear.weight"})
    close(ours(X), theirs(X))
    encoded = rtdl.PiecewiseLinearEncoding(edges)(X)
    assert encoded.sum() == pytest.approx(ours.encode(X).sum().item(), rel=1e-5)


LINEAR0 = {"linear.weight": "linear0.weight", "linear.bias": "linear0.bias"}
MODELS = {"tabm": TabM, "tabm-mini": TabMMini, "tabm-packed": TabMPacked}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("embedded", [False, True])
def test_tabm(kind: str, embedded: bool) -> None:
    tabm = pytest.importorskip("tabm")
    embedding = None
    if embedded:
        embedding = rtdl.PiecewiseLinearEmbeddings(EDGES, 8, activation=False, version="B")
        nn.init.normal_(embedding.linear.weight)
    theirs = tabm.TabM.make(
        n_num_features=3,
        cat_cardinalities=[4, 2],
        d_out=2,
        num_embeddings=embedding,
        k=6,
        d_block=16,
        n_blocks=2,
        arch_type=kind,
    ).eval()
    for name, parameter in theirs.named_parameters():
        if "bias" in name or "scaling" in name or "affine" in name:
            nn.init.normal_(parameter)  # else many are equal, and a mix-up would not show
    stem = TableStem(
        3,
        levels=[4, 2],
        embedding=PiecewiseLinearEmbedding(EDGES, 8) if embedded else None,
        one_hot=9,
    )
    ours = MODELS[kind](stem, 2, members=6, width=16, depth=2).eval()
    names = {"head.weight": "output.weight", "head.bias": "output.bias"}
    for block in range(2):
        mine, other = f"blocks.{block}.0", f"backbone.blocks.{block}.0"
        names |= {f"{mine}.weight": f"{other}.weight", f"{mine}.bias": f"{other}.bias"}
        if kind == "tabm":
            names |= {f"{mine}.{x}.weight": f"{other}.{x}" for x in ("r", "s")}
    if kind == "tabm-mini":
        names["scale.weight"] = "backbone.affine.weight"
    if embedded:
        names |= {f"stem.embedding.{m}": f"num_module.{t}" for m, t in LINEAR0.items()}
        names["stem.embedding.bins.weight"] = "num_module.linear.weight"
    copy(ours, theirs, names)
    codes = torch.arange(40).view(20, 2) % torch.tensor([4, 2])
    # their codes begin at 0, ours at 1, since 0 is what was not seen
    rows = torch.cat([X, codes + 1.0], dim=1)
    close(ours(rows), theirs(X, codes))


@pytest.mark.parametrize("embedded", [False, True])
def test_first_scales_are_drawn_alike(embedded: bool) -> None:
    stem = TableStem(
        3,
        levels=[4, 2],
        embedding=PiecewiseLinearEmbedding(EDGES, 8) if embedded else None,
        one_hot=9,
    )
    assert stem.chunks == [8 if embedded else 1] * 3 + [4, 2]
    model: Any = TabM(stem, 1, members=50, width=4, depth=2)
    scales = model.blocks[0][0].r.weight
    parts = scales.split(stem.chunks, dim=1)
    for part in parts:
        assert torch.equal(part, part[:, :1].expand_as(part))
    assert (scales.abs() == 1).all() == (not embedded)
    assert len(torch.stack([part[:, 0] for part in parts]).unique(dim=0)) == 5
    second = model.blocks[1][0]
    assert (second.r.weight == 1).all()
    assert (second.s.weight == 1).all()
    assert torch.equal(second.bias, second.bias[:1].expand_as(second.bias))
