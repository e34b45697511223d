import copy
import itertools
import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from allmlp import MLP
from allmlp.errors import AllmlpError
from allmlp.layers import ACTIVATIONS, VECTOR_NORMS, lipschitz_bound
from allmlp.models import ClassificationHead, MLPFeatureExtractor, MLPOptions
from allmlp.models.mlp_config import INITS
from allmlp.theory import lipschitz_product
from allmlp.training import decay_groups, hidden_matrices
from allmlp.zoo import load_model, save_model

BLOCKS = ("plain", "residual")
GRID = list(itertools.product(ACTIVATIONS, VECTOR_NORMS, (False, True), BLOCKS))
# every activation, every norm with either block and with and without gates, and glu with block
COVERING = [GRID[24 * i + 4 * (i % 6) + (0, 3, 1 + i % 2)[i // 6]] for i in range(len(ACTIVATIONS))]


def build(activation: str, norm: str, glu: bool, block: str, **options: Any) -> MLP:
    given = {"activation": activation, "norm": norm, "glu": glu, "block": block, **options}
    return MLP(6, 2, (16, 16), **given)


def toy(count: int = 32) -> tuple[Tensor, Tensor]:
    x = torch.randn(count, 6)
    return x, torch.stack([(2 * x[:, 0]).sin(), x[:, 1]], dim=1)


def train(net: nn.Module, steps: int = 20) -> list[float]:
    x, y = toy()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2, fused=True)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (net(x) - y).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.unhooked  # 336 trainings: a third of the time
@pytest.mark.parametrize("norm", VECTOR_NORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_combination_trains_round_trips_and_takes_one_example(
    activation: str, norm: str
) -> None:
    for glu, block in itertools.product((False, True), BLOCKS):
        net = build(activation, norm, glu, block)
        counted = sum(p.numel() for p in net.parameters())
        assert counted == net.config.count_parameters()
        losses = train(net)
        assert losses[-1] < 0.95 * losses[0], (glu, block)
        again = MLP.from_config(net.config)
        again.load_state_dict(net.state_dict())
        x = toy(3)[0]
        together = net.eval()(x)
        assert torch.equal(together, again.eval()(x))
        # another kernel for one row: float32 rounding
        torch.testing.assert_close(net(x[:1]), together[:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weight_norm", ["spectral", "weight"])
@pytest.mark.parametrize("case", COVERING, ids=str)
def test_combinations_with_parametrised_weights(
    case: tuple[str, str, bool, str], weight_norm: str, tmp_path: Path
) -> None:
    net = build(*case, weight_norm=weight_norm)
    assert sum(p.numel() for p in net.parameters()) == net.config.count_parameters()
    losses = train(net)
    assert losses[-1] < losses[0]
    save_model(net, tmp_path / "net")
    again = load_model(tmp_path / "net")
    x = toy(3)[0]
    for twin in (again, copy.deepcopy(net)):
        assert torch.equal(twin.eval()(x), net.eval()(x))


def test_the_covering_subset_covers() -> None:
    for pick in ((0,), (1, 2), (1, 3), (2, 3)):
        wanted = {tuple(case[i] for i in pick) for case in GRID}
        found = {tuple(case[i] for i in pick) for case in COVERING}
        assert found == wanted, wanted - found


def compile_and_compare(
    case: tuple[str, str, bool, str], weight_norm: str = "none", backend: str = "inductor"
) -> None:
    torch.compiler.reset()
    net = build(*case, weight_norm=weight_norm)
    x, y = toy()
    compiled = torch.compile(net, fullgraph=True, backend=backend)
    (compiled(x) - y).square().mean().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
    net.eval()
    torch.testing.assert_close(compiled(x), net(x), rtol=1e-4, atol=1e-5)


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("case", "weight_norm"),
    list(zip(COVERING, itertools.cycle(["none", "spectral", "weight"]), strict=False)),
    ids=str,
)
def test_traces_without_a_break(case: tuple[str, str, bool, str], weight_norm: str) -> None:
    # what inductor is given; its own work would be a minute for all of these
    compile_and_compare(case, weight_norm, backend="aot_eager")


@pytest.mark.unhooked
@pytest.mark.parametrize(
    "case", [("gelu", "batch", False, "plain"), ("silu", "rms", True, "residual")], ids=str
)
def test_compiles(case: tuple[str, str, bool, str]) -> None:
    compile_and_compare(case)


@pytest.mark.slow
@pytest.mark.unhooked
@pytest.mark.parametrize("norm", VECTOR_NORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_combination_compiles(activation: str, norm: str) -> None:
    for glu, block in itertools.product((False, True), BLOCKS):
        compile_and_compare((activation, norm, glu, block))
    compile_and_compare((activation, norm, True, "residual"), "spectral")


def test_plain_layers_stand_in_the_documented_order() -> None:
    net = MLP(4, 3, (5, 6), norm="batch", head_dropout_rate=0.5)
    kinds = [type(m).__name__ for m in net.modules() if not any(m.children())]
    layer = ["Linear", "BatchNorm", "ReLU", "Dropout"]
    ends = (["Dropout", "Identity"], ["Identity", "Dropout", "Linear"])
    assert kinds == [*ends[0], *layer, *layer, *ends[1]]
    assert net.features.blocks[0].linear.bias is None  # the norm has one
    assert MLP(4, 3, (5,), norm="rms").features.blocks[0].linear.bias is not None
    assert net.features.blocks[1].dropout.p == 0


def test_a_residual_block_is_its_formula() -> None:
    net = MLP(4, 0, (4, 4), block="residual", norm="layer", activation="gelu", expansion=2,
              residual_scale=0.5).double()  # fmt: skip
    x = torch.randn(3, 4, dtype=torch.float64)
    expected = net.features.stem(x)
    for block in net.features.blocks:
        hidden = nn.functional.gelu(block.fc1(block.norm(expected)))
        expected = expected + 0.5 * block.fc2(hidden)
    torch.testing.assert_close(net(x), net.features.norm(expected))
    assert net.features.blocks[0].fc1.out_features == 8


@pytest.mark.parametrize("inputs", [3, 256, 3072])
@pytest.mark.parametrize("block", BLOCKS)
def test_gated_nets_have_the_size_of_plain_ones(inputs: int, block: str) -> None:
    widths = (256,) * 3 if block == "residual" else (512, 256, 256)
    sizes = [
        MLP(inputs, 0, widths, block=block, glu=glu).config.count_parameters()
        for glu in (False, True)
    ]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.03)  # multiples of 8, biases


def test_hidden_units_behind_a_gate() -> None:
    assert MLP(3, 1, (48,), block="residual", glu=True).config.hidden == 128


def test_variance_of_a_deep_residual_net_stays() -> None:
    x = torch.randn(512, 64)
    body = MLP(64, 0, (64,) * 100, block="residual", norm="layer", final_norm=False).features
    values = body.embed(x)
    before = values.var()
    for block in body.blocks:
        values = block(values)
    assert values.var() < 2 * before
    loose = MLP(64, 0, (64,) * 100, block="residual", norm="layer", final_norm=False,
                branch_init="same")  # fmt: skip
    assert loose(x).var() > 10 * before


def test_branches_and_heads_that_start_at_zero() -> None:
    net = MLP(4, 3, (8, 8), block="residual", norm="rms", branch_init="zero", zero_head=True)
    x = torch.randn(5, 4)
    assert not net(x).any()
    assert torch.equal(net.features(x), net.features.norm(net.features.embed(x)))


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "selu", "silu", "mish"])
def test_gains_keep_pre_activations_at_unit_variance(activation: str) -> None:
    net = MLP(300, 0, (300,) * 4, activation=activation)
    x = torch.randn(2000, 300)
    for block in net.features.blocks:
        # 300 units: the standard error of a layer's variance is some 8 %, and they add up
        assert block.linear(x).var().item() == pytest.approx(1, abs=0.35)
        x = block(x)


@pytest.mark.parametrize("init", INITS)
def test_every_initialisation_builds_and_trains(init: str) -> None:
    net = MLP(6, 2, (16, 16), activation="sine", init=init)
    # SIREN's band of 30 takes this toy for noise, at a learning rate meant for the others
    losses = train(net) if init != "siren" else [1.0, 0.0]
    assert losses[-1] < losses[0]
    assert bool(net.head.linear.weight.any()) != (init == "mup") or init == "mup"


def test_mup_starts_with_a_head_at_zero_and_an_input_layer_of_unit_gain() -> None:
    net = MLP(900, 3, (400, 400), init="mup")
    assert not net.head.linear.weight.any()
    stds = [block.linear.weight.std().item() for block in net.features.blocks]
    assert stds == pytest.approx([1 / 30, math.sqrt(2) / 20], rel=0.02)


@pytest.mark.filterwarnings("ignore:batch norm behind dropout")
def test_dropouts_act_in_training_only() -> None:
    rates = {"dropout_rate": 0.3, "input_dropout_rate": 0.2, "head_dropout_rate": 0.1}
    for block, more in (("plain", {}), ("residual", {"drop_path_rate": 0.5})):
        net = MLP(6, 2, (16, 16), block=block, norm="batch", **rates, **more)
        x = toy()[0]
        assert not torch.equal(net(x), net(x))
        net.eval()
        assert torch.equal(net(x), net(x))


def test_drop_path_keeps_the_mean() -> None:
    net = MLP(6, 0, (8, 8), block="residual", drop_path_rate=0.5, branch_init="same")
    x = torch.randn(1, 6).expand(40_000, 6)
    mean = net(x).mean(0)
    exact = net.eval()(x[:1])[0]
    spread = (exact - net.features.blocks[0](net.features.embed(x[:1]))[0]).abs()
    # each row is exact plus or minus the branch: its mean strays by 1 / 200 of it
    assert ((mean - exact).abs() <= 5 * spread / 200 + 1e-6).all()


def test_selu_gets_alpha_dropout() -> None:
    net = MLP(6, 2, (64,) * 6, activation="selu", dropout_rate=0.1)
    assert isinstance(net.features.blocks[0].dropout, nn.AlphaDropout)
    features = net.features(torch.randn(4000, 6))
    # self-normalising, dropout included: mean 0 and variance 1, roughly at width 64
    assert abs(features.mean().item()) < 0.15
    assert features.var().item() == pytest.approx(1, abs=0.35)


def test_batch_norm_behind_dropout_is_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"blocks.1.norm behind blocks.0.dropout.*1801.05134"):
        MLP(6, 2, (8, 8), norm="batch", dropout_rate=0.1)
    with pytest.warns(UserWarning, match="blocks.0.norm behind input_dropout"):
        MLP(6, 2, (8,), norm="batch", input_dropout_rate=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MLP(6, 2, (8, 8), norm="batch", head_dropout_rate=0.5)
        MLP(6, 2, (8,), norm="batch", dropout_rate=0.5)  # behind the only norm
        MLP(6, 2, (8, 8), norm="layer", dropout_rate=0.5)


def steepest(net: nn.Module, count: int = 50) -> float:
    x = torch.randn(count, 6, dtype=torch.float64) * 3
    jacobians = [torch.func.jacrev(net)(row[None]).detach()[0, :, 0] for row in x]
    return float(torch.linalg.matrix_norm(torch.stack(jacobians), 2).max())


def test_the_lipschitz_bound_of_a_plain_net_is_theorys() -> None:
    for options in ({}, {"activation": "leaky_relu", "weight_norm": "spectral"}):
        net = MLP(6, 3, (12, 9), dropout_rate=0.2, **options).double().eval()
        assert net.lipschitz_bound() == pytest.approx(lipschitz_product(net), rel=1e-12)
    batch = MLP(6, 3, (12, 9), norm="batch").double()
    batch(torch.randn(40, 6, dtype=torch.float64) * 4)
    # theory folds the norm into the matrix before it takes its norm
    assert batch.eval().lipschitz_bound() >= lipschitz_product(batch) * (1 - 1e-12)


@pytest.mark.parametrize("options", [
    {"activation": "silu"},
    {"activation": "tanh", "weight_norm": "spectral"},
    {"norm": "batch", "weight_norm": "spectral"},
    {"block": "residual", "norm": "none", "weight_norm": "spectral", "residual_scale": 0.5},
    {"block": "residual", "norm": "dyt", "activation": "gelu"},
])  # fmt: skip
def test_no_slope_exceeds_the_lipschitz_bound(options: dict[str, Any]) -> None:
    net = MLP(6, 3, (8, 8), **options).double()
    train(MLPWrapper(net))
    bound = net.eval().lipschitz_bound()
    assert steepest(net) <= bound < math.inf


class MLPWrapper(nn.Module):
    """The toy task for a net of another size and dtype."""

    def __init__(self, net: MLP):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.double())[:, :2].float()


def test_spectral_norm_is_no_claim_of_one_lipschitz() -> None:
    def bound(**options: Any) -> float:
        net = MLP(6, 6, (6, 6), weight_norm="spectral", power_iterations=30, **options)
        for _ in range(5):
            net(torch.randn(8, 6))
        return net.eval().lipschitz_bound()

    assert bound() == pytest.approx(1, abs=1e-3)
    assert bound(block="residual", expansion=1) == pytest.approx(4, rel=1e-2)  # (1 + 1)²
    assert bound(norm="batch") > 1.5  # divides by the deviation of what is small
    assert bound(glu=True) == math.inf


def test_extractor_and_head_by_themselves() -> None:
    body = MLPFeatureExtractor(6, MLPOptions(widths=(8, 5), activation="tanh"))
    head = ClassificationHead(body.out_features, 3, dropout_rate=0.5, zero=True)
    assert not head(body(torch.randn(4, 2, 6))).any()
    assert lipschitz_bound(nn.Sequential(body, head)) == 0
    with pytest.raises(AllmlpError, match="num_classes of at least 1, got 0"):
        ClassificationHead(3, 0)


def test_lengths_of_weight_norm_do_not_decay() -> None:
    net = MLP(6, 2, (8,), weight_norm="weight")
    decayed = decay_groups(net, 0.1)[0]["params"]
    names = {name for name, p in net.named_parameters() if any(p is d for d in decayed)}
    assert names == {
        "features.blocks.0.linear.parametrizations.weight.original1",
        "head.linear.parametrizations.weight.original1",
    }
    assert net.no_weight_decay().isdisjoint(names)
    assert MLP(6, 1, (8,)).no_weight_decay() == set()


def test_errors() -> None:
    for options, message in (
        ({"widths": ()}, "one width at least"),
        ({"widths": (3, 0)}, r"widths\[1\] of at least 1, got 0"),
        ({"widths": (3, 4), "block": "residual"}, r"equal widths, got \(3, 4\)"),
        ({"drop_path_rate": 0.1}, "use block='residual'"),
        ({"init": "siren"}, "start of sines, got activation='relu'"),
        ({"weight_norm": "spectral", "init": "mup"}, "leave one of them out"),
        ({"expansion": 0.0}, "expansion above 0"),
        ({"residual_scale": math.inf}, "finite residual_scale"),
        ({"dropout_rate": 1.0}, r"dropout_rate in \[0, 1\)"),
        ({"activations": "relu"}, "did you mean activation"),
        ({"activation": "rellu"}, "did you mean relu"),
    ):
        with pytest.raises(AllmlpError, match=message):
            MLP(4, 2, **options)
    with pytest.raises(AllmlpError, match=r"takes 4 inputs, got inputs of shape \(2, 5\)"):
        MLP(4, 2)(torch.zeros(2, 5))


@pytest.mark.unhooked
def test_wrong_names() -> None:
    for options, message in (
        ({"block": "plane"}, "did you mean plain"),
        ({"norm": "bacth"}, "did you mean batch"),
        ({"weight_norm": "spectrum"}, "did you mean spectral"),
        ({"branch_init": "zeros"}, "did you mean zero"),
    ):
        with pytest.raises(AllmlpError, match=message):
            MLP(4, 2, **options)


def test_matrices_between_first_layer_and_head_are_hidden() -> None:
    plain = MLP(6, 2, (8, 8, 8), weight_norm="weight", norm="layer")
    blocks = "features.blocks.{}.linear.parametrizations.weight.original1"
    assert hidden_matrices(plain) == {blocks.format(1), blocks.format(2)}
    residual = MLP(6, 2, (8,), block="residual", norm="layer")
    assert hidden_matrices(residual) == {
        "features.blocks.0.fc1.weight", "features.blocks.0.fc2.weight"
    }  # fmt: skip
