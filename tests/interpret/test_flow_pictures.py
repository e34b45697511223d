import io
import math

import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from allmlp.errors import AllmlpError
from allmlp.interpret import draw_flow, draw_flow_history
from allmlp.training import FlowReport, GradFlow


def watched(bound: float, activation: type[nn.Module] = nn.ReLU, steps: int = 1) -> GradFlow:
    layers: list[nn.Module] = []
    for _ in range(12):
        layers += [nn.Linear(64, 64, bias=False), activation()]
    net = nn.Sequential(*layers, nn.Linear(64, 3))
    for layer in layers[::2]:
        nn.init.uniform_(layer.weight, -bound, bound)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with GradFlow(net) as flow:
        for _ in range(steps):
            nn.functional.cross_entropy(
                net(torch.randn(64, 64)), torch.randint(0, 3, (64,))
            ).backward()
            optimizer.step()
            optimizer.zero_grad()
    return flow


def written(figure: Figure) -> int:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return len(file.getvalue())


def test_bars_are_the_numbers_of_the_record() -> None:
    report = watched(math.sqrt(6 / 64)).report()
    figure = draw_flow(report)
    gradient, update, activity = figure.axes
    heights = [bar.get_height() for bar in gradient.patches]
    assert heights == [layer.gradient for layer in report.record.layers]
    assert gradient.get_yscale() == "log"
    weights = {p.name: p for p in report.record.parameters}
    assert update.patches[0].get_height() == pytest.approx(weights["0.weight"].update_ratio)
    assert len(activity.patches) == 12
    assert written(figure) > 10_000


def test_verdicts_stand_above_and_colour_the_bars() -> None:
    small, right = watched(0.3 * math.sqrt(6 / 64)).report(), watched(math.sqrt(6 / 64)).report()
    colours = [draw_flow(r).axes[0].patches[0].get_facecolor() for r in (small, right)]
    assert colours[0] != colours[1]
    titles = [draw_flow(r).get_suptitle() for r in (small, right)]
    assert "vanishing: the gradient shrinks" in titles[0]
    assert "healthy" in titles[1]


def test_saturation_and_zero_gradients_are_shown() -> None:
    figure = draw_flow(watched(3.0, nn.Tanh).report())
    assert len(figure.axes[2].patches) == 24  # dead and saturated
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    nn.init.zeros_(net[2].weight)
    with GradFlow(net) as flow:
        net(torch.randn(40, 3)).sum().backward()
    gradient = draw_flow(flow.report()).axes[0]
    assert list(gradient.lines[0].get_xdata()) == [0]  # a cross for the first layer
    assert len(gradient.patches) == 1


def test_history() -> None:
    flow = watched(math.sqrt(6 / 64), steps=4)
    figure = draw_flow_history(flow.records)
    size, ratio = figure.axes
    assert list(size.lines[0].get_xdata()) == [0, 1, 2, 3]
    assert len(ratio.lines[0].get_xdata()) == 4
    assert written(figure) > 5_000


def test_nothing_to_draw() -> None:
    with pytest.raises(AllmlpError, match="needs a measured step"):
        draw_flow_history([])
    record = watched(0.3).records[0]
    empty = type(record)(0, None, None, None, (), (), ())
    with pytest.raises(AllmlpError, match="needs a measured layer"):
        draw_flow(FlowReport(empty))


def test_what_is_not_finite_is_marked() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    with GradFlow(model) as flow:
        model(torch.full((2, 4), torch.nan)).sum().backward()
    figure = draw_flow(flow.report())
    figure.savefig(io.BytesIO())
