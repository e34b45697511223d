"""Random small problems as people have them: a finite result, or an error that says why not."""

import math
import random

import pytest
import torch
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.interpret.kan import prune, scores, search_symbolic, symbolic_formula
from allmlp.models.kan import KAN
from allmlp.training import KANPenalty, fit, fit_kan

NAMES = ["x", "x^2", "sin", "exp", "log", "1/x", "sqrt", "abs", "sgn"]


def problem(seed: int) -> tuple[Tensor, Tensor]:
    """Few rows, constant columns, ties, doubled rows, huge and tiny units."""
    draw = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    rows, columns = draw.choice([1, 2, 3, 10, 60]), draw.choice([1, 2, 3])
    x = torch.randn(rows, columns, dtype=torch.float64, generator=generator)
    for column in range(columns):
        match draw.choice(["plain", "constant", "ties", "zeros", "heavy", "huge", "tiny", "far"]):
            case "constant":
                x[:, column] = draw.choice([0.0, 0.3, -1e6])
            case "ties":
                x[:, column] = x[:, column].round()
            case "zeros":
                x[:, column] = x[:, column].relu()
            case "heavy":
                x[:, column] = (4 * x[:, column]).exp()
            case "huge":
                x[:, column] *= 1e12
            case "tiny":
                x[:, column] *= 1e-12
            case "far":
                x[:, column] = 1e8 + x[:, column]
    if rows > 2 and draw.random() < 0.3:
        x[rows // 2 :] = x[0]
    y = x[:, :1] * draw.choice([0.0, 1.0, 1e-9, 1e9])
    if draw.random() < 0.5:
        y = y.tanh() + torch.randn(rows, 1, dtype=torch.float64, generator=generator)
    return x, y * draw.choice([1.0, 1e-8, 1e8])


def solve(seed: int) -> str:
    """What became of it; anything but a result or an AllmlpError gets out."""
    draw = random.Random(seed)
    x, y = problem(seed)
    torch.manual_seed(seed)
    kind = draw.choice([torch.float32, torch.float64])
    model = KAN([x.shape[1], draw.choice([1, 2]), 1], grid=draw.choice([1, 3, 6])).to(kind)
    try:
        model = model.scale_inputs(x.to(kind)) if draw.random() < 0.7 else model
        if draw.random() < 0.3:
            fit(model, x, y, optimizer="lbfgs", steps=2, penalty=KANPenalty("pykan", 1e-3))
        done = fit_kan(model, x, y, grids=(3, 5), steps=6, follow=draw.choice(["hidden", "all"]))
        assert math.isfinite(done.error)
        model = done.model
        x, y = x.to(kind), y.to(kind)
        assert scores(model, x).features.isfinite().all()
        pruned = prune(model, x)
        assert pruned.change.isfinite().all()
        found = search_symbolic(pruned.model, x, y, functions=NAMES, breadth=2, sweeps=1)
        assert math.isfinite(found.best.error)
        model = found.best.model
        formula = symbolic_formula(model, x)
        assert torch.from_numpy(formula(x.numpy())).isfinite().all()
        outcome = "formula"
    except AllmlpError as e:
        outcome = str(e)
        assert outcome
    assert model(x.to(kind)).isfinite().all()
    again = KAN.from_config(model.config).to(kind)
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again(x.to(kind)), model(x.to(kind)), rtol=0, atol=0)
    return outcome


@pytest.mark.parametrize("seed", [1, 2])  # of the thousand, two that take a second
def test_some_problems(seed: int) -> None:
    solve(seed)


@pytest.mark.slow
@pytest.mark.parametrize("tens", range(100))
def test_a_thousand_problems(tens: int) -> None:
    for seed in range(10 * tens, 10 * tens + 10):
        solve(seed)
