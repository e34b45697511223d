"""`allmlp export`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from allmlp.cli.table import holds_table
from allmlp.errors import AllmlpError

if TYPE_CHECKING:  # torch
    from allmlp.deploy import Exported

__all__ = ["export"]

# examples of a batch that is timed, beside a single one
_MANY = 8


def export(
    model: str,
    /,
    *,
    to: Literal["onnx", "torch"] = "onnx",
    output: Path | None = None,
    pretrained: Annotated[
        str | None, Parameter(name=["--pretrained", "--model.pretrained"])
    ] = None,
    tolerance: Annotated[float | None, Parameter(validator=Number(gte=0))] = None,
    int8: Annotated[bool, Parameter(negative=())] = False,
    max_loss: Annotated[float, Parameter(validator=Number(gte=0))] = 0.01,
) -> None:
    """Write a trained model as one file for programs without this library.

    The file takes data as they are (bytes of an image at the model's size, columns of a table),
    in batches of any size; JSON inside it says the rest. It is written only if it answers as the
    model does, and scores on a run's test part as the run did.

    Parameters
    ----------
    model:
        Folder of a run, a saved model or estimator, a weight file, or a model with weights:
        mixer_b16.google_in1k, or with --pretrained.
    to:
        onnx (ONNX Runtime and many others), or torch (torch.export.load).
    output:
        File to create; by default model.onnx or model.pt2 in the run, or MODEL.onnx here.
    pretrained:
        Weights for a model by name: a tag, a file, a run, hf:ORG/NAME.
    tolerance:
        Largest difference, as a share of the largest answer; by default 1e-4 (float64: 1e-9).
    int8:
        Have ONNX Runtime compute with int8 weights; takes a run whose data are there.
    max_loss:
        Accuracy or R² that int8 may cost.
    """
    from allmlp.deploy import export_run
    from allmlp.estimators.export import export_table_run
    from allmlp.estimators.table_run import TableRun
    from allmlp.runs.run import load_run

    path = Path(model)
    if pretrained is None and holds_table(path):
        written = export_table_run(
            TableRun(path), output, to=to, tolerance=tolerance, int8=int8, max_loss=max_loss
        )
    elif pretrained is None and (path / "config.yaml").is_file():
        written = export_run(
            load_run(path, device="cpu"),
            output,
            to=to,
            tolerance=tolerance,
            int8=int8,
            max_loss=max_loss,
        )
    elif int8:
        raise AllmlpError("int8 costs accuracy, which is measured on a run's data; export a run")
    else:
        written = _export_model(model, pretrained, to, output, tolerance)
    _print(written)


def _export_model(
    model: str,
    pretrained: str | None,
    to: Literal["onnx", "torch"],
    output: Path | None,
    tolerance: float | None,
) -> "Exported":
    """Of what is no run."""
    from allmlp.deploy import export as export_model
    from allmlp.deploy.write import default_name
    from allmlp.estimators.export import export_estimator, load_estimator
    from allmlp.runs.build import open_model
    from allmlp.zoo import load_model
    from allmlp.zoo.pretrained import read_weights

    path = Path(model)
    if pretrained is None and path.exists():
        target = output or Path(default_name(path.stem, to))
        if path.suffix == ".safetensors" and (estimator := load_estimator(path)) is not None:
            return export_estimator(estimator, target, to=to, tolerance=tolerance)
        weights = read_weights(path)
        network, preprocess, classes = load_model(path), weights.preprocess, weights.classes
    else:
        if pretrained is None and len(path.parts) > 1:
            raise AllmlpError(
                f"nothing is at {model}; give a run, a file, or a model with weights by its name"
            )
        target = output or Path(default_name(model, to))
        network, preprocess, classes = open_model(model, pretrained)
    return export_model(
        network.eval(),
        target,
        to=to,
        preprocess=preprocess,
        classes=classes,
        tolerance=tolerance,
    )


def _print(written: "Exported") -> None:
    import torch

    from allmlp.bench.timing import take_turns
    from allmlp.deploy.parity import batch_sizes

    graph = written.graph
    weights = sum(p.nbytes for p in graph.original.parameters())
    print(f"{written.path}: {_size(written.size)}; the model has {_size(weights)} of weights")
    for note in written.notes:
        print(f"  note: {note}")
    one, many = batch_sizes(graph)
    print(
        f"  answers    as the model's to {written.difference:.1e} of the largest, in batches of "
        f"{one} and {many} (allowed: {written.tolerance:g})"
    )
    if (found := written.verdict) is not None:
        print(
            f"  {found.metric:10} {found.value:.4f} of {found.count} examples; of the run "
            f"{found.recorded:.4f}"
        )
    if (found := written.quantized) is not None:
        print(f"  int8       {found.metric} {found.value:.4f}")
    for size in (one, _MANY):
        feeds = graph.take(size)
        contestants = {"model": partial(graph, feeds), "file": partial(written.net, feeds)}
        taken = {
            name: 1e3 * time.median for name, time in take_turns(contestants, rounds=7).items()
        }
        print(
            f"  batch of {size}  {taken['file']:.2f} ms, the model {taken['model']:.2f} ms "
            f"(threads: {torch.get_num_threads()})"
        )


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB"
