from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from allmlp import create_model
from allmlp.errors import AllmlpError
from allmlp.layers import Mlp, TokenLinear, TokenMlp
from allmlp.ops import linear


def test_channel_mlp_commutes_with_a_permutation_of_tokens() -> None:
    mlp = Mlp(6, 12).double()
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    order = torch.randperm(5)
    torch.testing.assert_close(mlp(x[:, order]), mlp(x)[:, order], rtol=1e-12, atol=1e-12)


def test_token_mlp_is_an_mlp_on_the_transpose() -> None:
    token = TokenMlp(5, 7).double()
    plain = Mlp(5, 7).double()
    plain.load_state_dict(token.state_dict())
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(token(x), plain(x.mT).mT, rtol=1e-12, atol=1e-12)


def test_a_hook_sees_what_passes_between_the_parts_at_inference() -> None:
    mlp = Mlp(3, 4)
    seen: list[torch.Tensor] = []
    for part in (mlp.fc1, mlp.activation):
        part.register_forward_hook(lambda _m, _i, output: seen.append(output))
    x = torch.randn(2, 3)
    with torch.no_grad():
        observed = mlp(x)
    assert len(seen) == 2
    torch.testing.assert_close(seen[0], mlp.fc1(x))
    torch.testing.assert_close(observed, mlp.fc2(seen[1]))


def test_a_counter_that_watches_all_modules_sees_the_last_layer() -> None:
    mlp, seen = Mlp(3, 4), []
    watch = torch.nn.modules.module.register_module_forward_hook(
        lambda module, _inputs, _output: seen.append(module)
    )
    with torch.no_grad(), watch:
        mlp(torch.randn(2, 3))
    assert seen == [mlp.fc1, mlp.activation, mlp.dropout, mlp.fc2, mlp.dropout, mlp]


def test_inference_equals_training_arithmetic() -> None:
    mlp = Mlp(16, 64, activation=nn.GELU("tanh"))
    x = torch.randn(9, 16)
    with torch.inference_mode():
        fused = mlp(x)
    # another kernel sums in another order: float32 rounding of a sum of 64 products
    torch.testing.assert_close(fused, mlp(x).detach(), rtol=1e-5, atol=1e-6)


def test_joining_a_stream_is_a_sum() -> None:
    mlp, stream, x = Mlp(16, 64), torch.randn(9, 16), torch.randn(9, 16)
    before = stream.clone()
    learned = mlp.join(stream, x)
    assert torch.equal(learned, stream + mlp(x))
    with torch.inference_mode():
        fused = mlp.join(stream, x)
    assert torch.equal(stream, before)
    # another kernel sums in another order: float32 rounding of a sum of 64 products
    torch.testing.assert_close(fused, learned.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("part", ["", "dropout", "fc2"])
def test_a_hook_sees_a_branch_without_its_stream(part: str) -> None:
    mlp, stream, x = Mlp(3, 4).eval(), torch.randn(2, 3), torch.randn(2, 3)
    seen: list[torch.Tensor] = []
    mlp.get_submodule(part).register_forward_hook(lambda _m, _i, output: seen.append(output))
    with torch.no_grad():
        joined = mlp.join(stream, x)
    torch.testing.assert_close(stream + seen[-1], joined)


def test_joining_drops_units_in_training() -> None:
    mlp, stream, x = Mlp(8, 16, dropout_rate=0.5), torch.zeros(4, 8), torch.randn(4, 8)
    with torch.no_grad():
        assert (mlp.join(stream, x) == 0).any()
        assert not (mlp.eval().join(stream, x) == 0).any()


@pytest.mark.parametrize("kind", [Mlp, TokenMlp])
def test_dropout_acts_in_training_only(kind: type[nn.Module]) -> None:
    mlp = kind(8, 16, dropout_rate=0.5)
    x = torch.randn(2, 8, 8)
    assert not torch.equal(mlp(x), mlp(x))
    mlp.eval()
    assert torch.equal(mlp(x), mlp(x))


@pytest.mark.parametrize("kind", [Mlp, TokenMlp])
def test_sizes_are_checked(kind: type[nn.Module]) -> None:
    with pytest.raises(AllmlpError, match="integer hidden of at least 1, got 0"):
        kind(4, 0)


class Shifted(nn.Linear):
    """What an adapter does: another forward pass on the same weights."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1000


@pytest.mark.parametrize("kind", [Mlp, TokenMlp])
@pytest.mark.parametrize("part", ["fc1", "fc2"])
def test_a_layer_put_in_its_place_is_called(kind: type[nn.Module], part: str) -> None:
    mlp, x = kind(4, 8).eval(), torch.randn(2, 4, 4)
    mlp.activation = nn.ReLU()  # passes a shift on
    layer = mlp.get_submodule(part)
    other = Shifted(layer.in_features, layer.out_features)
    other.load_state_dict(layer.state_dict())
    with torch.no_grad():
        before = mlp(x)
        setattr(mlp, part, other)
        assert (mlp(x) - before).abs().min() > 1
        if kind is Mlp:
            assert (mlp.join(x, x) - x - before).abs().min() > 1
        setattr(mlp, part, nn.Sequential(layer))
        torch.testing.assert_close(mlp(x), before)


def test_backward_hooks_fire() -> None:
    mlp, seen = Mlp(4, 8), []
    for name, part in mlp.named_children():
        part.register_full_backward_hook(lambda m, gi, go, name=name: seen.append(name))
    mlp(torch.randn(2, 4, requires_grad=True)).sum().backward()
    assert {*seen} == {"fc1", "activation", "dropout", "fc2"}


@pytest.mark.filterwarnings("ignore:.torch.jit.script")  # torch.func's own
@pytest.mark.parametrize("name", ["mixer_digits", "gmlp_digits", "resmlp_digits", "mlp"])
def test_forward_mode_is_the_transpose_of_reverse_mode(name: str) -> None:
    options: dict[str, Any] = {"activation": "gelu"} if name == "mlp" else {"depth": 1}
    options |= {"img_size": 8, "in_chans": 1, "num_classes": 0}  # a head starts at zero
    model = create_model(name, **options).eval().requires_grad_(False)
    x, v = torch.randn(2, 1, 1, 8, 8).unbind()
    tangent = torch.func.jvp(model, (x,), (v,))[1]
    u = torch.randn_like(tangent)
    cotangent = torch.func.vjp(model, x)[1](u)[0]
    assert (u * tangent).sum() == pytest.approx(float((cotangent * v).sum()), rel=1e-3, abs=1e-4)
    assert tangent.abs().max() > 0


@pytest.mark.unhooked
@pytest.mark.filterwarnings("ignore:.torch.jit.trace")
def test_a_tracer_sees_plain_products() -> None:
    mlp, x = Mlp(4, 8).requires_grad_(False), torch.randn(2, 4)
    torch.testing.assert_close(torch.jit.trace(mlp, x)(x), mlp(x))


def test_counters_and_switches_see_plain_products() -> None:
    mlp, x = Mlp(4, 8), torch.randn(2, 4)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        linear(x, mlp.fc1.weight, mlp.fc1.bias)
    assert counter.get_total_flops() == 2 * 2 * 4 * 8
    with torch.no_grad(), torch.autocast("cpu", torch.float16):
        assert mlp(x).isfinite().all()
    with torch.autocast("cpu", torch.bfloat16):
        assert TokenLinear(2).double()(x.double()[None]).dtype == torch.float64
