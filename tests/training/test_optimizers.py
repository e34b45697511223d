"""Which parameter learns by what rule, and at what rate."""

import copy

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW, Muon

from allmlp.errors import AllmlpError
from allmlp.training import Lion, build_optimizer, layer_depths
from allmlp.training.muon import hidden_matrices
from allmlp.training.parallel import load_optimizer_state, optimizer_state
from allmlp.zoo import create_model, list_models


def mixer() -> nn.Module:
    return create_model("mixer_digits", depth=3, width=8, channel_hidden=16, token_hidden=8)


def set_gradients(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter)


def test_lion_equals_its_algorithm_written_out() -> None:
    theta = [torch.randn(4, 3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)]
    parameters = [nn.Parameter(t.clone()) for t in theta]
    lion = Lion(parameters, lr=0.01, betas=(0.8, 0.95), weight_decay=0.3)
    mean = [torch.zeros_like(t) for t in theta]
    for _ in range(6):
        for i, parameter in enumerate(parameters):
            g = torch.randn_like(parameter)
            parameter.grad = g.clone()
            update = torch.sign(0.8 * mean[i] + 0.2 * g)
            theta[i] = theta[i] - 0.01 * (update + 0.3 * theta[i])
            mean[i] = 0.95 * mean[i] + 0.05 * g
        lion.step()
    for parameter, expected in zip(parameters, theta, strict=True):
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-13, atol=1e-13)


def test_lion_refuses_what_makes_no_sense() -> None:
    with pytest.raises(AllmlpError, match=r"Lion needs beta2 in \[0, 1\), got 1.5"):
        Lion(nn.Linear(2, 1).parameters(), betas=(0.9, 1.5))
    with pytest.raises(AllmlpError, match="Lion needs lr of at least 0"):
        Lion(nn.Linear(2, 1).parameters(), lr=-1.0)


@pytest.mark.parametrize("layer_decay", [None, 0.5])
@pytest.mark.parametrize("name", ["adamw", "sgd", "lion", "muon"])
def test_groups_cover_every_parameter_once(name: str, layer_decay: float | None) -> None:
    model = mixer()
    optimizer = build_optimizer(name, model, lr=0.1, weight_decay=0.2, layer_decay=layer_decay)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert len(held) == len(set(held))
    assert set(held) == {id(p) for p in model.parameters()}
    for group in optimizer.param_groups:
        assert {p.ndim >= 2 for p in group["params"]} == {group["weight_decay"] == 0.2}


def test_muon_is_for_the_matrices_of_the_blocks() -> None:
    model = mixer()
    expected = {n for n, p in model.named_parameters() if n.startswith("blocks.") and p.ndim == 2}
    assert len(expected) == 3 * 4
    assert hidden_matrices(model) == expected
    optimizer = build_optimizer("muon", model, lr=0.1, weight_decay=0.2)
    by_muon = {id(p) for g in optimizer.param_groups if g["muon"] for p in g["params"]}
    assert by_muon == {id(p) for n, p in model.named_parameters() if n in expected}


@pytest.mark.parametrize("name", sorted({n.split("_")[0]: n for n in list_models()}.values()))
def test_muons_split_covers_every_parameter_of_every_family_once(name: str) -> None:
    with torch.device("meta"):
        model = create_model(name)
    if not hidden_matrices(model):  # a single layer, or convolutions alone
        with pytest.raises(AllmlpError, match="got none; use adamw"):
            build_optimizer("muon", model, lr=0.1, weight_decay=0.2)
        return
    optimizer = build_optimizer("muon", model, lr=0.1, weight_decay=0.2)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    assert all(
        p.ndim == 2 for group in optimizer.param_groups if group["muon"] for p in group["params"]
    )


def test_muon_leaves_out_tables_the_exempt_and_the_frozen() -> None:
    rational = create_model("mixer_digits", depth=1, width=8, mlp="grkan")
    exempt = rational.no_weight_decay()
    assert any(p.ndim == 2 for n, p in rational.named_parameters() if n in exempt)
    assert not hidden_matrices(rational) & exempt
    net = nn.Sequential(nn.Linear(3, 3), nn.Embedding(3, 3), nn.Linear(3, 3), nn.Linear(3, 3))
    assert hidden_matrices(net) == {"2.weight"}
    net[2].requires_grad_(False)
    with pytest.raises(AllmlpError, match="that are trained, got none; use adamw"):
        build_optimizer("muon", net, lr=0.1, weight_decay=0.0)


def test_muon_is_torchs_two_optimizers() -> None:
    model = mixer()
    theirs = copy.deepcopy(model)
    ours = build_optimizer("muon", model, lr=0.01, weight_decay=0.2)
    names = hidden_matrices(theirs)
    pairs = list(theirs.named_parameters())
    matrices = [p for n, p in pairs if n in names]
    muon = Muon(matrices, lr=0.01, weight_decay=0.2, adjust_lr_fn="match_rms_adamw")
    adamw = AdamW(
        [
            {"params": [p for n, p in pairs if n not in names and p.ndim > 1]},
            {"params": [p for n, p in pairs if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=0.01,
        weight_decay=0.2,
    )
    for step in range(3):
        for net in (model, theirs):
            set_gradients(net, step)
        for optimizer in (ours, muon, adamw):
            optimizer.step()
    for mine, other in zip(model.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("name", ["adam", "sgd", "lion", "muon"])
def test_a_stored_state_goes_on_bit_for_bit(name: str) -> None:
    def build(model: nn.Module) -> torch.optim.Optimizer:
        return build_optimizer(name, model, lr=0.01, weight_decay=0.1, layer_decay=0.7)

    model = mixer()
    optimizer = build(model)
    for step in range(2):
        set_gradients(model, step)
        optimizer.step()
    optimizer.zero_grad()
    other = copy.deepcopy(model)
    fresh = build(other)
    # as through a file: the state itself is the optimizer's own tensors
    load_optimizer_state(other, fresh, copy.deepcopy(optimizer_state(model, optimizer)))
    for net, chosen in ((model, optimizer), (other, fresh)):
        set_gradients(net, 2)
        chosen.step()
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_layer_depths_and_rates() -> None:
    model = mixer()
    depths = layer_depths(model)
    for name, depth in depths.items():
        if name.startswith("blocks."):
            assert depth == 1 + int(name.split(".")[1])
    assert {d for n, d in depths.items() if n.startswith("stem")} == {0}
    assert {d for n, d in depths.items() if n.startswith("norm")} == {3}  # the last block's
    assert {d for n, d in depths.items() if n.startswith("head")} == {4}
    optimizer = build_optimizer("adamw", model, lr=0.8, weight_decay=0.1, layer_decay=0.5)
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    for name, parameter in model.named_parameters():
        assert rates[id(parameter)] == 0.8 * 0.5 ** (4 - depths[name])
    with pytest.raises(AllmlpError, match=r"layer_decay must be in \(0, 1\]"):
        build_optimizer("adamw", model, lr=0.8, weight_decay=0.1, layer_decay=1.5)
    with pytest.raises(AllmlpError, match="which Linear does not have; write one"):
        build_optimizer("adamw", nn.Linear(2, 2), lr=0.8, weight_decay=0.1, layer_decay=0.5)


def test_names_paths_and_options() -> None:
    def build(name: str, **options: object) -> torch.optim.Optimizer:
        return build_optimizer(name, nn.Linear(2, 2), lr=0.1, weight_decay=0.0, options=options)

    assert isinstance(build("sgd"), SGD)
    assert build("sgd").param_groups[0]["momentum"] == 0.9
    assert build("sgd", momentum=0.5).param_groups[0]["momentum"] == 0.5
    assert isinstance(build("torch.optim.RAdam"), torch.optim.RAdam)
    for name, message in {
        "adamm": "unknown optimizer 'adamm'; did you mean adam or adamw",
        "torch.optim.Nothing": "cannot be imported: module 'torch.optim' has no attribute",
        "nowhere.Optimizer": "cannot be imported: No module named 'nowhere'",
        "torch.nn.Linear": "must be a class of torch.optim.Optimizer",
    }.items():
        with pytest.raises(AllmlpError, match=message):
            build(name)
    with pytest.raises(AllmlpError, match="unknown option of adamw 'beta'; did you mean betas"):
        build("adamw", beta=0.9)
    with pytest.raises(AllmlpError, match="lr is no option of adamw"):
        build("adamw", lr=0.9)
    with pytest.raises(AllmlpError, match="adamw refuses its options: Invalid beta"):
        build("adamw", betas=[0.9, 2.0])
