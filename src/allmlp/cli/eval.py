"""`allmlp eval`."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from allmlp.cli.table import evaluate_table, holds_table, refuse
from allmlp.errors import AllmlpError

__all__ = ["evaluate"]


def evaluate(
    model: str,
    data: str | None = None,
    /,
    *,
    part: Literal["train", "val", "test", "all"] = "test",
    pretrained: Annotated[
        str | None, Parameter(name=["--pretrained", "--model.pretrained"])
    ] = None,
    target: str | None = None,
    only: str | None = None,
    label_sets: Path | None = None,
    to: Path | None = None,
    batch_size: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    device: str = "auto",
) -> None:
    """Score a trained run, or a model with somebody's weights.

    Of a run the result goes into its eval folder; of other weights into the folder --to, if given.

    Parameters
    ----------
    model:
        Folder of a run, or a model with weights: mixer_b16.google_in1k, or with --pretrained.
    data:
        Name or path of data; by default what the run was trained on.
    part:
        Of the data; all takes every image.
    pretrained:
        Weights for a model by name: a tag, a file, a run, hf:ORG/NAME.
    target:
        Column of the classes in parquet and hf: data, if it is not found by its type or name.
    only:
        Classes that count, separated by commas, or a file with one a line: images of others are
        left out, and the model chooses among these alone.
    label_sets:
        JSON with all classes that are right for each image, in order or by file name (ReaL).
    to:
        Folder for the result of a model by name; made if it does not exist.
    batch_size:
        Images in one pass of a model by name, 64 by default; a run has its own.
    device:
        cpu, cuda, mps …; auto takes an accelerator if there is one.
    """
    named = {"--to": to, "--batch-size": batch_size}
    if holds_table(Path(model)):
        others = {"--pretrained": pretrained, "--target": target, "--only": only}
        refuse("a run on a table", {**others, "--label-sets": label_sets, **named})
        evaluate_table(Path(model), data, part)
        return

    from allmlp.runs.config import Config, RunConfig, TrainConfig
    from allmlp.runs.evaluate import evaluate_model, evaluate_run
    from allmlp.runs.run import load_run

    chosen = None if only is None else _names(only)
    if pretrained is not None or not Path(model).exists():
        if data is None:
            raise AllmlpError(
                f"{model} is no run, whose data would be known; name the data, or a folder of a run"
            )
        steps = TrainConfig(batch_size=batch_size or 64)
        config = Config(run=RunConfig(device=device), train=steps)
        result = evaluate_model(
            model,
            pretrained,
            data,
            part,
            config=config,
            target=target,
            only=chosen,
            label_sets=label_sets,
        )
        if to is not None:
            to.mkdir(parents=True, exist_ok=True)
            result.save(to)
        scores, foreign = result.scores, True
    else:
        refuse(f"a run, whose results go into {model}/eval", named)
        run = load_run(model, device=device)
        scores = evaluate_run(run, data, part, target, only=chosen, label_sets=label_sets)
        foreign = scores["source"] != run.config.data.source
    _print(scores)
    if foreign and part != "all":  # the run has not learned from the rest
        print(f"  one part of {scores['images']} images; --part all scores every one of them")


def _names(only: str) -> list[str]:
    path = Path(only)
    if path.is_file():
        return path.read_text(encoding="utf-8").splitlines()
    return [name.strip() for name in only.split(",")]


def _print(scores: dict[str, Any]) -> None:
    skipped = f", {scores['skipped']} unreadable left out" if scores["skipped"] else ""
    print(
        f"{scores['source']} {scores['part']}: accuracy {scores['accuracy']:.2%} of "
        f"{scores['count']} images, loss {scores['loss']:.4f}{skipped}"
    )
    shares = {
        "top-5": scores["top5"],
        "precision": scores["precision"],
        "recall": scores["recall"],
        "F1": scores["f1"],
    }
    numbers = {"AUROC": scores["auroc"], "Brier": scores["brier"], "ECE": scores["ece"]}
    known = [f"{name} {value:.2%}" for name, value in shares.items() if value is not None]
    known += [f"{name} {value:.4f}" for name, value in numbers.items() if value is not None]
    print("  " + ", ".join(known) + " (means over classes)")
    if multi := scores.get("multi_label"):
        hits = "–" if multi["accuracy"] is None else f"{multi['accuracy']:.2%}"
        print(f"  any of several right classes: {hits} of {multi['count']} images")
