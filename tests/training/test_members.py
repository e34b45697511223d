import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from allmlp.errors import AllmlpError
from allmlp.training import (
    MemberClassification,
    MemberRegression,
    evaluate,
    fit,
    mean_answer,
    probabilities,
)


class Given(nn.Module):
    """Answers what it was given, whatever it is asked."""

    def __init__(self, outputs: Tensor):
        super().__init__()
        self.outputs = nn.Parameter(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.outputs


X, LABELS = torch.zeros(4, 1), torch.tensor([0, 2, 1, 1])
LOGITS = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(3))


def test_the_mean_of_the_losses_is_minimised() -> None:
    loss, _ = MemberClassification().loss(Given(LOGITS), (X, LABELS))
    expected = torch.stack([F.cross_entropy(LOGITS[:, k], LABELS) for k in range(5)]).mean()
    torch.testing.assert_close(loss, expected)
    values = torch.randn(4, 3)
    loss, _ = MemberRegression().loss(Given(LOGITS), (X, values))
    torch.testing.assert_close(loss, (LOGITS - values[:, None]).square().mean())


def test_the_common_answer_is_judged() -> None:
    shares = LOGITS.softmax(-1).mean(1)
    torch.testing.assert_close(probabilities(LOGITS), shares)
    torch.testing.assert_close(mean_answer(LOGITS), LOGITS.mean(1))
    scores = evaluate(Given(LOGITS), MemberClassification(), [(X, LABELS)])
    assert scores["loss"] == pytest.approx(F.nll_loss(shares.log(), LABELS).item(), rel=1e-5)
    assert scores["accuracy"] == (shares.argmax(1) == LABELS).float().mean().item()
    values = torch.randn(4, 3)
    error = LOGITS.mean(1) - values
    scores = evaluate(Given(LOGITS), MemberRegression(), [(X, values)])
    assert scores["loss"] == pytest.approx(error.square().mean().item(), rel=1e-5)
    assert scores["mae"] == pytest.approx(error.abs().mean().item(), rel=1e-5)


@pytest.mark.parametrize("outputs", [LOGITS, LOGITS[:, 0]], ids=["members", "one"])
def test_weights(outputs: Tensor) -> None:
    weights = torch.tensor([0.5, 2.0, 1.0, 0.5])  # their mean is 1
    task = MemberClassification(label_smoothing=0.1)
    loss, _ = task.loss(Given(outputs), (X, LABELS, weights))
    each = torch.stack(
        [task.loss(Given(outputs[i, None]), (X[:1], LABELS[i, None]))[0] for i in range(4)]
    )
    torch.testing.assert_close(loss, (each * weights).mean())
    ones = torch.ones(4)
    model = Given(outputs)
    for any_task, targets in ((task, LABELS), (MemberRegression(), torch.randn(4, 3))):
        plain = evaluate(model, any_task, [(X, targets)])
        assert evaluate(model, any_task, [(X, targets, ones)]) == pytest.approx(plain)
        loss, _ = any_task.loss(model, (X, targets, ones))
        torch.testing.assert_close(loss, any_task.loss(model, (X, targets))[0])


def test_shapes_and_metrics_are_checked() -> None:
    with pytest.raises(AllmlpError, match=r"shape of the answers \(4, 3\), got \(4, 1\)"):
        MemberRegression().loss(Given(LOGITS[:, 0]), (X, torch.zeros(4, 1)))
    with pytest.raises(AllmlpError, match=r"shape of the answers \(4, 3\), got \(4, 2\)"):
        MemberRegression().loss(Given(LOGITS), (X, torch.zeros(4, 2)))
    with pytest.raises(AllmlpError, match=r"shape of the answers \(4, 1\), got \(4,\)"):
        MemberRegression().loss(Given(LOGITS[:, :4, :1]), (X, torch.zeros(4)))  # four members
    with pytest.raises(AllmlpError, match="unknown metric 'acc'; choose one of: accuracy, loss"):
        MemberClassification("acc")


def test_weighted_rows_are_repeated_rows() -> None:
    torch.manual_seed(2)
    x, y = torch.randn(12, 3, dtype=torch.float64), torch.randn(12, 1, dtype=torch.float64)
    counts = torch.tensor([3, 1, 2] * 4)
    weighted = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    repeated = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    repeated.load_state_dict(weighted.state_dict())
    task = MemberRegression()
    fit(weighted, x, y, weights=counts, loss=task, epochs=40, lr=0.01)
    fit(
        repeated,
        x.repeat_interleave(counts, 0),
        y.repeat_interleave(counts, 0),
        loss=task,
        epochs=40,
        lr=0.01,
    )
    # one batch holds all rows: the sums are the same but for their order
    torch.testing.assert_close(weighted.state_dict(), repeated.state_dict(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        (torch.ones(3), r"one number for each of 4 examples, got shape \(3,\)"),
        (torch.tensor([1.0, -1, 1, 1]), "finite, not negative and not all zero"),
        (torch.zeros(4), "finite, not negative and not all zero"),
    ],
)
def test_weights_are_checked(weights: Tensor, says: str) -> None:
    model, y = nn.Linear(1, 1), torch.zeros(4, 1)
    with pytest.raises(AllmlpError, match=says):
        fit(model, X, y, weights=weights, loss=MemberRegression(), epochs=1)


def test_weights_need_a_task_that_reads_them() -> None:
    with pytest.raises(AllmlpError, match="read by a task of one's own"):
        fit(nn.Linear(1, 1), X, torch.zeros(4, 1), weights=torch.ones(4), epochs=1)
    with pytest.raises(AllmlpError, match="weights are for tensors, got a loader"):
        fit(nn.Linear(1, 1), [(X, X)], weights=torch.ones(4), loss=MemberRegression(), epochs=1)


def test_weighted_validation_chooses() -> None:
    y = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    model = nn.Linear(1, 1)
    held = (X, y, torch.tensor([1.0, 1.0, 0.0, 0.0]))
    history = fit(model, X, y, loss=MemberRegression(), validation=held, epochs=1)
    with torch.no_grad():
        expected = model(X)[:2].square().mean().item()
    assert history["val/loss"] == [pytest.approx(expected, rel=1e-5)]
    with pytest.raises(AllmlpError, match="got 4 parts"):
        fit(model, X, y, validation=(X, y, y, y), epochs=1)
