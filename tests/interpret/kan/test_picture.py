from io import BytesIO

import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.interpret.kan import draw_edge, draw_kan
from allmlp.models.kan import KAN


def net() -> KAN:
    model = KAN([3, [1, 1], 1], grid=3).double().keep(inputs=[0, 2])
    return model.set_symbolic({(0, 1, 0): ("sin", (2.0, 0.0, 1.0, 0.0))})


def test_one_panel_for_every_edge_with_its_true_curve() -> None:
    model, x = net(), torch.rand(50, 3, dtype=torch.float64)
    figure = draw_kan(model, x)
    whole, *panels = figure.axes
    assert len(panels) == 2 * 3 + 2
    assert [t.get_text() for t in whole.texts] == ["x1", "x3", "+", "×", "+"]
    red = [p for p in panels if p.lines[0].get_color() == "#c0392b"]
    assert [p.texts[0].get_text() for p in red] == ["sin"]
    read, given = (torch.tensor(v) for v in red[0].lines[0].get_data())
    torch.testing.assert_close(read, x[:, 2].sort().values)
    torch.testing.assert_close(given, torch.sin(2 * read))
    file = BytesIO()
    figure.savefig(file, format="svg")
    assert b"<image" not in file.getvalue()  # vectors alone


def test_edges_that_matter_are_opaque() -> None:
    model, x = KAN([2, 1]).double(), torch.rand(50, 2, dtype=torch.float64)
    with torch.no_grad():
        model.layers[0].numeric.spline_weight[0, :, 0] = 0
        model.layers[0].numeric.base_weight[0, 0] = 0
    alphas = [panel.lines[0].get_alpha() for panel in draw_kan(model, x).axes[1:]]
    assert alphas[0] == pytest.approx(0.04)
    assert alphas[1] == pytest.approx(0.995, abs=1e-3)  # tanh 3


def test_one_edge() -> None:
    x = torch.rand(50, 3, dtype=torch.float64)
    figure = draw_edge(net(), 0, 1, 0, x)
    assert len(figure.axes[0].lines) == 2


def test_mistakes() -> None:
    x = torch.rand(5, 2)
    with pytest.raises(AllmlpError, match="has 800 active ones; prune it first"):
        draw_kan(KAN([2, 20, 38]), x)
    with pytest.raises(AllmlpError, match="reads 2 columns, got 1 names"):
        draw_kan(KAN([2, 1]), x, names=["a"])
