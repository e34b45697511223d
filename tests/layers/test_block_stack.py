import pytest
import torch
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.layers.block_stack import (
    run_blocks,
    run_blocks_keeping,
    show_map,
    show_tokens,
    show_vector,
)


class Counting(nn.Module):
    """Adds one, and counts how often."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * self.scale + 1


class Double(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


def counting(depth: int) -> nn.ModuleList:
    return nn.ModuleList(Counting() for _ in range(depth))


def test_intermediates_in_the_order_asked_and_no_block_too_many() -> None:
    blocks = counting(4)
    x = torch.zeros(2, 5)
    found = run_blocks_keeping(
        blocks, x, [2, 0], show=show_vector, output_fmt="NLC", intermediates_only=True
    )
    assert [t.unique().tolist() for t in found] == [[3.0], [1.0]]
    assert [tuple(t.shape) for t in found] == [(2, 1, 5)] * 2
    assert [block.calls for block in blocks] == [1, 1, 1, 0]


def test_the_final_norm_is_applied_where_asked() -> None:
    x = torch.zeros(2, 6, 3)
    for normalise, expected in ((False, 2.0), (True, 4.0)):
        final, (found,) = run_blocks_keeping(
            counting(3),
            x,
            [1],
            show=show_tokens((2, 3)),
            output_fmt="NCHW",
            intermediates_only=False,
            final=Double(),
            normalise=normalise,
        )
        assert final.unique().tolist() == [6.0]
        assert found.unique().tolist() == [expected]
        assert found.shape == (2, 3, 2, 3)


def test_maps_and_tokens_are_each_others_inverse() -> None:
    tokens = torch.randn(2, 6, 4)
    as_map = show_tokens((2, 3))(tokens, "NCHW")
    assert torch.equal(as_map[:, :, 1, 2], tokens[:, 5])
    assert torch.equal(show_map(as_map, "NLC"), tokens)
    assert show_tokens((2, 3))(tokens, "NLC") is tokens
    assert show_map(as_map, "NCHW") is as_map
    assert show_vector(torch.zeros(2, 4), "NCHW").shape == (2, 4, 1, 1)


def test_recomputing_runs_every_block_again_in_the_backward_pass_alone() -> None:
    for recompute, calls in ((False, 1), (True, 2)):
        blocks = counting(3)
        x = torch.zeros(2, 5, requires_grad=True)
        out = run_blocks(blocks, x, recompute=recompute)
        assert [block.calls for block in blocks] == [1, 1, 1]
        out.sum().backward()
        # each block's input is stored, so each runs once more
        assert [block.calls for block in blocks] == [calls] * 3
        assert x.grad is not None
        assert x.grad.unique().tolist() == [1.0]


def test_an_unknown_format_and_a_missing_block_are_refused() -> None:
    for indices, form, words in (([0], "NHWC", "output_fmt"), ([9], "NLC", "blocks")):
        with pytest.raises(AllmlpError, match=words):
            run_blocks_keeping(
                counting(2),
                torch.zeros(1, 2),
                indices,
                show=show_vector,
                output_fmt=form,
                intermediates_only=False,
            )
