import copy
import gc
import json
import math
import weakref
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import LBFGS, SGD, AdamW
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks
from torch.utils.checkpoint import checkpoint

from allmlp.errors import AllmlpError
from allmlp.training import FlowReport, GradFlow
from allmlp.training.flow_record import ActivationFlow, FlowRecord, LayerFlow, NonFinite
from allmlp.training.flow_report import depth_ratio, judge
from allmlp.zoo import create_model


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


def report_on(model: nn.Module, loss: Callable[[], Tensor]) -> FlowReport:
    with GradFlow(model) as flow:
        loss().backward()
    return flow.report()


def kinds(report: FlowReport) -> list[str]:
    return [verdict.kind for verdict in report.verdicts]


def hooks_of(model: nn.Module) -> int:
    tables = [
        table
        for m in model.modules()
        for table in (m._forward_hooks, m._forward_pre_hooks, m._forward_hooks_always_called)
    ]
    tables += [p._post_accumulate_grad_hooks or {} for p in model.parameters()]
    tables += [p._backward_hooks or {} for p in model.parameters()]
    tables += [_global_optimizer_pre_hooks, _global_optimizer_post_hooks]
    return sum(map(len, tables))


# verdicts


@pytest.mark.parametrize("seed", range(3))
def test_tells_the_wrong_initialisation_from_the_right_one(seed: int) -> None:
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


def test_exploding() -> None:
    model = stack(36, depth=12, width=64)
    report = report_on(model, lambda: loss_of(model))
    assert kinds(report) == ["exploding"]


def test_dead_units_of_a_module_and_of_a_function() -> None:
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


def test_dead_channels_and_dead_tokens() -> None:
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


def test_saturated() -> None:
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


def test_names_the_first_module_that_is_not_finite() -> None:
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


def test_unused_and_unreached_parameters() -> None:
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


# figures


def test_figures_are_those_of_autograd_and_add_up_over_micro_batches() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    model[0].bias.requires_grad_(False)
    optimizer = SGD(model.parameters(), lr=0.1)
    parts = [torch.randn(5, 4).double(), torch.randn(7, 4).double()]
    flow = GradFlow(model)
    flow.begin(0)
    for x in parts:
        model(x).square().sum().backward()
    flow.after_backward()
    expected = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    before = copy.deepcopy(model)
    optimizer.step()
    flow.after_step()
    flow.close()

    (record,) = flow.drain()
    assert flow.records == ()
    assert [p.name for p in record.parameters] == list(expected)
    for p in record.parameters:
        moved = model.get_parameter(p.name) - before.get_parameter(p.name)
        assert p.gradient == pytest.approx(expected[p.name].norm().item(), rel=1e-12)
        assert p.weight == pytest.approx(before.get_parameter(p.name).norm().item(), rel=1e-12)
        assert p.update == pytest.approx(moved.norm().item(), rel=1e-12)
        assert p.update_ratio == pytest.approx(p.update / p.weight)
        assert p.zeros == 0
    total = math.hypot(*(g.norm().item() for g in expected.values()))
    assert record.gradient == pytest.approx(total, rel=1e-12)
    assert record.clipped == pytest.approx(0.5, rel=1e-5)
    assert f"global gradient norm {total:.3g}, clipped to 0.5" in str(FlowReport(record))

    whole = torch.cat(parts)
    z = before[0](whole)
    out = before[2](torch.tanh(z))
    (gradient,) = torch.autograd.grad(out.square().sum(), z, retain_graph=True)
    first, last = record.layers
    assert first.gradient == pytest.approx(gradient.norm().item(), rel=1e-12)
    assert first.output == pytest.approx(z.square().mean().sqrt().item(), rel=1e-12)
    assert last.gradient == pytest.approx((2 * out).norm().item(), rel=1e-12)
    assert (first.examples, first.idle) == (12, 0)
    (activation,) = record.activations
    assert activation.mean == pytest.approx(torch.tanh(z).mean().item(), rel=1e-10)
    assert activation.std == pytest.approx(torch.tanh(z).std(correction=0).item(), rel=1e-10)


def test_gradients_too_small_for_squares_in_float32() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    report = report_on(model, lambda: model(torch.ones(2, 4)).sum() * 1e-30)
    assert all(layer.gradient > 0 for layer in report.record.layers)
    assert kinds(report) == ["healthy"]


def test_the_context_sees_the_same_as_a_loop_that_calls() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    twin = copy.deepcopy(model)
    data = torch.randn(6, 5, 4)

    def train(model: nn.Module, flow: GradFlow | None) -> None:
        optimizer = AdamW(model.parameters(), lr=0.01)
        for step, x in enumerate(data):
            if flow is not None:
                flow.begin(step)
            for part in x.split(3):
                model(part).square().sum().backward()
            if flow is not None:
                flow.after_backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            if flow is not None:
                flow.after_step()
            optimizer.zero_grad()

    with GradFlow(model, every=2) as around:
        train(model, None)
        seen = around.records
    called = GradFlow(twin, every=2)
    train(twin, called)
    assert [r.step for r in seen] == [0, 2, 4]
    assert seen == called.records
    assert hooks_of(twin) == hooks_of(model) == 0


def test_two_optimizers_take_one_step_and_a_foreign_one_none() -> None:
    body, head, other = nn.Linear(4, 4), nn.Linear(4, 2), nn.Linear(1, 1)
    model = nn.Sequential(body, head)
    optimizers = [SGD(m.parameters(), lr=0.1) for m in (body, head, other)]
    with GradFlow(model) as flow:
        for _ in range(3):
            model(torch.randn(5, 4)).square().sum().backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
    assert [r.step for r in flow.records] == [0, 1, 2]
    assert all(p.update for r in flow.records for p in r.parameters)


def test_an_optimizer_that_calls_the_model() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = LBFGS(model.parameters(), max_iter=3)
    x, y = torch.randn(20, 4), torch.randn(20, 1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        return loss

    with GradFlow(model) as flow:
        for _ in range(3):
            optimizer.step(closure)
    assert [r.step for r in flow.records] == [0, 1, 2]
    assert all(p.update for r in flow.records for p in r.parameters)


def test_a_loop_without_an_optimizer_says_when_it_steps() -> None:
    model = nn.Linear(4, 1)
    with GradFlow(model) as flow:
        for _ in range(2):
            model(torch.ones(3, 4)).sum().backward()
            flow.after_backward()
            with torch.no_grad():
                for p in model.parameters():
                    p -= 0.1 * p.grad
            flow.after_step()
            model.zero_grad()
    assert [r.step for r in flow.records] == [0, 1]
    assert flow.records[1].parameters[0].update == pytest.approx(0.1 * 3 * 2)


# any module


def test_shared_modules_calls_and_several_outputs() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.Linear(4, 4)
            self.again = self.cell
            self.rnn = nn.GRU(4, 3, batch_first=True)
            self.tied = nn.Linear(4, 4)
            self.tied.weight = self.cell.weight

        def forward(self, x: Tensor) -> dict[str, Tensor | list[Tensor]]:
            for _ in range(3):
                x = torch.tanh(self.again(x))
            sequence, last = self.rnn(x)
            return {"sequence": sequence, "others": [last, self.tied(x)]}

    net = Net()

    def loss() -> Tensor:
        out = net(torch.randn(2, 5, 4))
        return out["sequence"].sum() + out["others"][1].sum()

    record = report_on(net, loss).record
    assert [(layer.name, layer.call) for layer in record.layers] == [
        ("cell", 0),
        ("cell", 1),
        ("cell", 2),
        ("rnn", 0),
        ("tied", 0),
    ]
    assert all(layer.gradient for layer in record.layers)
    assert [p.name for p in record.parameters][:3] == [
        "cell.weight",
        "cell.bias",
        "rnn.weight_ih_l0",
    ]
    assert "tied.weight" not in {p.name for p in record.parameters}


def test_weights_applied_by_a_parent_or_computed() -> None:
    class KanLike(nn.Module):
        """Weights of its own, and a child that is no layer."""

        def __init__(self) -> None:
            super().__init__()
            self.coefficients = nn.Parameter(torch.randn(4, 4, 3))
            self.base = nn.SiLU()

        def forward(self, x: Tensor) -> Tensor:
            powers = torch.stack([self.base(x), x, x * x], dim=-1)
            return torch.einsum("bik,oik->bo", powers, self.coefficients)

    class Applies(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x, self.inner.weight)

    applies = Applies()
    normed = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))
    model = nn.Sequential(KanLike(), applies, normed, applies, nn.LayerNorm(4))
    record = report_on(model, lambda: model(torch.randn(6, 4)).square().sum()).record
    assert [(layer.name, layer.call) for layer in record.layers] == [
        ("0", 0),
        ("1", 0),
        ("2", 0),
        ("1", 1),
    ]
    assert [a.name for a in record.activations] == ["0.base"]


def test_frozen_parts_and_calls_without_gradients() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    model[0].requires_grad_(False)

    def loss() -> Tensor:
        with torch.no_grad():
            model(torch.full((9, 4), math.nan))  # not part of training, so not seen
        return model(torch.randn(40, 4)).sum()

    report = report_on(model, loss)
    first, last = report.record.layers
    assert (first.gradient, first.idle) == (None, None)
    assert last.gradient
    assert [p.name for p in report.record.parameters] == ["2.weight", "2.bias"]
    assert report.healthy
    assert " -     -            -              -\n" in str(report)


def test_nothing_measured_and_misuse() -> None:
    model = nn.Linear(2, 2)
    with GradFlow(model) as flow:
        model(torch.ones(1, 2)).sum()
        with pytest.raises(AllmlpError, match="one context at a time"), flow:
            pass
    empty = GradFlow(model)
    with pytest.raises(AllmlpError, match="needs a measured step, .* train it inside"):
        empty.report()
    with pytest.raises(AllmlpError, match="integer every of at least 1, got 0"):
        GradFlow(model, every=0)
    empty.begin(0)
    model(torch.ones(1, 2)).sum().backward()
    with pytest.raises(AllmlpError, match="after_backward .* was not called; call it"):
        empty.after_step()
    empty.close()


def test_sparse_gradients() -> None:
    model = nn.Sequential(nn.Embedding(100, 3, sparse=True), nn.Linear(3, 1))
    with GradFlow(model) as flow:
        model(torch.tensor([1, 1, 2])).sum().backward()
    record = flow.records[0]
    assert record.parameters[0].gradient == pytest.approx(model[0].weight.grad.to_dense().norm())


# changes nothing, leaves nothing


def train(
    model: nn.Module,
    steps: int = 6,
    dtype: torch.dtype | None = None,
    evaluate: bool = True,
) -> list[float]:
    """Losses of training with dropout, accumulation and clipping, and of evaluations."""
    torch.manual_seed(7)
    optimizer = AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(steps):
        for _ in range(2):
            x, y = torch.randn(16, 1, 8, 8), torch.randint(0, 10, (16,))
            with torch.autocast("cpu", dtype, enabled=dtype is not None):
                loss = F.cross_entropy(model(x), y)
            loss.backward()
            losses.append(loss.item())
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        optimizer.zero_grad()
        if evaluate:
            model.eval()
            with torch.no_grad():
                losses.append(model(torch.randn(16, 1, 8, 8)).double().sum().item())
            model.train()
    return losses


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Dropout2d(0.2),
        nn.Flatten(), nn.Linear(8 * 36, 10),
    )  # fmt: skip


def mixer() -> nn.Module:
    return create_model("mixer_digits", depth=2, width=32, dropout_rate=0.2, drop_path_rate=0.2)


def checkpointed() -> nn.Module:
    model = mixer()
    model.set_grad_checkpointing()
    return model


@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("make", [mixer, checkpointed, convolutions])
def test_changes_no_numerics(
    make: Callable[[], nn.Module], every: int, dtype: torch.dtype | None
) -> None:
    model = make()
    twin = copy.deepcopy(model)
    expected = train(twin, dtype=dtype)
    with GradFlow(model, every=every) as flow:
        losses = train(model, dtype=dtype)
        flow.report()
    assert losses == expected
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), twin.state_dict().values(), strict=True)
    )
    assert [r.step for r in flow.records] == list(range(0, 6, every))
    assert all(layer.gradient for r in flow.records[1:] for layer in r.layers)
    assert len({len(r.layers) for r in flow.records}) == 1


def test_recomputation_is_not_counted_twice() -> None:
    plain, again = mixer(), checkpointed()
    again.load_state_dict(plain.state_dict())
    records = []
    for model in (plain, again):
        with GradFlow(model) as flow:
            train(model, steps=2, evaluate=False)
        records.append(flow.records)
    assert records[0] == records[1]


def test_leaves_nothing_after_an_exception() -> None:
    class Fails(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("no")

    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), Fails()), nn.Linear(4, 4))
    flow = GradFlow(model)
    with pytest.raises(RuntimeError, match="no"), flow:
        model(torch.ones(2, 4))
    assert hooks_of(model) == 0
    assert flow.report().record.layers[0].name == "0"
    # caught inside: the next pass counts as an outermost one again
    with GradFlow(model) as flow:
        with pytest.raises(RuntimeError, match="no"):
            model(torch.ones(2, 4))
        model[1][1] = nn.Identity()
        model(torch.ones(2, 4)).sum().backward()
    assert [layer.gradient is not None for layer in flow.report().record.layers] == [True, True]
    assert hooks_of(model) == 0


def test_keeps_nothing_alive() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    outputs = []
    model[0].register_forward_hook(lambda m, a, out: outputs.append(weakref.ref(out)))
    mine = hooks_of(model)
    optimizer = SGD(model.parameters(), lr=0.1)
    gc.disable()  # references in a circle would wait for it
    try:
        flow = GradFlow(model)
        with flow:
            loss = model(torch.ones(2, 4)).sum()
            loss.backward()
            optimizer.step()
        # hooks on the graph too: it outlives the context and is used once more
        assert hooks_of(model) == mine
        before = flow.records
        model(torch.ones(2, 4)).sum().backward()
        assert flow.records == before
        del loss
        assert [reference() for reference in outputs] == [None, None]
        alive = weakref.ref(flow)
        del flow
        assert alive() is None
    finally:
        gc.enable()


def test_hooks_on_the_graph_end_with_the_context() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    outputs: list[Tensor] = []
    model[0].register_forward_hook(lambda m, a, out: outputs.append(out))
    with GradFlow(model):
        loss = model(torch.ones(2, 4)).sum()
        assert len(outputs[0]._backward_hooks) == 1
    assert len(outputs[0]._backward_hooks) == 0
    loss.backward()


def test_a_copy_made_inside_is_not_watched() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    optimizer = SGD(model.parameters(), lr=0.1)
    with GradFlow(model) as flow:
        average = torch.optim.swa_utils.AveragedModel(model)
        model(torch.ones(2, 4)).sum().backward()
        optimizer.step()
        average(torch.full((2, 4), math.nan)).sum().backward()
    (record,) = flow.records
    assert record.nonfinite is None
    assert record.layers[0].examples == 2


def test_hooks_of_a_loop_exist_only_in_measured_steps() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    flow = GradFlow(model, every=3)
    counts = []
    for step in range(5, 9):  # a resumed run
        flow.begin(step)
        counts.append(hooks_of(model) > 0)
        model(torch.ones(2, 4)).sum().backward()
        flow.after_backward()
        flow.after_step()
        assert hooks_of(model) == 0
    assert counts == [False, True, False, False]
    assert [r.step for r in flow.drain()] == [6]


def test_reentrant_checkpoints_run_unseen() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
            self.outer = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.outer(checkpoint(self.inner, x, use_reentrant=True))

    net = Net()
    report = report_on(net, lambda: net(torch.randn(3, 4, requires_grad=True)).sum())
    gradients = {layer.name: layer.gradient is not None for layer in report.record.layers}
    assert gradients == {"inner.0": False, "outer": True}
    assert all(p.gradient is not None for p in report.record.parameters)


@pytest.mark.unhooked
def test_compiled_models_keep_their_numerics_and_no_hooks() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Dropout(0.2), nn.Linear(8, 2))
    twin = copy.deepcopy(model)

    def losses(model: nn.Module) -> Iterator[float]:
        compiled = torch.compile(model, backend="aot_eager")
        optimizer = SGD(model.parameters(), lr=0.1)
        torch.manual_seed(0)
        for _ in range(4):
            loss = compiled(torch.randn(8, 4)).square().sum()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            yield loss.item()

    expected = list(losses(twin))
    with GradFlow(model) as flow:
        assert list(losses(model)) == expected
    assert hooks_of(model) == 0
    assert all(r.parameters[0].update for r in flow.records)


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
