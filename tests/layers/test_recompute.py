import torch
from torch import Tensor, nn

from allmlp.layers import recompute


class Counted(nn.Module):
    """A norm between two products, which counts how often it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.last = nn.Linear(4, 2)
        self.runs = 0

    def forward(self, x: Tensor) -> Tensor:
        self.runs += 1
        return self.last(self.norm(self.first(x)).relu())


def after_backward(again: bool, training: bool = True) -> tuple[Counted, dict[str, Tensor]]:
    torch.manual_seed(1)
    module = Counted().double().train(training)
    module.norm.running_mean.fill_(0.3)
    x = torch.randn(5, 3, dtype=torch.float64)
    (recompute(module, x) if again else module(x)).square().sum().backward()
    grads = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    return module, grads


def test_gradients_and_statistics_are_those_of_one_pass() -> None:
    for training in (True, False):
        kept, kept_grads = after_backward(False, training)
        again, again_grads = after_backward(True, training)
        assert (kept.runs, again.runs) == (1, 2)
        assert len(kept_grads) == 6
        torch.testing.assert_close(again_grads, kept_grads, rtol=0, atol=0)
        torch.testing.assert_close(again.state_dict(), kept.state_dict(), rtol=0, atol=0)
        assert again.norm.momentum == kept.norm.momentum == 0.1
    assert int(after_backward(True)[0].norm.num_batches_tracked) == 1


def test_without_gradients_it_is_one_plain_pass() -> None:
    module = Counted()
    with torch.no_grad():
        recompute(module, torch.zeros(2, 3))
    assert module.runs == 1
    assert int(module.norm.num_batches_tracked) == 1
