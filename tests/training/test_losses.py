"""Losses against their formulas written out."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from allmlp.errors import AllmlpError
from allmlp.training import Classification, Distillation, SigmoidClassification, Task


def example() -> tuple[nn.Module, tuple[Tensor, Tensor], Tensor]:
    generator = torch.Generator().manual_seed(0)
    model = nn.Linear(4, 3).double()
    inputs = torch.randn(6, 4, dtype=torch.float64, generator=generator)
    labels = torch.tensor([0, 1, 2, 2, 1, 0])
    return model, (inputs, labels), model(inputs).detach()


def test_class_weights_scale_each_examples_loss() -> None:
    model, (inputs, labels), logits = example()
    weights = torch.tensor([0.5, 1.0, 3.0])
    task = Classification(class_weights=weights)
    losses = -logits.log_softmax(1)[range(6), labels]
    torch.testing.assert_close(
        task.loss(model, (inputs, labels))[0], (weights.double()[labels] * losses).mean()
    )
    # halves of a batch average to the whole, whatever classes are in them
    halves = [task.loss(model, (inputs[i], labels[i]))[0] for i in (slice(3), slice(3, 6))]
    torch.testing.assert_close(sum(halves) / 2, task.loss(model, (inputs, labels))[0])
    # as weights of all classes
    hard = F.one_hot(labels, 3).double()
    torch.testing.assert_close(
        task.loss(model, (inputs, hard))[0], task.loss(model, (inputs, labels))[0]
    )


def test_binary_cross_entropy() -> None:
    model, batch, logits = example()
    task = SigmoidClassification(label_smoothing=0.3)
    assert isinstance(task, Task)
    targets = F.one_hot(batch[1], 3).double()

    def entropy(y: Tensor) -> Tensor:
        p = logits.sigmoid()
        return -(y * p.log() + (1 - y) * (1 - p).log())

    torch.testing.assert_close(task.loss(model, batch)[0], entropy(0.7 * targets + 0.1).mean())
    mixed = 0.4 * targets + 0.6 * targets.flip(0)
    torch.testing.assert_close(
        task.loss(model, (batch[0], mixed))[0], entropy(0.7 * mixed + 0.1).mean()
    )
    sums = task.sums(logits, batch)
    torch.testing.assert_close(sums["loss"].double() / 6, entropy(targets).mean())
    assert sums["accuracy"] == (logits.argmax(1) == batch[1]).sum()


@pytest.mark.parametrize("temperature", [None, 2.0])
def test_distillation(temperature: float | None) -> None:
    model, batch, logits = example()
    teacher = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.9)).double().train()
    before = copy.deepcopy(teacher.state_dict())
    plain = Classification(label_smoothing=0.1)
    task = Distillation(plain, teacher, weight=0.3, temperature=temperature)
    assert isinstance(task, Task)
    answers = teacher[0](batch[0]).detach()  # without dropout
    if temperature is None:
        other = -logits.log_softmax(1)[range(6), answers.argmax(1)].mean()
    else:
        p, q = ((x / 2).softmax(1) for x in (answers, logits))
        other = 4 * (p * (p / q).log()).sum(1).mean()
    expected = 0.7 * plain.loss(model, batch)[0] + 0.3 * other
    loss, _ = task.loss(model, batch)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert all(torch.equal(before[k], v) for k, v in teacher.state_dict().items())
    model.eval()
    assert torch.equal(task.loss(model, batch)[0], plain.loss(model, batch)[0])


def test_distillation_refuses_what_makes_no_sense() -> None:
    model, batch, _ = example()
    task = Distillation(Classification(), nn.Linear(4, 5).double())
    with pytest.raises(AllmlpError, match=r"same classes \(6, 3\), got \(6, 5\); take a teacher"):
        task.loss(model, batch)
    with pytest.raises(AllmlpError, match=r"weight in \[0, 1\], got 2.0"):
        Distillation(Classification(), model, weight=2.0)
    with pytest.raises(AllmlpError, match="temperature above 0"):
        Distillation(Classification(), model, temperature=0.0)


def test_mixed_labels_smoothing_and_class_weights_together() -> None:
    model, (inputs, labels), logits = example()
    hard, share = F.one_hot(labels, 3).double(), 0.3
    mixed = share * hard + (1 - share) * hard.flip(0)
    weights = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
    task = Classification(label_smoothing=0.2, class_weights=weights.float())
    targets = 0.8 * mixed + 0.2 / 3
    expected = -(targets * weights * logits.log_softmax(1)).sum(1).mean()
    loss, _ = task.loss(model, (inputs, mixed))
    torch.testing.assert_close(loss, expected)
    # linear in the targets: the share of one label's loss and the rest of the other's
    parts = [task.loss(model, (inputs, y))[0] for y in (labels, labels.flip(0))]
    torch.testing.assert_close(loss, share * parts[0] + (1 - share) * parts[1])


@pytest.mark.parametrize("temperature", [None, 2.0])
def test_a_teacher_sees_the_mixed_inputs_and_leaves_the_mixed_labels(
    temperature: float | None,
) -> None:
    model, (inputs, labels), _ = example()
    teacher = nn.Linear(4, 3).double()
    hard = F.one_hot(labels, 3).double()
    batch = 0.3 * inputs + 0.7 * inputs.flip(0), 0.3 * hard + 0.7 * hard.flip(0)
    for task in (Classification(0.1), SigmoidClassification(0.1)):
        alone = task.loss(model, batch)[0]
        only = Distillation(task, teacher, weight=1.0, temperature=temperature)
        both = Distillation(task, teacher, weight=0.25, temperature=temperature)
        taught = only.loss(model, batch)[0]
        torch.testing.assert_close(both.loss(model, batch)[0], 0.75 * alone + 0.25 * taught)
        if temperature is None:
            wanted = F.cross_entropy(model(batch[0]), teacher(batch[0]).argmax(1))
            torch.testing.assert_close(taught, wanted)
