"""`allmlp probe`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from allmlp.errors import AllmlpError

__all__ = ["probe"]


def probe(
    model: str,
    data: str | None = None,
    /,
    *,
    k: Annotated[int, Parameter(validator=Number(gte=1))] = 20,
    linear: Annotated[bool, Parameter(negative=())] = False,
    pretrained: str | None = None,
    target: str | None = None,
    device: str = "auto",
) -> None:
    """Measure what a model's frozen features know about data, whatever its classes.

    The features are what the head sees. Train is learned from, test is scored; nothing is written.

    Parameters
    ----------
    model:
        Folder of a run, or a model with weights: mixer_b16.google_in21k, or with --pretrained.
    data:
        Name or path of data; by default what the run was trained on.
    k:
        Neighbours, by cosine; the majority wins.
    linear:
        Also fit a logistic regression, its penalty chosen on val.
    pretrained:
        Weights for a model by name: a tag, a file, a run, hf:ORG/NAME.
    target:
        Column of the classes in parquet and hf: data; by default found by type or name.
    device:
        cpu, cuda, mps …; auto takes an accelerator if there is one.
    """
    from allmlp.data import load_source
    from allmlp.runs.build import open_model
    from allmlp.runs.config import Config
    from allmlp.runs.probe import probe as probe_model
    from allmlp.runs.run import load_run
    from allmlp.training import choose_device

    if pretrained is not None or not Path(model).exists():
        if data is None:
            raise AllmlpError(f"{model} is no run, whose data would be known; name the data")
        network, preprocess, _ = open_model(model, pretrained)
        network.to(choose_device(device))
        config, source = Config(), data
    else:
        run = load_run(model, device=device)
        network, preprocess, config = run.model, run.preprocess, run.config
        source = data or config.data.source
        if target is None and source == config.data.source:
            target = config.data.target
    result = probe_model(
        network,
        preprocess,
        load_source(source, target),
        k=k,
        linear=linear,
        config=config.data,
        batch_size=config.train.batch_size,
    )
    print(
        f"{source}: {result.features} features, {result.train} images to learn from, "
        f"{result.test} to test on"
    )
    print(f"{k}-NN accuracy    {result.knn:.2%}")
    if result.linear is not None:
        print(f"linear accuracy   {result.linear:.2%} (C = {result.penalty:g})")
