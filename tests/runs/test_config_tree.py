import dataclasses
from pathlib import Path

import pytest

from allmlp.errors import AllmlpError
from allmlp.runs.config import SHORT_NAMES, Config
from allmlp.runs.config_tree import (
    build_config,
    describe_fields,
    read_yaml,
    resolve_config,
    set_path,
    to_yaml,
)


def test_yaml_round_trip(tmp_path: Path) -> None:
    tree = {
        "data": {"img_size": [8, 16]},
        "model": {"overrides": {"depth": 3}},
        "train": {"clip": None, "lr": 3},
    }
    config = build_config(tree)
    assert config.data.img_size == (8, 16)
    assert config.train.lr == 3.0
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config))
    assert build_config(read_yaml(path)) == config


def test_yaml_holds_every_field() -> None:
    import yaml

    tree = yaml.safe_load(to_yaml(Config()))
    listed = {f"{section}.{leaf}" for section, leaves in tree.items() for leaf in leaves}
    assert listed == {path for path, _, _ in describe_fields()}


def test_short_names_point_at_fields() -> None:
    assert set(SHORT_NAMES.values()) <= {path for path, _, _ in describe_fields()}


def test_every_field_says_what_it_is_for() -> None:
    for path, _, purpose in describe_fields():
        assert len(purpose) > 5, path


def test_settings_win_over_the_tree_and_leave_it_alone() -> None:
    tree = {"train": {"epochs": 5}}
    assert resolve_config(tree, {"epochs": 7}).train.epochs == 7
    assert tree == {"train": {"epochs": 5}}
    with pytest.raises(AllmlpError, match="unknown setting 'epoch'; did you mean epochs"):
        resolve_config(None, {"epoch": 3})
    with pytest.raises(AllmlpError, match="not with a whole Config"):
        resolve_config(Config(), {"epochs": 3})


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"trian": {}}, "unknown key 'trian'; did you mean train?"),
        ({"train": {"epcohs": 3}}, "unknown key 'train.epcohs'; did you mean train.epochs?"),
        ({"epochs": 3}, "unknown key 'epochs'; it is train.epochs here"),
        ({"train": {"epochs": "many"}}, "train.epochs must be an integer, got 'many'"),
        ({"train": {"epochs": 2.5}}, "train.epochs must be an integer, got 2.5"),
        ({"train": {"epochs": True}}, "train.epochs must be an integer, got True"),
        ({"train": {"lr": "fast"}}, "train.lr must be a number, got 'fast'"),
        ({"train": {"lr": None}}, "train.lr must be a number, got None"),
        ({"train": {"clip": "x"}}, "train.clip must be a number or null, got 'x'"),
        ({"train": 3}, "train must be a section with keys, got 3"),
        ({"run": {"precision": "fp8"}}, "run.precision must be one of auto, fp32, bf16"),
        ({"data": {"img_size": [8]}}, r"data.img_size must be an integer or \[height, width\]"),
        ({"model": {"overrides": 3}}, "model.overrides must be a mapping of names, got 3"),
        ({"train": {"optimizer_options": {None: 1}}}, "must be a mapping of names, got {None: 1}"),
    ],
)
def test_wrong_trees(tree: dict[str, object], message: str) -> None:
    with pytest.raises(AllmlpError, match=message):
        build_config(tree)


def test_yaml_1_1_reads_1e_3_as_text_and_it_works_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("train: {lr: 1e-3}")
    assert build_config(read_yaml(path)).train.lr == 1e-3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: [", "is no valid YAML"),
        ("- 1", "must hold a mapping"),
        ("a: !!python/object/apply:os.system ['true']", "is no valid YAML"),
        ("a: !!int x", "is no valid YAML: invalid literal"),
        ("a: !!timestamp x", "is no valid YAML: "),
        ("a: " + "9" * 5000, "is no valid YAML: Exceeds the limit"),
        ("[" * 20_000, "is no configuration: more than 1,048,576 letters or 1,000 brackets"),
        ("[" * 900, "is no valid YAML: "),
        ("train: &t {epochs: *t}", "holds more than 10,000 values, or deeper than 20"),
        ("a: " + "[" * 25 + "]" * 25, "holds more than 10,000 values, or deeper than 20"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(AllmlpError, match=message):
        read_yaml(path)


def test_aliases_that_would_be_ten_million_values(tmp_path: Path) -> None:
    lines = ["x0: &x0 [1]"]
    lines += [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 8)]
    path = tmp_path / "c.yaml"
    path.write_text("\n".join([*lines, "model: {overrides: {a: *x7}}"]))
    with pytest.raises(AllmlpError, match="holds more than 10,000 values"):
        read_yaml(path)


def test_errors_show_a_part_of_a_long_value() -> None:
    for tree in ({"train": {"epochs": "9" * 5000}}, {"run": {"seed": [[[[1] * 99] * 99] * 99]}}):
        with pytest.raises(AllmlpError) as e:
            build_config(tree)
        assert len(str(e.value)) < 400
    with pytest.raises(AllmlpError, match=r"train.epochs must be .* got a float|got a str|got '9"):
        build_config({"train": {"epochs": "9" * 5000}})
    with pytest.raises(AllmlpError, match="train.lr must be a number, got a int too long to show"):
        build_config({"train": {"lr": 10**5000}})


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(AllmlpError, match="no config file at"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "empty.yaml").touch()
    assert read_yaml(tmp_path / "empty.yaml") == {}


def test_a_path_through_a_value() -> None:
    with pytest.raises(AllmlpError, match=r"train.lr.x: lr is a value, not a section"):
        set_path({"train": {"lr": 1}}, "train.lr.x", 3)


def test_configs_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().train.lr = 3.0


def test_names_that_yaml_reads_as_numbers() -> None:
    tree = {"train": {"class_weights": {7: 2.0, "cat": 1.0}}}
    assert build_config(tree).train.class_weights == {"7": 2.0, "cat": 1.0}
