import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.layers import DropPath, drop_path_rates


def test_drops_whole_samples_and_keeps_the_mean() -> None:
    x = torch.ones(4000, 3, 2)
    dropped = DropPath(0.25).train()(x)
    per_sample = dropped.flatten(1)
    assert torch.equal(per_sample.min(dim=1).values, per_sample.max(dim=1).values)
    assert sorted(per_sample.unique().tolist()) == pytest.approx([0, 4 / 3])
    # standard error of the mean: sqrt(0.25 / 0.75 / 4000) = 0.009
    assert dropped.mean().item() == pytest.approx(1, abs=0.04)


def test_leaves_eval_and_rate_zero_alone() -> None:
    x = torch.randn(3, 2)
    assert DropPath(0.9).eval()(x) is x
    assert DropPath(0.0).train()(x) is x


def test_rates() -> None:
    assert drop_path_rates(0.3, 4) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert drop_path_rates(0.3, 1) == [0.0]
    assert drop_path_rates(0.3, 2, "constant") == [0.3, 0.3]


def test_a_rate_of_one_is_refused() -> None:
    with pytest.raises(AllmlpError, match="rate in"):
        DropPath(1.0)


@pytest.mark.unhooked
def test_unknown_schedule() -> None:
    with pytest.raises(AllmlpError, match="unknown drop path schedule 'linaer'; did you mean"):
        drop_path_rates(0.1, 3, "linaer")
