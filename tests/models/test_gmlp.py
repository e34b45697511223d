import pytest
import torch
from torch import nn

from allmlp.errors import AllmlpError
from allmlp.models.gmlp import GMLP, GMLPBlock, GMLPConfig, SpatialGate

CONFIG = GMLPConfig(
    img_size=(8, 12), in_chans=2, patch_size=4, width=10, depth=2, hidden=12, num_classes=4
)


def test_a_fresh_gate_passes_the_first_half() -> None:
    x = torch.randn(2, 5, 8)
    # |W LN(v)| is of size 1e-6 times the root of five tokens
    torch.testing.assert_close(
        SpatialGate(5, 8)(*x.chunk(2, dim=-1)), x[..., :4], rtol=0, atol=1e-4
    )


def test_the_second_half_gates_across_tokens() -> None:
    gate = SpatialGate(3, 4).double()
    for parameter in gate.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    v = gate.norm(x[..., 2:])
    mixed = torch.einsum("mn,bnd->bmd", gate.token_linear.weight, v)
    expected = x[..., :2] * (mixed + gate.token_linear.bias[:, None])
    torch.testing.assert_close(gate(*x.chunk(2, dim=-1)), expected, rtol=1e-12, atol=1e-12)


def block_in_float64() -> GMLPBlock:
    block = GMLPBlock(width=3, hidden=4, gate=SpatialGate(5, 4)).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    return block


def test_a_block_by_its_equation() -> None:
    block = block_in_float64()
    gate = block.gate
    assert isinstance(gate, SpatialGate)
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    weight, bias = gate.token_linear.weight, gate.token_linear.bias
    hidden = nn.functional.gelu(block.norm(x) @ block.fc1.weight.T + block.fc1.bias)
    mixed = torch.einsum("mn,bnd->bmd", weight, gate.norm(hidden[..., 2:])) + bias[:, None]
    expected = x + (hidden[..., :2] * mixed) @ block.fc2.weight.T + block.fc2.bias
    torch.testing.assert_close(block(x), expected, rtol=1e-12, atol=1e-12)


def test_a_hook_sees_the_whole_hidden_layer_and_changes_nothing() -> None:
    block = block_in_float64()
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    before, seen = block(x), []
    block.activation.register_forward_hook(lambda _m, _i, output: seen.append(output.shape))
    torch.testing.assert_close(block(x), before, rtol=1e-12, atol=1e-12)
    assert seen == [(2, 5, 4)]


def test_gradients() -> None:
    block = block_in_float64()
    x = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    parameters = dict(block.named_parameters())

    def call(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        state = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(block, state, (x,))

    assert torch.autograd.gradcheck(call, (x, *parameters.values()))


def test_block_transfer_gives_the_mean_over_tiles() -> None:
    small = GMLP(CONFIG).double().eval()
    for parameter in small.parameters():
        nn.init.normal_(parameter, std=0.5)
    large = GMLP(GMLP.resize_config(CONFIG, (16, 24), "block")).double().eval()
    large.load_state_dict(large.resize_state(small.state_dict(), CONFIG, "block"))
    batch = torch.randn(2, 2, 16, 24, dtype=torch.float64)
    parts = [part for row in batch.split(8, dim=2) for part in row.split(12, dim=3)]
    expected = torch.stack([small(part) for part in parts]).mean(0)
    torch.testing.assert_close(large(batch), expected, rtol=1e-10, atol=1e-10)


def test_odd_hidden_widths_are_answered() -> None:
    with pytest.raises(AllmlpError, match="even hidden width, .* got 13"):
        GMLPConfig(hidden=13)
