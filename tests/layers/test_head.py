import torch

from allmlp.layers.head import make_head, make_zero_head


def test_heads_start_as_they_say_and_can_be_absent() -> None:
    head, zero = make_head(3, 2), make_zero_head(3, 2)
    assert head.weight.abs().min() > 0
    assert torch.equal(zero(torch.randn(4, 3)), torch.zeros(4, 2))
    x = torch.randn(4, 3)
    assert make_head(3, 0)(x) is x
    assert make_zero_head(3, 0)(x) is x
