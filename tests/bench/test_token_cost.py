"""What one block costs against the number of tokens."""

import pytest
import torch
from torch import nn

from allmlp.bench import SelfAttention, measure_token_cost
from allmlp.errors import AllmlpError
from allmlp.layers.mlp import Mlp
from allmlp.models.mixer import MixerBlock


def test_a_mixer_block_with_attention_is_torchs_encoder_layer() -> None:
    theirs = nn.TransformerEncoderLayer(
        12, 3, 48, 0.0, "gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    ).double()
    mix, mlp = SelfAttention(12, 3), Mlp(12, 48)
    ours = MixerBlock(width=12, token_mlp=mix, channel_mlp=mlp).double()
    for mine, other in (
        (ours.token_norm, theirs.norm1),
        (ours.channel_norm, theirs.norm2),
        (mix.out, theirs.self_attn.out_proj),
        (mlp.fc1, theirs.linear1),
        (mlp.fc2, theirs.linear2),
    ):
        nn.init.normal_(other.weight)
        mine.load_state_dict(other.state_dict())
    nn.init.normal_(theirs.self_attn.in_proj_bias)
    with torch.no_grad():
        mix.qkv.weight.copy_(theirs.self_attn.in_proj_weight)
        mix.qkv.bias.copy_(theirs.self_attn.in_proj_bias)
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-10, atol=1e-10)


def test_costs_are_those_of_the_formulas() -> None:
    state = torch.get_rng_state()
    n, d, hidden = (4, 9), 8, 6
    costs = measure_token_cost(n, width=d, token_hidden=hidden, heads=2, rounds=3)
    assert [(cost.block, cost.tokens) for cost in costs] == [
        ("mixer", 4), ("attention", 4), ("mixer", 9), ("attention", 9),
    ]  # fmt: skip
    for cost in costs:
        t = cost.tokens
        mixing = 2 * t * hidden * d if cost.block == "mixer" else 4 * t * d * d + 2 * t * t * d
        assert cost.macs == mixing + 8 * t * d * d
        assert len(cost.forward.seconds) == 3
    assert torch.equal(torch.get_rng_state(), state)


def test_wrong_sizes() -> None:
    with pytest.raises(AllmlpError, match="width that its heads divide, got 8 and 3"):
        SelfAttention(8, 3)
    with pytest.raises(AllmlpError, match=r"tokens\[1\] of at least 1, got 0"):
        measure_token_cost((4, 0))
