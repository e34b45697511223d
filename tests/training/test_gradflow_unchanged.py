"""GradFlow changes no number of a training, and leaves nothing behind."""

import copy
import gc
import math
import weakref
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, AdamW

from allmlp.training import GradFlow
from allmlp.zoo import create_model


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


def test_leaves_nothing_after_an_exception(hooks_of: Callable[[nn.Module], int]) -> None:
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


def test_keeps_nothing_alive(hooks_of: Callable[[nn.Module], int]) -> None:
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


def test_hooks_of_a_loop_exist_only_in_measured_steps(hooks_of: Callable[[nn.Module], int]) -> None:
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


@pytest.mark.unhooked
def test_compiled_models_keep_their_numerics_and_no_hooks(
    hooks_of: Callable[[nn.Module], int],
) -> None:
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
