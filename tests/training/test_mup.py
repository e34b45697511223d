import math

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from allmlp import MLP
from allmlp.errors import AllmlpError
from allmlp.layers import BatchEnsembleLinear
from allmlp.training import coord_check, decay_groups, mup_groups, mup_rules

BASE = 64


def teacher(count: int = 512) -> tuple[Tensor, Tensor]:
    """Targets of unit variance from a tanh net with weights of twice torch's deviation."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1)
    )
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)
        x = torch.randn(count, 32)
        y = net(x)
    return x, (y - y.mean()) / y.std()


def net(width: int, init: str = "mup") -> MLP:
    return MLP(32, 1, (width,) * 3, init=init)


def base() -> MLP:
    with torch.device("meta"):
        return net(BASE)


def mup(width: int, lr: float = 2**-7) -> tuple[nn.Module, Optimizer]:
    model = net(width)
    return model, Adam(mup_groups([{"params": list(model.parameters())}], model, base(), lr))


def standard(width: int, lr: float = 2**-7) -> tuple[nn.Module, Optimizer]:
    model = net(width, "he_normal")
    return model, Adam(model.parameters(), lr=lr)


def test_rules_are_those_of_table_3() -> None:
    model = MLP(32, 3, (256, 256), norm="layer", use_bias=True, block="residual")
    with torch.device("meta"):
        small = MLP(32, 3, (64, 64), norm="layer", use_bias=True, block="residual")
    rules = mup_rules(model, small)
    kinds = {name: (r.kind, r.lr_factor("adam"), r.lr_factor("sgd")) for name, r in rules.items()}
    assert kinds["features.stem.weight"] == ("input", 1, 4)
    assert kinds["features.stem.bias"] == ("input", 1, 4)
    assert kinds["features.blocks.0.fc1.weight"] == ("hidden", 1 / 4, 1)
    assert kinds["features.blocks.1.fc2.weight"] == ("hidden", 1 / 4, 1)
    assert kinds["features.norm.weight"] == ("input", 1, 4)
    assert kinds["head.linear.weight"] == ("output", 1 / 4, 1 / 4)
    assert kinds["head.linear.bias"] == ("fixed", 1, 1)


def test_groups_hold_every_parameter_once_and_keep_decay_constant() -> None:
    model = net(256)
    groups = mup_groups(decay_groups(model, 0.1), model, base(), lr=0.01)
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    for group in groups:
        if group["weight_decay"]:
            assert group["lr"] * group["weight_decay"] == pytest.approx(0.001)
    AdamW(groups)


def test_at_the_base_width_nothing_changes() -> None:
    model = net(BASE)
    groups = mup_groups(decay_groups(model, 0.1), model, base(), lr=0.01)
    assert [(g["lr"], g["weight_decay"]) for g in groups] == [(0.01, 0.1), (0.01, 0.0)]


def test_a_group_keeps_its_own_learning_rate() -> None:
    model = net(128)
    split = mup_groups([{"params": list(model.parameters()), "lr": 4.0}], model, base(), lr=1.0)
    assert {group["lr"] for group in split} == {4.0, 2.0}


def test_updates_do_not_grow_with_the_width() -> None:
    x, y = teacher(256)
    flat = coord_check(mup, [64, 128, 256, 512], x, y, steps=5, seeds=2)
    assert len(flat.changes) == 4
    assert all(abs(slope) < 0.2 for slope in flat.slopes.values()), str(flat)
    steep = coord_check(standard, [64, 128, 256, 512], x, y, steps=5, seeds=2)
    slopes = list(steep.slopes.values())
    assert min(slopes[1:3]) > 0.5, str(steep)
    assert "slope" in str(steep).splitlines()[0]


@pytest.mark.slow
def test_updates_do_not_grow_up_to_width_4096() -> None:
    x, y = teacher(256)
    flat = coord_check(mup, [64, 256, 1024, 4096], x, y, steps=5)
    assert all(abs(slope) < 0.2 for slope in flat.slopes.values()), str(flat)


def test_updates_of_sgd_do_not_grow() -> None:
    def make(width: int) -> tuple[nn.Module, Optimizer]:
        model = net(width)
        groups = [{"params": list(model.parameters())}]
        return model, SGD(mup_groups(groups, model, base(), lr=0.02, optimizer="sgd"))

    x, y = teacher(256)
    flat = coord_check(make, [128, 256, 512], x, y, steps=5, seeds=4)
    assert all(abs(slope) < 0.2 for slope in flat.slopes.values()), str(flat)


def test_coord_check_gives_the_random_state_back_and_takes_its_hooks_off() -> None:
    made: list[nn.Module] = []

    def make(width: int) -> tuple[nn.Module, Optimizer]:
        made.append(mup(width)[0])
        return made[-1], Adam(made[-1].parameters())

    before = torch.random.get_rng_state()
    coord_check(make, [8, 16], torch.ones(3, 32), torch.ones(3, 1), steps=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not any(m._forward_hooks for model in made for m in model.modules())


def test_a_layer_that_does_not_move_has_no_slope() -> None:
    def make(width: int) -> tuple[nn.Module, Optimizer]:
        model = net(width)
        return model, Adam(model.head.parameters())

    found = coord_check(make, [8, 16], torch.ones(3, 32), torch.ones(3, 1), steps=1)
    assert found.slopes["features.blocks.0.linear"] == math.inf


def test_errors() -> None:
    with pytest.raises(AllmlpError, match="differ in features.blocks.2"):
        mup_rules(MLP(32, 1, (8, 8)), net(8))
    with pytest.raises(AllmlpError, match=r"two or more increasing widths, got \[64\]"):
        coord_check(mup, [64], torch.ones(3, 32), torch.ones(3, 1))


def best_exponent(width: int, exponents: range, transfer: bool) -> int:
    """The power of two at which 120 steps of Adam end lowest."""
    x, y = teacher(8192)
    scores = {}
    for exponent in exponents:
        torch.manual_seed(0)
        model, optimizer = (mup if transfer else standard)(width, 2.0**exponent)
        draws = torch.Generator().manual_seed(0)
        tail = 0.0
        for step in range(120):
            rows = torch.randint(0, len(x), (128,), generator=draws)
            loss = (model(x[rows]) - y[rows]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            tail += loss.item() * (step >= 100)
        scores[exponent] = tail if math.isfinite(tail) else math.inf
    return min(scores, key=lambda e: scores[e])


@pytest.mark.slow
def test_the_best_learning_rate_stays_from_width_64_to_1024() -> None:
    exponents = range(-10, -3)
    found = {width: best_exponent(width, exponents, True) for width in (64, 1024)}
    assert abs(found[64] - found[1024]) <= 1, found
    plain = {width: best_exponent(width, exponents, False) for width in (64, 1024)}
    assert plain[64] - plain[1024] >= 3, plain


def test_embeddings_are_inputs_and_frozen_parameters_keep_their_rate() -> None:
    def model(width: int) -> nn.Sequential:
        return nn.Sequential(nn.Embedding(10, width), nn.Linear(width, width), nn.Linear(width, 3))

    wide, base = model(256), model(64)
    rules = mup_rules(wide, base)
    assert [rules[f"{i}.weight"].kind for i in range(3)] == ["input", "hidden", "output"]
    assert [rules[f"{i}.weight"].lr_factor("adam") for i in range(3)] == [1, 0.25, 0.25]
    wide[1].requires_grad_(False)
    groups = mup_groups([{"params": list(wide.parameters())}], wide, base, lr=0.1)
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert rates[id(wide[1].weight)] == 0.1
    assert rates[id(wide[2].weight)] == 0.025
    with pytest.raises(AllmlpError, match="another of shape \\(10, 64\\)"):
        mup_groups([{"params": list(base.parameters())}], wide, base, lr=0.1)


def test_scales_of_members_are_vectors() -> None:
    """`(members, width)` is no matrix: every entry multiplies one feature, as a norm's does."""
    rules = mup_rules(BatchEnsembleLinear(64, 64, 4), BatchEnsembleLinear(16, 16, 4))
    assert [rules[name].kind for name in ("r.weight", "s.weight", "weight")] == [
        "input",
        "input",
        "hidden",
    ]
    assert rules["r.weight"].lr_factor("adam") == 1
