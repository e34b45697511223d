import pytest

from allmlp.errors import AllmlpError
from allmlp.training import Classification, Regression, Selection

COUNT = 100


def follow(selection: Selection, metric: str, *values: float) -> list[bool]:
    return [selection.update({metric: value}, COUNT) for value in values]


def test_the_last_epoch_within_one_standard_error_is_the_best() -> None:
    selection = Selection(Classification())
    # of 0.90 on 100: sqrt(p (1 - p) / 100) with p = 91 / 102 is 0.031
    assert follow(selection, "accuracy", 0.90, 0.87, 0.86, 0.89) == [True, True, False, True]
    assert selection.best == 0.90


def test_another_metric_is_compared_as_it_is_and_its_own_way() -> None:
    selection = Selection(Classification(), "loss")
    assert follow(selection, "loss", 2.0, 2.0, 1.5, 1.6) == [True, True, True, False]
    assert selection.best == 1.5


def test_a_regression_has_no_tolerance() -> None:
    selection = Selection(Regression())
    assert follow(selection, "loss", 2.0, 2.0001, 1.9) == [True, False, True]


def test_a_value_that_is_no_number_is_never_kept_against_a_number() -> None:
    selection = Selection(Regression())
    assert follow(selection, "loss", float("nan"), 2.0, float("nan")) == [True, True, False]
    assert selection.best == 2.0


def test_patience_counts_epochs_without_a_better_value() -> None:
    selection = Selection(Classification(), patience=2)
    states = []
    for value in (0.5, 0.49, 0.6, 0.6, 0.59):
        follow(selection, "accuracy", value)
        states.append((selection.stalled, selection.exhausted))
    # as good as the best within the error is kept, but is not better
    assert states == [(0, False), (1, False), (0, False), (1, False), (2, True)]


def test_without_patience_it_is_never_exhausted() -> None:
    selection = Selection(Classification())
    follow(selection, "accuracy", *[0.5] * 50)
    assert not selection.exhausted


def test_a_resumed_selection_goes_on() -> None:
    first, second = (Selection(Classification(), patience=2) for _ in range(2))
    follow(first, "accuracy", 0.6, 0.5)
    second.load_state_dict(first.state_dict())
    assert follow(second, "accuracy", 0.55) == follow(first, "accuracy", 0.55)
    assert second.exhausted
    assert second.state_dict() == first.state_dict()


def test_wrong_settings() -> None:
    with pytest.raises(AllmlpError, match="unknown metric 'accurate'; did you mean accuracy"):
        Selection(Classification(), "accurate")
    with pytest.raises(AllmlpError, match="integer patience of at least 1"):
        Selection(Classification(), patience=0)
