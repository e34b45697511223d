from pathlib import Path

import pytest

from allmlp.errors import AllmlpError
from allmlp.runs.config_tree import resolve_config
from allmlp.scaling import Settings, Trial, make_trials
from allmlp.scaling.families import BASE_WIDTH, FAMILIES
from allmlp.scaling.presets import PRESETS
from allmlp.zoo import model_info


def test_a_table_is_every_combination_once_in_one_order() -> None:
    trials = make_trials(["mlp", "kan", "mlp"], [8, 16], [2], [100, 200], seeds=3)
    assert len(trials) == len({trial.key for trial in trials}) == 2 * 2 * 2 * 3
    assert trials == make_trials(["kan", "mlp"], [16, 8], [2], [200, 100], seeds=3)
    # a part of it is spread over the grid
    assert {trial.family for trial in trials[:8]} == {"mlp", "kan"}
    assert {trial.samples for trial in trials[:8]} == {100, 200}


def test_what_no_table_can_hold() -> None:
    with pytest.raises(AllmlpError, match="unknown family 'mpl'; did you mean mlp"):
        make_trials(["mpl"], [8], [2], [100], 1)
    with pytest.raises(AllmlpError, match="integer width of at least 1, got 0"):
        make_trials(["mlp"], [0], [2], [100], 1)
    with pytest.raises(AllmlpError, match="needs a family"):
        make_trials(["mlp"], [], [2], [100], 1)


@pytest.mark.parametrize("name", FAMILIES)
def test_families_grow_with_width_and_depth(name: str) -> None:
    size = 8 if name == "mixer_digits" else 32

    def parameters(width: int, depth: int) -> int:
        own = FAMILIES[name]
        return model_info(
            own.model, img_size=size, num_classes=10, **own.sizes(width, depth)
        ).parameters

    assert parameters(8, 2) < parameters(8, 3) < parameters(32, 3)


def test_the_learning_rate_falls_as_one_over_width() -> None:
    family = FAMILIES["mlp"]
    assert family.learning_rate(BASE_WIDTH) == family.lr
    assert family.learning_rate(4 * BASE_WIDTH) == family.lr / 4
    assert family.learning_rate(1) == 3 * family.lr


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_whole_runs(name: str) -> None:
    own = PRESETS[name]
    trials = own.trials()
    assert len(trials) == len(set(trials))
    cheap, deep, large = (
        {t.seed for t in trials if (t.depth, t.samples) == size}
        for size in (
            (own.depths[0], own.samples[0]),
            (own.depths[-1], own.samples[0]),
            (own.depths[0], own.samples[-1]),
        )
    )
    assert len(cheap) == own.seeds >= 3
    if len(own.depths) > 1:
        assert deep == large == {0}
    for trial in trials[:: len(trials) // 4]:
        config = resolve_config(own.settings.config(trial, str(Path("somewhere"))), {})
        assert config.run.seed == trial.seed
        assert config.data.samples == trial.samples
        assert config.train.epochs == own.settings.epochs
        assert config.augment.rotate == config.train.label_smoothing == 0


def test_settings_survive_a_dictionary() -> None:
    settings = Settings(epochs=3)
    assert Settings.from_dict(settings.__dict__) == settings
    with pytest.raises(AllmlpError, match="not the settings of a sweep"):
        Settings.from_dict({"epochs": 3})


def test_names_of_trials() -> None:
    assert Trial("mlp", 8, 2, 100, 1).key == "mlp-w8-d2-n100-s1"
