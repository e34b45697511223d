import torch
from torch import nn

from allmlp.layers.mix_block import MixBlock
from allmlp.layers.mlp import Mlp


def block(rate: float = 0.0) -> MixBlock:
    made = MixBlock(width=8, mix=nn.Linear(8, 8), channel_mlp=Mlp(8, 16), drop_path_rate=rate)
    for parameter in made.parameters():
        nn.init.normal_(parameter)
    return made.double()


def plain(made: MixBlock, x: torch.Tensor) -> torch.Tensor:
    x = x + made.mix(made.mix_norm(x))
    return x + made.channel_mlp(made.channel_norm(x))


def test_two_residual_branches() -> None:
    made, x = block(0.5).eval(), torch.randn(2, 3, 4, 8, dtype=torch.float64)
    torch.testing.assert_close(made(x), plain(made, x), rtol=0, atol=0)
    with torch.no_grad():
        torch.testing.assert_close(made(x), plain(made, x), rtol=1e-12, atol=1e-12)


def test_paths_are_dropped_in_training_with_and_without_gradients() -> None:
    made, x = block(0.5), torch.randn(64, 1, 1, 8, dtype=torch.float64)
    for enabled in (True, False):
        with torch.set_grad_enabled(enabled):
            kept = (made(x) == x).flatten(1).all(dim=1)
        # both branches dropped: a quarter of 64 samples, never none or all of them
        assert 0 < kept.sum() < 64


def test_a_watched_branch_is_seen_without_the_stream() -> None:
    made, x = block().eval(), torch.randn(2, 3, 4, 8, dtype=torch.float64)
    seen: list[torch.Tensor] = []
    made.drop_path.register_forward_hook(lambda _m, _i, output: seen.append(output))
    with torch.no_grad():
        found = made(x)
    torch.testing.assert_close(x + seen[0] + seen[1], found, rtol=1e-12, atol=1e-12)
