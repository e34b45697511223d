import pytest
import torch
from torch import nn

from allmlp.errors import AllmlpError
from allmlp.layers import Mlp, TokenMlp


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
