import copy
import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, AdamW

import allmlp
from allmlp.data import epoch_generator
from allmlp.errors import AllmlpError, check_integers
from allmlp.training import (
    Classification,
    History,
    MemberClassification,
    NotFiniteError,
    Regression,
    evaluate,
    fit,
)


def mlp(outputs: int = 3, dropout: float = 0.0) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, outputs))


def classes(count: int = 40) -> tuple[Tensor, Tensor]:
    x = torch.randn(count, 4, generator=torch.Generator().manual_seed(1))
    return x, x[:, :3].argmax(1)


def test_equals_a_loop_written_by_hand() -> None:
    x, y = classes()
    model = mlp()
    mine = copy.deepcopy(model)
    history = fit(model, x, y, lr=0.01, epochs=3, batch_size=16, seed=5, log_every=1)
    optimizer = AdamW(mine.parameters(), lr=0.01, weight_decay=0.0)
    losses = []
    for epoch in range(3):
        order = torch.randperm(40, generator=epoch_generator(5, epoch, "order"))
        for rows in order.split(16):
            loss = F.cross_entropy(mine(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert history["train/loss"] == pytest.approx(losses, rel=1e-6)
    torch.testing.assert_close(model.state_dict(), mine.state_dict(), rtol=0, atol=0)


def test_lbfgs_solves_a_convex_problem() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 5, generator=generator, dtype=torch.float64)
    # the Hessian's condition number is 10^4 or so
    x = x * torch.tensor([1.0, 0.3, 0.1, 0.03, 0.01], dtype=torch.float64)
    weight = torch.randn(2, 5, generator=generator, dtype=torch.float64)
    model = nn.Linear(5, 2, bias=False).double()
    noisy = copy.deepcopy(model)
    history = fit(model, x, x @ weight.T, optimizer="lbfgs", steps=30)
    assert (model.weight - weight).abs().max() < 1e-8
    assert history.rollbacks == 0
    # where the smallest loss is not 0, that loss is what a line search can find exactly
    y = torch.randn(60, 2, generator=generator, dtype=torch.float64)
    fit(noisy, x, y, optimizer="lbfgs", steps=30)
    smallest = F.mse_loss(x @ torch.linalg.lstsq(x, y).solution, y)
    assert 0 <= F.mse_loss(noisy(x), y) - smallest + 1e-15 < 1e-12


def test_lbfgs_stops_where_nothing_moves() -> None:
    model = nn.Linear(1, 1, bias=False).double()
    x = torch.ones(2, 1, dtype=torch.float64)
    history = fit(model, x, 0 * x, optimizer="lbfgs", steps=50)
    assert history.stopped.startswith("converged")
    assert history.records[-1]["step"] < 50
    assert model.weight.item() == pytest.approx(0, abs=1e-12)


class Cliff(nn.Module):
    """Loss -w, up to a cliff behind which nothing is a number."""

    def __init__(self, cliff: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.cliff = cliff

    def forward(self, x: Tensor) -> Tensor:
        inside = self.w <= self.cliff
        return torch.where(inside, -self.w, torch.nan) * x


@pytest.mark.parametrize("ema", [None, 0.5])
def test_a_step_into_nothing_is_undone_and_halved(ema: float | None) -> None:
    x = torch.ones(3, 1, dtype=torch.float64)
    model = Cliff(0.3)
    # without a line search, the first step of LBFGS has length lr / |g| at most: 1, then 1/2, 1/4
    optimizer = torch.optim.LBFGS(model.parameters(), lr=1.0, max_iter=1)
    history = fit(
        model, x, x, loss=lambda out, _: out.mean(), optimizer=optimizer, steps=3, ema=ema
    )
    assert history.rollbacks == 2
    assert model.w.item() == pytest.approx(0.25)
    assert history["lr"] == [1.0, 0.5, 0.25]
    assert optimizer.param_groups[0]["lr"] == 1.0  # the caller's


def test_lbfgs_gives_up_after_a_few_halvings() -> None:
    x = torch.ones(3, 1, dtype=torch.float64)
    model = Cliff(1e-9)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=1.0, max_iter=1)
    history = fit(model, x, x, loss=lambda out, _: out.mean(), optimizer=optimizer, steps=30)
    assert "loss is nan after step 5; undone" in history.stopped
    assert (history.rollbacks, model.w.item()) == (5, 0.0)


def test_other_optimizers_name_the_step() -> None:
    x, y = classes()
    x[7] = torch.nan
    with pytest.raises(NotFiniteError, match=r"loss is nan at step 1 \(learning rate 0.001\)"):
        fit(mlp(), x, y, steps=5)


def test_global_state_is_untouched_and_dropout_follows_the_seed() -> None:
    x, y = classes()
    start = mlp(dropout=0.5)
    before = torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
    models = [copy.deepcopy(start) for _ in range(3)]
    for model, seed in zip(models, (0, 0, 1), strict=True):
        fit(model, x, y, steps=4, batch_size=20, seed=seed)
        torch.randn(3)  # what the global generator does makes no difference
        torch.set_rng_state(before[0])
    first, again, other = (m[0].weight for m in models)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    fit(start, x, y, steps=4)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert str(np.random.get_state()) == before[1]  # noqa: NPY002
    assert torch.get_default_dtype() == torch.float32


def test_modes_come_back_and_stale_gradients_do_not_count() -> None:
    x, y = classes()
    clean = mlp()
    stale = copy.deepcopy(clean)
    stale[0].weight.grad = torch.full_like(stale[0].weight, 1e3)
    stale[2].eval()
    fit(clean, x, y, steps=1)
    fit(stale, x, y, steps=1)
    torch.testing.assert_close(clean.state_dict(), stale.state_dict(), rtol=0, atol=0)
    assert stale.training
    assert not stale[2].training


def test_numpy_in_float64_trains_a_float32_model() -> None:
    x, y = classes()
    torch_model = mlp()
    numpy_model = copy.deepcopy(torch_model)
    fit(torch_model, x, y, steps=3)
    fit(numpy_model, x.numpy().astype(np.float64), y.numpy().astype(np.int32), steps=3)
    torch.testing.assert_close(torch_model.state_dict(), numpy_model.state_dict(), rtol=0, atol=0)


X, Y = classes()


@pytest.mark.parametrize(
    ("targets", "options", "message"),
    [
        (Y[:, None], {}, r"integer targets of shape \(b,\).*take \[:, 0\]"),
        (Y.float(), {"loss": "cross_entropy"}, "convert with .long"),
        (Y + 1, {}, r"3 classes, so targets must lie in 0 … 2, got 1 … 3"),
        (Y - 1, {}, "got -1"),
        (Y[:-1], {}, r"\(40, 4\) and \(39,\)"),
        (Y > 0, {}, "torch.bool"),
        (Y.float(), {}, r"shape of the outputs \(b, 3\), got \(b,\)"),
        (Y, {"loss": "mse"}, "floating-point targets"),
        (Y, {"validation": (X, Y + 3)}, "validation targets must lie"),
        (Y, {"epochs": 1}, "either epochs or steps"),
        (Y, {"early_stop": 2}, "pass validation="),
        (Y, {"optimizer": "adamx"}, "did you mean adam"),
        (Y, {"optimizer": "torch.nn.Linear"}, "must be a class of torch.optim.Optimizer"),
        (Y, {"optimizer": "torch.optim.Nothing"}, "cannot be imported"),
        (Y, {"optimizer": "lbfgs", "batch_size": 4}, "in one batch"),
        (Y, {"optimizer": "lbfgs", "weight_decay": 0.1}, "no weight decay"),
        (Y, {"optimizer": SGD(mlp().parameters(), 0.1)}, "no parameter of the model"),
        (Y, {"loss": lambda out, _: out.mean(1)}, r"scalar tensor, got shape \(40,\)"),
        (Y, {"warmup": 3}, "must end before"),
        (Y, {"seed": -1}, "an integer seed of at least 0, got -1"),
        (None, {}, "inputs need targets"),
    ],
)
def test_what_does_not_fit_is_said_before_training(
    targets: Tensor | None, options: dict[str, object], message: str
) -> None:
    model = mlp()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(AllmlpError, match=message):
        fit(model, X, targets, **{"steps": 3, **options})
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


@pytest.mark.unhooked  # the type checks draw random numbers from Python
def test_python_randomness_is_untouched() -> None:
    class Noise(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + random.random()

    before = random.getstate()
    fit(Noise(4, 3), X, Y, steps=2)
    assert random.getstate() == before


@pytest.mark.unhooked
def test_an_unknown_loss_is_named() -> None:
    with pytest.raises(AllmlpError, match="unknown loss 'l1'; choose one of: auto"):
        fit(mlp(), X, Y, loss="l1", steps=1)


def test_b_against_b_1_is_an_error() -> None:
    x = torch.randn(9, 4)
    with pytest.raises(AllmlpError, match=r"outputs \(b, 1\), got \(b,\); reshape"):
        fit(mlp(1), x, x[:, 0], steps=1)


def test_loader_equals_tensors_and_is_begun_once() -> None:
    x, y = classes()
    begun = 0

    class Batches:
        def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
            nonlocal begun
            begun += 1
            yield from zip(x.split(16), y.split(16), strict=True)

    model = mlp()
    listed, mine = copy.deepcopy(model), copy.deepcopy(model)
    history = fit(model, Batches(), epochs=3)
    assert begun == 3
    fit(listed, list(Batches()), steps=9, progress=False)
    optimizer = AdamW(mine.parameters(), lr=1e-3, weight_decay=0.0)
    for _ in range(3):
        for inputs, labels in Batches():
            F.cross_entropy(mine(inputs), labels).backward()
            optimizer.step()
            optimizer.zero_grad()
    for other in (listed, mine):
        torch.testing.assert_close(model.state_dict(), other.state_dict(), rtol=0, atol=0)
    assert history["step"] == [3, 6, 9]
    assert history["epoch"] == [1, 2, 3]
    with pytest.raises(AllmlpError, match="an iterator or generator has but one"):
        fit(mlp(), iter(Batches()), epochs=1)
    with pytest.raises(AllmlpError, match="no batches"):
        fit(mlp(), [], steps=1)
    with pytest.raises(AllmlpError, match="has no length"):
        fit(mlp(), Batches(), epochs=2, schedule="cosine")


def test_early_stop_and_keep_best() -> None:
    x, y = classes()
    wrong = x, (y + 1) % 3  # gets worse as training goes on
    options = {"validation": wrong, "metric": "loss", "lr": 0.05, "early_stop": 2, "epochs": 50}
    model = mlp()
    best, one_epoch = copy.deepcopy(model), copy.deepcopy(model)
    history = fit(model, x, y, **options)
    assert history.stopped == "no better val/loss in 2 epochs"
    values = history["val/loss"]
    assert history.best == min(values)
    assert history.best_epoch == values.index(min(values)) + 1
    assert len(values) == history.best_epoch + 2
    fit(best, x, y, keep_best=True, **options)
    fit(one_epoch, x, y, lr=0.05, epochs=history.best_epoch)
    torch.testing.assert_close(best.state_dict(), one_epoch.state_dict(), rtol=0, atol=0)
    assert not torch.equal(best[0].weight, model[0].weight)


def test_ema_is_what_is_left() -> None:
    x, y = classes()
    start = mlp()
    average = [p.detach().clone() for p in start.parameters()]
    for steps in range(1, 4):
        model = copy.deepcopy(start)
        fit(model, x, y, steps=steps, lr=0.01)
        # the first update copies
        rate = 0.0 if steps == 1 else 0.9
        average = [
            rate * a + (1 - rate) * p.detach()
            for a, p in zip(average, model.parameters(), strict=True)
        ]
    fit(start, x, y, steps=3, lr=0.01, ema=0.9)
    torch.testing.assert_close(list(start.parameters()), average)


def test_callables_report_themselves_and_history_is_readable() -> None:
    x = torch.randn(12, 4)
    model = mlp(1)

    def huber(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.huber_loss(outputs[:, 0], targets)

    before = huber(model(x), x[:, 0]).item()
    history = fit(
        model, x, x[:, 0], loss=huber, steps=4, log_every=2, validation=(x, x[:, 0]),
        optimizer="torch.optim.SGD", lr=0.1, schedule="cosine", warmup=1, batch_size=None,
    )  # fmt: skip
    assert isinstance(history, History)
    assert history["train/loss"][0] == pytest.approx(before, rel=1e-6)
    assert history["val/loss"][-1] == pytest.approx(huber(model(x), x[:, 0]).item(), rel=1e-6)
    assert history["lr"] == pytest.approx([0.1, 0.1, 0.075, 0.025])
    assert history.stopped == "4 steps taken"
    assert str(history).startswith("4 steps, 4 epochs: train/loss ")
    with pytest.raises(KeyError, match="no record has 'loss'; there are: epoch"):
        history["loss"]


def test_an_optimizer_made_by_the_caller_goes_on() -> None:
    x, y = classes()
    model = mlp()
    whole = copy.deepcopy(model)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(2):
        fit(model, x, y, optimizer=optimizer, steps=3)
    fit(whole, x, y, optimizer=SGD(whole.parameters(), lr=0.1, momentum=0.9), steps=6)
    torch.testing.assert_close(model.state_dict(), whole.state_dict(), rtol=0, atol=0)


def test_weight_decay_spares_biases_and_accumulation_changes_nothing() -> None:
    x, y = classes()
    model = mlp().double()
    sliced = copy.deepcopy(model)
    fit(model, x, y, steps=3, weight_decay=0.1, clip=0.5)
    fit(sliced, x, y, steps=3, weight_decay=0.1, clip=0.5, accumulate=3)
    torch.testing.assert_close(model.state_dict(), sliced.state_dict())
    frozen = nn.Linear(4, 3)
    bias = frozen.bias.clone()
    fit(frozen, x, y, steps=1, loss=lambda out, _: 0 * out.mean(), lr=0.1, weight_decay=0.5)
    assert torch.equal(frozen.bias, bias)


def test_progress_goes_to_stderr_only_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = classes()
    fit(mlp(), x, y, epochs=2, validation=(x, y), progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "epoch 2/2" in shown.err
    allmlp.fit(mlp(), x, y, epochs=2, validation=(x, y))
    assert capsys.readouterr().err == ""


def test_time_is_up() -> None:
    x, y = classes()
    history = fit(mlp(), x, y, epochs=10**6, batch_size=8, max_seconds=0.05, validation=(x, y))
    assert history.stopped == "0.05 seconds over"
    assert history.best is not None
    with pytest.raises(AllmlpError, match="max_seconds above 0, got 0.0"):
        fit(mlp(), x, y, epochs=1, max_seconds=0.0)


def test_when_time_is_up_the_history_has_the_last_step_and_its_validation() -> None:
    x, y = classes()
    history = fit(
        mlp(), x, y, epochs=9, batch_size=2, log_every=50, validation=(x, y), max_seconds=1e-9
    )
    assert [record["step"] for record in history.records] == [1]
    assert len(history["val/loss"]) == 1
    assert history.best_epoch == 1


def test_weights_of_the_validation_need_a_task_that_reads_them() -> None:
    x, y = classes()
    with pytest.raises(AllmlpError, match="weights of the validation are read by a task"):
        fit(mlp(), x, y, epochs=1, validation=(x, y, torch.ones(40)))
    task = MemberClassification()
    fit(mlp(), x, y, loss=task, weights=torch.ones(40), epochs=1, validation=(x, y, torch.ones(40)))
    with pytest.raises(AllmlpError, match="weights are for tensors, got a loader"):
        fit(mlp(), [(x, y)], weights=torch.ones(40), loss=task, epochs=1)
    with pytest.raises(AllmlpError, match="model has 3 classes, so targets must lie in 0 … 2"):
        fit(mlp(), x, y + 1, loss=task, epochs=1)


def test_what_is_frozen_rests() -> None:
    body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
    model = nn.Sequential(body.requires_grad_(False), nn.Linear(8, 3))
    before = copy.deepcopy(body.state_dict())
    x, y = classes()
    fit(model, x, y, epochs=3, batch_size=16)
    torch.testing.assert_close(body.state_dict(), before, rtol=0, atol=0)
    assert all(module.training for module in model.modules())


def test_evaluation_restores_every_mode() -> None:
    model = mlp()
    model[2].eval()
    x, y = classes()
    evaluate(model.train(), Classification(), [(x, y)])
    model[2].eval()
    evaluate(model, Classification(), [(x, y)])
    assert [module.training for module in model] == [True, True, False, True]


def test_validation_of_values_is_counted_in_float64() -> None:
    outputs = torch.full((4, 1), 1e4, dtype=torch.float64)
    sums = Regression().sums(outputs, (outputs, outputs - 1e-9))
    assert sums["mae"].item() == pytest.approx(4e-9, rel=1e-2)


def test_sizes_may_be_of_numpy() -> None:
    check_integers("fit", minimum=1, epochs=np.int64(2))
    for wrong in (True, np.int64(0), 2.0):
        with pytest.raises(AllmlpError, match="an integer epochs of at least 1, got"):
            check_integers("fit", minimum=1, epochs=wrong)
