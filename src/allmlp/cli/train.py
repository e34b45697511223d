"""`allmlp train`."""

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated, Literal

import yaml
from cyclopts import Parameter

from allmlp.cli.table import means_table, refuse, train_table_from
from allmlp.errors import AllmlpError
from allmlp.runs.config_tree import describe_fields, read_yaml, resolve_config, set_path, to_yaml

__all__ = ["list_settings", "train"]


def train(
    data: str | None = None,
    /,
    *,
    model: str | None = None,
    target: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    seed: int | None = None,
    run: str | None = None,
    precision: str | None = None,
    device: str | None = None,
    strict: Annotated[bool, Parameter(negative=())] = False,
    config: Path | None = None,
    resume: str | None = None,
    report: bool = True,
    task: Literal["auto", "classification", "regression"] = "auto",
    time: str | None = None,
    group: str | None = None,
    settings: Annotated[list[str] | None, Parameter(name="--set", negative=())] = None,
) -> None:
    """Train a model; alone, a Mixer on handwritten digits in a minute or two.

    Every field of the configuration has a flag by its dotted path, for example `--train.warmup 3`
    or `--model.overrides.depth 6`. `allmlp train --config FILE` replays a `config.yaml`; flags win
    over the file.

    SIGINT (Ctrl-C) and SIGTERM finish the step, save, and exit with 130 and 143; `--resume` goes on
    as if nothing had happened. Started by `torchrun`, the processes share every batch.

    Parameters
    ----------
    data:
        Name of a data set, or path of a folder or a zip of class folders …; digits by default.
    model:
        As `allmlp models` lists them.
    target:
        Column of the classes in parquet and hf: data, if it is not found by its type or name. Of
        a csv or parquet table the column to predict: --model is then one of mlp, resnet, tabm,
        tabm-mini, tabm-packed, realmlp and kan, and `--table.PARAMETER` sets what the estimators
        take, for example `--table.members 16`.
    epochs:
        Passes over the training part.
    batch_size:
        Examples per step.
    lr:
        Peak learning rate.
    seed:
        Of weights, order and augmentation.
    run:
        Folder to create; by default runs/DATA-MODEL-N.
    precision:
        fp32, bf16, or auto: bf16 where the device multiplies it natively.
    device:
        cpu, cuda, mps …; auto takes an accelerator if there is one.
    strict:
        Stop at the first image that cannot be read; the same as --data.max_broken 0.
    config:
        YAML file with the fields that shall differ from the defaults.
    resume:
        A run to go on with under its own configuration; `auto` for the one of this configuration
        (in the folder --run, else the newest under runs/) if there is one, else a new one.
    report:
        Write report.html at the end, which takes a second or two.
    task:
        Of a table: auto takes texts, and numbers that are only two, for classes.
    time:
        Column of a table that orders its rows; the newest are tested.
    group:
        Column of a table whose groups stay together when rows are split.
    settings:
        PATH=VALUE, the long form of a dotted flag.
    """
    tree = read_yaml(config) if config else {}
    for setting in settings or []:
        path, equals, text = setting.partition("=")
        if not equals:
            raise AllmlpError(f"--set takes PATH=VALUE, got {setting!r}")
        set_path(tree, path, _value(path, text))
    for_tables = {"--task": task != "auto", "--time": time, "--group": group}
    if "table" in tree or means_table(data, target):
        refuse("a table", {"--strict": strict, "--precision": precision, "--resume": resume})
        target = target or tree["table"].get("target")
        given = {"model": model, "max_epochs": epochs, "batch_size": batch_size, "lr": lr}
        given |= {"random_state": seed, "device": device}
        split = {"task": task, "time": time, "group": group}
        folder = train_table_from(data, target, run, split, tree, given)
        if report:
            print(f"report        {_report(folder)}")
        print(f"predict with  {shlex.join([*_program(), 'predict', str(folder)])} TABLE.csv")
        return
    refuse("images", for_tables, "; a table needs --target, the column to predict")
    if strict:
        set_path(tree, "data.max_broken", 0.0)
    short = {
        "data": data,
        "model": model,
        "target": target,
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "seed": seed,
        "run": run,
        "precision": precision,
        "device": device,
    }
    given = {k: v for k, v in short.items() if v is not None}
    main = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun starts
    known = resume not in (None, "auto")  # that run's own configuration holds
    resolved = None if known and not tree and not given else resolve_config(tree, given)
    if main and resolved is not None and not known:
        print(to_yaml(resolved), flush=True)

    from allmlp.runs.train import train as train_run

    finished = train_run(resolved, resume=resume)
    if not main:
        return
    scores = finished.scores()
    samples = sorted(finished.directory.eval.glob("samples/*.*"))[:3]
    command = shlex.join([*_program(), "predict", str(finished.path), *map(str, samples)])
    accuracy = f"{scores['accuracy']:.2%} of {scores['count']} images"
    print(f"test accuracy {accuracy}, loss {scores['loss']:.4f}")
    print(f"run           {finished.path}")
    if report:
        print(f"report        {_report(finished.path)}")
    print(f"predict with  {command}")


def list_settings() -> str:
    """Every dotted flag with its purpose and default, as Markdown for the end of the help."""
    lines = [
        f"- `--{path}` {purpose} (default: {'none' if default is None else default})"
        for path, default, purpose in describe_fields()
    ]
    return "\n".join(["Every field of the configuration:", "", *lines])


def _report(path: Path) -> str:
    """The page of the run; what kept it from being written spoils no training."""
    from allmlp.report import write_report

    try:
        return str(write_report(path))
    except (AllmlpError, OSError) as e:
        return f"skipped ({e}); write it with allmlp report {path}"


def _value(path: str, text: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as e:
        raise AllmlpError(f"--{path} {text}: no valid YAML value") from e


def _program() -> list[str]:
    """What to type to call this program again: as it was typed, or short if it is on the path."""
    typed = sys.argv[0]
    if Path(typed).name == "__main__.py":
        return ["python", "-m", "allmlp"]
    return ["allmlp" if shutil.which("allmlp") == typed else typed]
