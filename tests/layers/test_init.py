import math

import pytest
import torch

from allmlp.layers.init import lecun_normal_


@pytest.mark.parametrize("shape", [(700, 300), (300, 700), (64, 3, 16, 16)])
def test_lecun_normal_has_variance_one_over_fan_in(shape: tuple[int, ...]) -> None:
    weight = lecun_normal_(torch.empty(shape))
    fan_in = math.prod(shape[1:])
    # the standard error of a sample deviation is below 1/sqrt(2 n) = 0.32 % for n = 49,152
    assert weight.std().item() == pytest.approx(math.sqrt(1 / fan_in), rel=0.015)
    assert weight.abs().max().item() <= 2 / 0.8796 * math.sqrt(1 / fan_in)
