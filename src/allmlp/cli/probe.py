"""`allmlp probe`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

__all__ = ["probe"]


def probe(
    run: Path,
    data: str | None = None,
    /,
    *,
    k: Annotated[int, Parameter(validator=Number(gte=1))] = 20,
    linear: Annotated[bool, Parameter(negative=())] = False,
    device: str = "auto",
) -> None:
    """Measure what a run's frozen features know about data, whatever its classes.

    The features are what the head sees. Train is learned from, test is scored; nothing is written.

    Parameters
    ----------
    run:
        Folder of a run.
    data:
        Name or path of data; by default what the run was trained on.
    k:
        Neighbours, by cosine; the majority wins.
    linear:
        Also fit a logistic regression, its penalty chosen on val.
    device:
        cpu, cuda, mps …; auto takes an accelerator if there is one.
    """
    from allmlp.data import load_source
    from allmlp.runs.probe import probe as probe_model
    from allmlp.runs.run import load_run

    loaded = load_run(run, device=device)
    source = data or loaded.config.data.source
    result = probe_model(
        loaded.model,
        loaded.preprocess,
        load_source(source),
        k=k,
        linear=linear,
        config=loaded.config.data,
        batch_size=loaded.config.train.batch_size,
    )
    print(
        f"{source}: {result.features} features, {result.train} images to learn from, "
        f"{result.test} to test on"
    )
    print(f"{k}-NN accuracy    {result.knn:.2%}")
    if result.linear is not None:
        print(f"linear accuracy   {result.linear:.2%} (C = {result.penalty:g})")
