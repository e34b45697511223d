from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity

from allmlp.data import ImageSet, Splits, load_source
from allmlp.errors import AllmlpError
from allmlp.runs.probe import pooled_features, probe
from allmlp.runs.run import Run


@pytest.fixture(scope="module")
def digits() -> Splits:
    return load_source("digits")


def test_features_are_what_the_head_sees(finished: Run, digits: Splits) -> None:
    assert isinstance(digits.val, ImageSet)
    features, labels = pooled_features(finished.model, finished.preprocess, digits.val, 33)
    assert features.shape == (180, finished.model.num_features)
    assert torch.equal(labels, digits.val.labels)
    with torch.no_grad():
        logits = finished.model(finished.preprocess.normalize(digits.val.images))
        torch.testing.assert_close(finished.model.get_classifier()(features), logits)


def test_knn_is_a_vote_of_the_nearest_by_cosine(finished: Run, digits: Splits) -> None:
    train, train_labels = pooled_features(finished.model, finished.preprocess, digits.train)
    test, test_labels = pooled_features(finished.model, finished.preprocess, digits.test)
    nearest = np.argsort(-cosine_similarity(test, train), axis=1)[:, :5]
    votes = [np.bincount(train_labels[row], minlength=10).argmax() for row in nearest]
    result = probe(finished.model, finished.preprocess, digits, k=5)
    assert result.knn == pytest.approx((np.array(votes) == test_labels.numpy()).mean(), abs=1e-12)
    assert (result.train, result.test) == (1257, 360)
    assert result.linear is None


def test_the_linear_probe_beats_chance_and_chooses_on_val(finished: Run, digits: Splits) -> None:
    result = probe(finished.model, finished.preprocess, digits, linear=True)
    assert result.linear is not None
    assert result.linear > 0.3  # chance is 0.1
    # the labels of test decide nothing but the score
    assert isinstance(digits.test, ImageSet)
    wrong = replace(digits, test=replace(digits.test, labels=(digits.test.labels + 1) % 10))
    again = probe(finished.model, finished.preprocess, wrong, linear=True)
    assert again.penalty == result.penalty
    assert again.linear is not None
    assert again.linear < 0.2


def test_a_probe_leaves_the_model_as_it_is(finished: Run, digits: Splits) -> None:
    before = {name: value.clone() for name, value in finished.model.state_dict().items()}
    finished.model.train()
    probe(finished.model, finished.preprocess, digits)
    assert finished.model.training
    finished.model.eval()
    torch.testing.assert_close(dict(finished.model.state_dict()), before, rtol=0, atol=0)


def test_files_with_other_classes(
    finished: Run,
    place: Callable[[Mapping[str, bytes]], str],
    pictures: Callable[..., dict[str, bytes]],
) -> None:
    splits = load_source(place(pictures("cat", "dog", count=10)))
    result = probe(finished.model, finished.preprocess, splits, k=3)
    assert (result.train, result.test) == (14, 4)


def test_what_is_refused(finished: Run, digits: Splits) -> None:
    with pytest.raises(AllmlpError, match="2000 neighbours need as many training images"):
        probe(finished.model, finished.preprocess, digits, k=2000)
    assert isinstance(digits.train, ImageSet)
    colour = replace(digits, train=replace(digits.train, images=torch.zeros(1257, 3, 8, 8).byte()))
    with pytest.raises(AllmlpError, match="takes 1 image channels, the data has 3"):
        probe(finished.model, finished.preprocess, colour)
