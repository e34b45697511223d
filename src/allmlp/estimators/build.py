"""From an encoded table to a model, and from a model to its optimizer.

Axes: n rows, c columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from allmlp.data import TableEncoder
from allmlp.errors import check_choice
from allmlp.estimators.recipes import EMBEDDINGS
from allmlp.layers import (
    LinearEmbedding,
    PBLDEmbedding,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
    TableStem,
)
from allmlp.models.realmlp import RealMLP
from allmlp.models.tabm import TabM, TabMMini, TabMPacked
from allmlp.models.tabular import TabularMLP, TabularResNet

__all__ = ["Blueprint", "build_model", "scale_rates"]


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """Everything that a model is built from beside its data."""

    model: str
    embedding: str
    embedding_width: int | None
    sigma: float | None
    width: int
    depth: int
    dropout: float
    members: int
    one_hot: int
    category_dropout: float
    classes: bool


def build_model(
    plan: Blueprint, encoder: TableEncoder, edges: Sequence[np.ndarray], num_outputs: int
) -> nn.Module:
    """The model with fresh weights, drawn from torch's global state.

    Args:
        plan: what to build.
        encoder: of the rows it will see.
        edges: of the features' bins, for `ple`.
        num_outputs: values, or classes.

    Raises:
        AllmlpError: an unknown embedding or model, or sizes that do not fit.
    """
    stem = TableStem(
        len(encoder.numbers),
        encoder.num_flags,
        encoder.levels,
        embedding=_embedding(plan, edges, len(encoder.numbers)),
        one_hot=plan.one_hot,
        category_dropout=plan.category_dropout,
    )
    sizes: dict[str, Any] = {"width": plan.width, "depth": plan.depth, "dropout_rate": plan.dropout}
    plain = {"mlp": TabularMLP, "resnet": TabularResNet}
    ensembles = {"tabm": TabM, "tabm-mini": TabMMini, "tabm-packed": TabMPacked}
    check_choice("model", plan.model, [*plain, *ensembles, "realmlp"])
    if plan.model in plain:
        return plain[plan.model](stem, num_outputs, **sizes)
    if plan.model in ensembles:
        return ensembles[plan.model](stem, num_outputs, members=plan.members, **sizes)
    activation = "selu" if plan.classes else "mish"
    return RealMLP(stem, num_outputs, activation=activation, **sizes)


def scale_rates(optimizer: Optimizer, model: nn.Module) -> Optimizer:
    """Give the parts of the model the learning rates that they ask for (`lr_factors`), in place."""
    if not hasattr(model, "lr_factors"):
        return optimizer
    factors = {id(p): model.lr_factors().get(name, 1.0) for name, p in model.named_parameters()}
    groups = []
    for group in optimizer.param_groups:
        for factor in sorted({factors[id(p)] for p in group["params"]}):
            same = [p for p in group["params"] if factors[id(p)] == factor]
            groups.append({**group, "params": same, "lr": group["lr"] * factor})
    optimizer.param_groups = groups
    return optimizer


def _embedding(plan: Blueprint, edges: Sequence[np.ndarray], features: int) -> nn.Module | None:
    check_choice("num_embedding", plan.embedding, EMBEDDINGS)
    if plan.embedding == "none" or not features:
        return None
    size: dict[str, Any] = {} if plan.embedding_width is None else {"width": plan.embedding_width}
    if plan.embedding == "ple":
        return PiecewiseLinearEmbedding([torch.from_numpy(e) for e in edges], **size)
    if plan.embedding == "linear":
        return LinearEmbedding(features, activation=nn.ReLU(), **size)
    spread: dict[str, Any] = {} if plan.sigma is None else {"sigma": plan.sigma}
    if plan.embedding == "pbld":
        return PBLDEmbedding(features, **size, **spread)
    return PeriodicEmbedding(features, lite=plan.embedding == "plr-lite", **size, **spread)
