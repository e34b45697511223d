"""What GradFlow says of a training: what is wrong and where, or that nothing is."""

import json
import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, AdamW

from allmlp.training import FlowReport, GradFlow
from allmlp.training.flow_record import ActivationFlow, FlowRecord, LayerFlow, NonFinite
from allmlp.training.flow_report import depth_ratio, judge
from allmlp.zoo import create_model

Reporter = Callable[[nn.Module, Callable[[], Tensor]], FlowReport]


def stack(bound: float, depth: int = 20, width: int = 256, d_in: int = 784) -> nn.Sequential:
    """Bias-free ReLU layers, uniform on +-sqrt(bound / fan_in), and a head."""
    sizes = [d_in] + [width] * depth
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        linear = nn.Linear(fan_in, fan_out, bias=False)
        nn.init.uniform_(linear.weight, -math.sqrt(bound / fan_in), math.sqrt(bound / fan_in))
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, 10, bias=False))


def batch(size: int = 64, d_in: int = 784) -> tuple[Tensor, Tensor]:
    return torch.randn(size, d_in), torch.randint(0, 10, (size,))


def loss_of(model: nn.Module, size: int = 64, d_in: int = 784) -> Tensor:
    x, y = batch(size, d_in)
    return F.cross_entropy(model(x), y)


def kinds(report: FlowReport) -> list[str]:
    return [verdict.kind for verdict in report.verdicts]


@pytest.mark.parametrize("seed", range(3))
def test_tells_the_wrong_initialisation_from_the_right_one(report_on: Reporter, seed: int) -> None:
    torch.manual_seed(seed)
    wrong, right = stack(2), stack(6)  # the bound without and with its sqrt(3)
    report = report_on(wrong, lambda: loss_of(wrong))
    assert kinds(report) == ["vanishing"]
    # variance 1/3 of He's: every layer costs sqrt(3), and the medians lie 15 layers apart
    assert depth_ratio(report.record) == pytest.approx(3 ** (-15 / 2), rel=0.3)
    assert report.verdicts[0].where == "0"
    report = report_on(right, lambda: loss_of(right, size=256))
    assert kinds(report) == ["healthy"]
    # each of 15 layers scatters by about 1 / sqrt(256): a factor of 2 is three deviations away
    assert 0.5 < depth_ratio(report.record) < 2


def test_weight_gradients_do_not_show_it() -> None:
    model = stack(2).double()
    x, y = batch()
    with GradFlow(model) as flow:
        output = model(x.double())
        F.cross_entropy(output, y).backward()
    hidden = flow.records[0].parameters[1:-1]
    norms = [p.gradient for p in hidden]
    assert 0.5 < norms[0] / norms[-1] < 2
    # why: the output is linear in the scale of every layer, so <W, dL/dW> is the same for all
    products = [(p * p.grad).sum().item() for p in model.parameters()]
    assert products == pytest.approx([products[0]] * 21, rel=1e-10)


def test_exploding(report_on: Reporter) -> None:
    model = stack(36, depth=12, width=64)
    report = report_on(model, lambda: loss_of(model))
    assert kinds(report) == ["exploding"]


def test_dead_units_of_a_module_and_of_a_function(report_on: Reporter) -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(784, 100), nn.Linear(100, 100)
            self.head = nn.Linear(100, 10)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(F.relu(self.second(F.relu(self.first(x)))))

    def kill(layer: nn.Linear) -> None:
        with torch.no_grad():
            layer.bias[:60] = -100

    functional = Functional()
    kill(functional.second)
    report = report_on(functional, lambda: loss_of(functional))
    assert kinds(report) == ["dead"]
    assert report.verdicts[0].where == "second"
    assert report.record.layers[1].idle == pytest.approx(0.6)

    modules = nn.Sequential(nn.Linear(784, 100), nn.ReLU(inplace=True), nn.Linear(100, 10))
    kill(modules[0])
    report = report_on(modules, lambda: loss_of(modules))
    assert kinds(report) == ["dead"]
    assert report.verdicts[0].where == "1"
    assert report.record.activations[0].dead == pytest.approx(0.6)
    # of two examples a sound unit misses both every fourth time: no verdict
    assert "dead" not in kinds(report_on(modules, lambda: loss_of(modules, size=2)))


def test_dead_channels_and_dead_tokens(report_on: Reporter) -> None:
    conv = nn.Sequential(nn.Conv2d(1, 10, 3), nn.BatchNorm2d(10), nn.Dropout(0.1), nn.ReLU())
    with torch.no_grad():
        conv[1].bias[:6] = -100
    report = report_on(conv, lambda: conv(torch.randn(8, 1, 6, 6)).sum())
    assert report.record.activations[0].dead == pytest.approx(0.6)
    assert report.record.activations[0].examples == 8 * 16
    assert report.record.layers[0].idle == pytest.approx(0.6)

    mixer = create_model("mixer_digits", depth=1)
    token_mlp = mixer.get_submodule("blocks.0.token_mlp")
    token_mlp.activation = nn.ReLU()
    with torch.no_grad():
        token_mlp.fc1.bias[:24] = -100  # of 32, for every channel
    report = report_on(mixer, lambda: mixer(torch.randn(8, 1, 8, 8)).sum())
    dead = {a.name: a.dead for a in report.record.activations}
    assert dead["blocks.0.token_mlp.activation"] == pytest.approx(0.75)


def test_saturated(report_on: Reporter) -> None:
    model = nn.Sequential(nn.Linear(784, 50), nn.Tanh(), nn.Linear(50, 10))
    nn.init.normal_(model[0].weight, std=1 / 28)  # pre-activations of variance 1
    report = report_on(model, lambda: loss_of(model, size=1000))
    # 2 P(Z > artanh 0.97) for a standard normal Z
    expected = math.erfc(math.atanh(0.97) / math.sqrt(2))
    assert report.record.activations[0].saturated == pytest.approx(expected, abs=0.005)
    assert kinds(report) == ["healthy"]
    with torch.no_grad():
        model[0].weight.mul_(10)
    assert kinds(report_on(model, lambda: loss_of(model))) == ["saturated"]
    # called once more, on values that do not saturate it
    late = nn.Sequential(model, nn.Linear(10, 50), model[1], nn.Linear(50, 10))
    assert kinds(report_on(late, lambda: loss_of(late))) == ["saturated"]


def test_names_the_first_module_that_is_not_finite(report_on: Reporter) -> None:
    class Log(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.log()

    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(Log(), nn.Linear(4, 4)), nn.ReLU())
    with GradFlow(model) as flow:
        model(torch.ones(3, 4)).sum()  # nobody calls backward on NaN
    assert flow.report().record.nonfinite == NonFinite("1.0", "output")
    assert "output of 1.0 is the first that is not finite, at step 0" in str(flow.report())

    root = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    nn.init.zeros_(root[1].weight)
    nn.init.zeros_(root[1].bias)
    report = report_on(root, lambda: root(torch.ones(3, 4)).sqrt().sum())
    assert report.record.nonfinite == NonFinite("1", "gradient")


def test_the_first_bad_step_stays_in_the_report() -> None:
    model = nn.Linear(4, 1)
    optimizer = SGD(model.parameters(), lr=1.0)
    with GradFlow(model) as flow:
        for factor in (1.0, math.inf, 1.0):
            (model(torch.ones(2, 4)) * factor).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    found = [r.nonfinite for r in flow.records]
    assert found == [
        None,
        NonFinite("(model)", "gradient"),
        NonFinite("weight", "weight"),
    ]
    assert flow.report().record.step == 1
    text = json.dumps(flow.records[2].to_json(), allow_nan=False)
    assert float(json.loads(text)["parameters"][0]["weight"]) == math.inf


def test_a_head_of_zeros_is_blocked_at_first_and_not_vanishing_later() -> None:
    model = create_model("mixer_digits")
    optimizer = AdamW(model.parameters(), lr=1e-5)
    with GradFlow(model) as flow:
        for _ in range(2):
            x, y = torch.randn(8, 1, 8, 8), torch.randint(0, 10, (8,))
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()
    first, second = (judge(record) for record in flow.records)
    assert [v.kind for v in first] == ["blocked"]
    assert "13 of 14 layers" in first[0].fact
    assert [v.kind for v in second] == ["healthy"]


def test_unused_and_unreached_parameters(report_on: Reporter) -> None:
    whole = nn.Sequential(nn.Linear(4, 4))
    whole.append(nn.Identity())
    whole[1].spare = nn.Linear(4, 2)
    report = report_on(whole, lambda: whole(torch.ones(2, 4)).sum())
    assert kinds(report) == ["unused"]
    assert report.verdicts[0].where == "1.spare.weight"
    with GradFlow(whole) as flow:
        whole(torch.ones(2, 4))
    assert kinds(flow.report()) == ["blocked"]


def test_quarters_and_exact_zeros() -> None:
    def record(*gradients: float | None) -> FlowRecord:
        layers = tuple(LayerFlow(str(i), 0, 1.0, g, 0.0, 64) for i, g in enumerate(gradients))
        return FlowRecord(0, 1.0, None, None, layers, (), ())

    assert depth_ratio(record(1e-4, 1.0, 5.0)) == pytest.approx(1e-4)  # the head is left out
    assert depth_ratio(record(1.0, 5.0)) is None
    assert depth_ratio(record(None, 0.0, 2.0, 1.0, 9.0)) == 2.0
    # an odd first layer (a stem without the branches' small scale) is outvoted in a deep net
    assert depth_ratio(record(1e5, *[1.0] * 20)) == 1.0
    assert judge(record(1.0, 1.0, 1.0))[0].kind == "healthy"
    assert judge(record(9e-4, 1.0, 1.0))[0].kind == "vanishing"
    assert judge(record(1.1e-3, 1.0, 1.0))[0].kind == "healthy"
    assert judge(record(1.1e3, 1.0, 1.0))[0].kind == "exploding"


def test_gradients_too_small_for_squares_in_float32(report_on: Reporter) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    report = report_on(model, lambda: model(torch.ones(2, 4)).sum() * 1e-30)
    assert all(layer.gradient > 0 for layer in report.record.layers)
    assert kinds(report) == ["healthy"]


def test_the_table_of_a_deep_net_leaves_out_its_middle() -> None:
    layers = tuple(LayerFlow(f"layers.{i}", i % 2, 1.0, 1.0, 0.0, 64) for i in range(50))
    activations = (ActivationFlow("a", 0, 0.5, 1.0, 0.25, None, 64),)
    table = str(FlowReport(FlowRecord(7, 2.0, 2.0, None, layers, activations, ())))
    assert table.startswith("gradient flow at step 7\nhealthy: early layers get 1 times")
    assert "layers.19 #2" in table
    assert "... 10 more" in table
    assert "layers.20" not in table
    assert "\na            0.5    1   25%          -\n" in table
    assert table.endswith("global gradient norm 2")
