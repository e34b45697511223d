import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from allmlp.errors import AllmlpError
from allmlp.training import (
    Classification,
    Regression,
    Task,
    choose_autocast_dtype,
    choose_device,
    decay_groups,
    load_checkpoint,
    save_checkpoint,
    warmup_cosine,
)
from allmlp.zoo import create_model


def test_decay_groups_cover_every_parameter_once() -> None:
    model = create_model("mixer_digits")
    decayed, exempt = decay_groups(model, 0.1)
    assert (decayed["weight_decay"], exempt["weight_decay"]) == (0.1, 0.0)
    assert all(p.ndim >= 2 for p in decayed["params"])
    assert all(p.ndim < 2 for p in exempt["params"])
    every = {id(p) for p in model.parameters()}
    listed = [id(p) for group in (decayed, exempt) for p in group["params"]]
    assert len(listed) == len(set(listed))
    assert set(listed) == every


def test_decay_groups_leave_out_the_frozen_and_the_exempt() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.position = nn.Parameter(torch.zeros(3, 3))
            self.body = nn.Linear(3, 3)
            self.body.bias.requires_grad_(False)
            self.tied = self.body

        def no_weight_decay(self) -> set[str]:
            return {"position"}

    net = Net()
    groups = decay_groups(net, 0.1)
    assert [[id(p) for p in g["params"]] for g in groups] == [
        [id(net.body.weight)],
        [id(net.position)],
    ]


def test_warmup_cosine_at_known_points() -> None:
    def factor(step: int) -> float:
        return warmup_cosine(step, warmup_steps=10, total_steps=110)

    assert factor(0) == 0.1
    assert factor(9) == 1.0
    assert factor(10) == 1.0
    assert factor(60) == pytest.approx(0.5)
    assert factor(109) == pytest.approx((1 - math.cos(math.pi / 100)) / 2)
    assert factor(110) == factor(500) == 0.0
    assert warmup_cosine(0, warmup_steps=0, total_steps=5) == 1.0


def test_classification_minimises_the_smoothed_and_reports_the_plain_loss() -> None:
    task = Classification(label_smoothing=0.2)
    assert isinstance(task, Task)
    model = nn.Linear(4, 3)
    batch = torch.randn(5, 4), torch.randint(0, 3, (5,))
    loss, logits = task.loss(model, batch)
    expected = F.cross_entropy(model(batch[0]), batch[1], label_smoothing=0.2)
    torch.testing.assert_close(loss, expected)
    sums = task.sums(logits, batch)
    assert set(sums) == set(task.goals)
    assert sums["accuracy"] == (logits.argmax(1) == batch[1]).sum()
    torch.testing.assert_close(sums["loss"] / 5, F.cross_entropy(logits.detach(), batch[1]))
    # beside the loss that is minimised, which the loop reports itself
    assert task.step_sums(logits, batch) == {"accuracy": sums["accuracy"]}


def test_a_perfect_accuracy_has_an_error_and_more_examples_a_smaller_one() -> None:
    error = Classification().standard_error
    assert error(1.0, 100) == pytest.approx(error(0.0, 100))
    assert error(1.0, 100) > error(1.0, 1000) > 0
    assert error(0.5, 10_000) == pytest.approx(0.005, rel=1e-3)


@pytest.mark.parametrize("axes", [(), (3,), (2, 3)])
def test_regression_means_over_examples_and_outputs(axes: tuple[int, ...]) -> None:
    task = Regression()
    assert isinstance(task, Task)
    targets = torch.randn(5, *axes, dtype=torch.float64)
    outputs = torch.randn(5, *axes, dtype=torch.float64)
    loss, given = task.loss(nn.Identity(), (outputs, targets))
    assert given is outputs
    torch.testing.assert_close(loss, (outputs - targets).square().mean())
    sums = task.sums(outputs, (outputs, targets))
    assert set(sums) == set(task.goals)
    assert sums["loss"].item() / 5 == pytest.approx(loss.item(), rel=1e-6)
    assert sums["mae"].item() / 5 == pytest.approx((outputs - targets).abs().mean().item())
    assert task.step_sums(outputs, (outputs, targets)) == {}
    assert task.standard_error(1.0, 5) == 0.0


def test_regression_does_not_broadcast_targets() -> None:
    batch = torch.randn(5, 4), torch.randn(5)
    with pytest.raises(AllmlpError, match=r"shape of the outputs \(5, 1\), got \(5,\); reshape"):
        Regression().loss(nn.Linear(4, 1), batch)


def test_precision() -> None:
    cpu = torch.device("cpu")
    assert choose_autocast_dtype("fp32", cpu) is None
    assert choose_autocast_dtype("bf16", cpu) is torch.bfloat16
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    assert choose_autocast_dtype("auto", cpu) is (torch.bfloat16 if native else None)
    assert choose_autocast_dtype("auto", torch.device("meta")) is None
    with pytest.raises(AllmlpError, match="unknown precision 'fp16'; did you mean"):
        choose_autocast_dtype("fp16", cpu)


def test_device() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in {"cpu", "cuda", "mps", "xpu"}
    with pytest.raises(AllmlpError, match="device 'gpu' cannot be used .* try device=cpu"):
        choose_device("gpu")


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    save_checkpoint(path, {"step": 3, "model": {"w": torch.arange(4)}})
    state = load_checkpoint(path)
    assert state["step"] == 3
    assert torch.equal(state["model"]["w"], torch.arange(4))


def test_broken_and_foreign_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    with pytest.raises(AllmlpError, match="no checkpoint at"):
        load_checkpoint(path)
    save_checkpoint(path, {"model": torch.arange(1000)})
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(AllmlpError, match="no intact checkpoint"):
        load_checkpoint(path)
    torch.save({"model": 1}, path)
    with pytest.raises(AllmlpError, match="no checkpoint of allmlp"):
        load_checkpoint(path)
    torch.save({"schema": 99}, path)
    with pytest.raises(AllmlpError, match="schema 99, this allmlp reads up to 1; update"):
        load_checkpoint(path)


class _Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("import pathlib; pathlib.Path('owned').touch()",))


def test_a_checkpoint_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"schema": 1, "model": _Hostile()}, "last.ckpt")
    with pytest.raises(AllmlpError, match="no intact checkpoint"):
        load_checkpoint(Path("last.ckpt"))
    assert not Path("owned").exists()
