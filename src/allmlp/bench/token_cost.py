"""What one block costs against the number of tokens: token mixing beside attention.

Paper: ViT, Dosovitskiy et al. 2020, arXiv:2010.11929, eq. 1 to 3; MLP-Mixer, Tolstikhin et al.
2021, arXiv:2105.01601, section 2.
Axes: b batch, n tokens, d width, f features of a head.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from allmlp.bench.timing import Timing, take_turns
from allmlp.errors import AllmlpError, check_integers
from allmlp.layers.mlp import Mlp, TokenMlp
from allmlp.models.mixer import MixerBlock
from allmlp.zoo.macs import count_macs

__all__ = ["TOKENS", "SelfAttention", "TokenCost", "measure_token_cost"]

# 224 pixels: patches of 32, 16, 8 and 4, with one size between
TOKENS = (49, 196, 400, 784, 1764, 3136)


@dataclass(frozen=True)
class TokenCost:
    """One block, one image.

    Attributes:
        block: `mixer` or `attention`.
        tokens: n.
        macs: multiply-accumulates.
        forward: seconds of forward passes.
    """

    block: str
    tokens: int
    macs: int
    forward: Timing


class SelfAttention(nn.Module):
    """Scaled dot products of all tokens with all, in several heads, by torch's own kernel.

    Args:
        width: d.
        heads: that share it.

    Shape:
        (b, n, d) -> (b, n, d); dtype unchanged.

    Raises:
        AllmlpError: heads that do not divide the width.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        check_integers("SelfAttention", minimum=1, width=width, heads=heads)
        if width % heads:
            raise AllmlpError(
                f"SelfAttention needs a width that its heads divide, got {width} and {heads}"
            )
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        q, k, v = rearrange(self.qkv(x), "b n (s h f) -> s b h n f", s=3, h=self.heads)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.out(rearrange(mixed, "b h n f -> b n (h f)"))


def measure_token_cost(
    tokens: Sequence[int] = TOKENS,
    *,
    width: int = 768,
    token_hidden: int = 384,
    heads: int = 12,
    rounds: int = 5,
    device: torch.device | str = "cpu",
    report: Callable[[str], None] | None = None,
) -> tuple[TokenCost, ...]:
    """Forward passes of one block of a Mixer and one of a ViT, which differ in token mixing alone.

    Both are pre-norm residual blocks with a channel MLP of 4 d; the defaults are Mixer-B and ViT-B.
    Token mixing costs 2 n D_S d multiply-accumulates, linear in n for weights of the same D_S;
    attention 4 n d^2 + 2 n^2 d. The two take turns at each n.

    Args:
        tokens: numbers of them, n.
        width: d.
        token_hidden: D_S, the same for every n, as in the paper.
        heads: of attention.
        rounds: timed calls of each.
        device: where they run.
        report: told what is measured now.

    Raises:
        AllmlpError: a size is no positive integer.
    """
    check_integers("measure_token_cost", minimum=1, width=width, token_hidden=token_hidden)
    check_integers(
        "measure_token_cost", minimum=1, **{f"tokens[{i}]": n for i, n in enumerate(tokens)}
    )

    def build(n: int) -> dict[str, nn.Module]:
        mixers = {"mixer": TokenMlp(n, token_hidden), "attention": SelfAttention(width, heads)}
        return {
            name: MixerBlock(width=width, token_mlp=mix, channel_mlp=Mlp(width, 4 * width)).eval()
            for name, mix in mixers.items()
        }

    costs: list[TokenCost] = []
    with torch.random.fork_rng(), torch.inference_mode():
        for n in tokens:
            if report is not None:
                report(f"blocks of {n} tokens")
            with torch.device("meta"):
                macs = {name: count_macs(block, (n, width)) for name, block in build(n).items()}
            x = torch.randn(1, n, width, device=device)
            calls = {name: partial(block.to(device), x) for name, block in build(n).items()}
            times = take_turns(calls, rounds=rounds, device=device)
            costs += [TokenCost(name, n, macs[name], times[name]) for name in calls]
    return tuple(costs)
