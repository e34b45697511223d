"""Recipes say what they give and where it is recorded, and are runs that can be begun."""

import json
import re
from pathlib import Path

import pytest
import torch

import allmlp
from allmlp.runs.augment import build_augment
from allmlp.runs.config import Config
from allmlp.runs.config_tree import build_config, flatten, read_yaml
from allmlp.runs.objective import check_objective
from allmlp.runs.optimize import build_run_optimizer, build_scheduler, check_optimize
from allmlp.training import choose_autocast_dtype

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
CLASSES = {"imagenet1k_mixer_b16": 1000}

each = pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)


def header(recipe: Path) -> dict[str, str]:
    """The commented lines at the top: `# Result    98.9 % …`, continued where they are indented."""
    text = recipe.read_text(encoding="utf-8")
    comment = "\n".join(re.findall(r"^#(.*)$", text.split("\ndata:")[0], flags=re.MULTILINE))
    fields = re.findall(
        r"^ (Result|Time|Hardware|Record) +(.+(?:\n {10}.+)*)", comment, re.MULTILINE
    )
    return {name: " ".join(value.split()) for name, value in fields} | {"all": comment}


def test_the_recipes_asked_for_are_there() -> None:
    wanted = {"digits", "mnist", "cifar10_cpu", "cifar10_gpu", "imagenet1k_mixer_b16"}
    assert wanted <= {path.stem for path in RECIPES}


@each
def test_header(recipe: Path) -> None:
    told = header(recipe)
    assert {"Result", "Time", "Hardware", "Record"} <= set(told)
    assert f"--config recipes/{recipe.name}" in told["all"]
    if told["Record"].startswith("none"):
        assert re.match("not (yet measured|reproduced)", told["Result"])
    else:
        assert (ROOT / told["Record"]).is_file()
        assert re.match(r"\d\d\.\d % test accuracy", told["Result"])


@each
def test_every_key_is_known_and_every_part_can_be_built(recipe: Path) -> None:
    tree = read_yaml(recipe)
    config = build_config(tree)
    check_optimize(config.train)
    check_objective(config.train)
    build_augment(config.augment)
    assert config.train.warmup_epochs < config.train.epochs
    choose_autocast_dtype(config.run.precision, torch.device("cpu"))
    with torch.device("meta"):
        model = allmlp.create_model(
            config.model.name,
            num_classes=CLASSES.get(recipe.stem, 10),
            img_size=config.data.img_size,
            **config.model.overrides,
        )
    if recipe.stem.startswith("cifar10"):
        assert sum(p.numel() for p in model.parameters()) <= 1_200_000
    optimizer = build_run_optimizer(config.train, model)
    steps = -(-50_000 // config.train.batch_size)
    scheduler = build_scheduler(
        config.train,
        optimizer,
        warmup_steps=round(config.train.warmup_epochs * steps),
        total_steps=config.train.epochs * steps,
        steps_per_epoch=steps,
        goal="max",
    )
    assert 0 < scheduler.get_last_lr()[0] <= config.train.lr


def test_digits_are_the_defaults() -> None:
    assert build_config(read_yaml(ROOT / "recipes" / "digits.yaml")) == Config()


def test_mnist_is_what_its_record_was_made_with() -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / "mnist.json").read_text())
    ours = flatten(build_config(read_yaml(ROOT / "recipes" / "mnist.yaml")))
    theirs = flatten(build_config(record["settings"]))
    ours["data.source"] = theirs["data.source"]
    assert ours == theirs
    assert header(ROOT / "recipes" / "mnist.yaml")["Result"].startswith(
        f"{record['test_accuracy']:.1%}".replace("%", " %")
    )


@pytest.mark.parametrize(
    ("recipe", "record"),
    [
        ("cifar10_cpu", "cifar10_recipe"),
        ("cifar10_mixer_nano", "cifar10_recipe"),
        ("cifar10_convmixer", "cifar10_convmixer"),
    ],
)
def test_recipes_of_cifar10_say_what_was_measured(recipe: str, record: str) -> None:
    path = ROOT / "recipes" / f"{recipe}.yaml"
    measured = json.loads((ROOT / "benchmarks" / "results" / f"{record}.json").read_text())
    (row,) = [row for row in measured["table"] if row["recipe"] == recipe]
    seeds = {1: "one seed", 2: "mean of two seeds", 3: "mean of three seeds"}[row["seeds"]]
    told = f"{row['mean_test_accuracy']:.1%} test accuracy, {seeds}".replace("%", " %")
    assert header(path)["Result"].startswith(told)
    assert header(path)["Time"].startswith(f"{row['median_minutes']:.0f} minutes of one core")
    if recipe != "cifar10_mixer_nano":  # which is made for fifty times as many
        assert build_config(read_yaml(path)).train.epochs == measured["settings"]["epochs"]


def test_the_warm_up_of_the_papers_recipe_takes_ten_thousand_steps() -> None:
    config = build_config(read_yaml(ROOT / "recipes" / "imagenet1k_mixer_b16.yaml"))
    steps = -(-1_281_167 // config.train.batch_size)
    assert round(config.train.warmup * steps) == 10_000


def test_a_recipe_runs_short(tmp_path: Path) -> None:
    tree = read_yaml(ROOT / "recipes" / "digits.yaml")
    tree["train"] |= {"epochs": 2, "warmup": 0.5}
    run = allmlp.train(tree, run=str(tmp_path / "run"), progress=False)
    assert run.scores()["accuracy"] > 0.3  # chance is 0.1
