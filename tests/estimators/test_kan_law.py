"""Which law is chosen, and what survives of a network."""

import pytest
import sympy
import torch
from torch import Tensor

from allmlp.estimators.kan_law import TableLaw, choose_law, find_laws, prune_network
from allmlp.estimators.kan_rows import Rows
from allmlp.interpret.kan import Formula, Law, active_edges
from allmlp.models.kan import KAN
from allmlp.training import MemberRegression


def law(length: int, losses: Tensor) -> TableLaw:
    x = sympy.Symbol("x1", real=True)
    expression = sum(x**n for n in range(1, length + 1))
    formula = Formula((expression,), (x,), 0.0, None)
    found = Law(KAN([1, 1]), (((0, 0, 0), "x"),), 0.0, length, 0.0)
    return TableLaw(found, formula, (expression,), 0.0, losses)


def test_the_simplest_law_that_rows_cannot_tell_from_the_best() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(400, generator=generator).square()
    fair = law(2, noise)
    chance = torch.randn(400, generator=generator)
    lucky = law(5, noise - 1e-4 + 0.05 * (chance - chance.mean()))
    poor = law(1, noise + 0.2)
    assert lucky.losses.mean() < fair.losses.mean() < poor.losses.mean()
    assert choose_law([poor, fair, lucky]) is fair
    assert choose_law([poor, fair, law(5, noise - 0.1)]).complexity > fair.complexity
    assert choose_law([poor]) is poor


def test_weights_count() -> None:
    x = torch.linspace(-1, 1, 40, dtype=torch.float64)[:, None]
    y = x.clone()
    y[::2] = 5.0
    weights = torch.ones(40, dtype=torch.float64)
    weights[::2] = 0.0
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = KAN([1, 1], grid=2).double()
    laws, _ = find_laws(
        model,
        Rows(x, y, weights),
        None,
        MemberRegression(),
        inputs=([0.0], [1.0]),
        outputs=None,
        names=["t"],
        steps=3,
    )
    assert str(laws[-1].short[0]) == "t"
    assert laws[-1].explained == pytest.approx(1)


def test_a_network_is_never_pruned_to_nothing() -> None:
    model = KAN([2, 2, 1], base=None).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    x = torch.rand(20, 2, dtype=torch.float64)
    kept = prune_network(model, x)
    assert {edge[0] for edge in active_edges(kept)} == {0, 1}


@pytest.mark.slow
def test_a_deep_law_is_found_from_random_weights() -> None:
    generator = torch.Generator().manual_seed(0)
    x, x_held = (
        torch.rand(n, 2, dtype=torch.float64, generator=generator) * 2 - 1 for n in (600, 200)
    )

    def truth(x: Tensor) -> Tensor:
        return torch.exp(torch.sin(torch.pi * x[:, :1]) + x[:, 1:] ** 2)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = KAN([2, 2, 1], grid=3).double()
    laws, _ = find_laws(
        model,
        Rows(x, truth(x)),
        Rows(x_held, truth(x_held)),
        MemberRegression(),
        inputs=([0.0, 0.0], [1.0, 1.0]),
        outputs=None,
        names=["s", "t"],
    )
    chosen = choose_law(laws)
    assert chosen.explained > 1 - 1e-12
    assert set(chosen.functions) <= {"sin", "cos", "x^2", "exp"}
