"""A network as one file for other programs.

Axes: b batch, c channels, h w pixels, k classes.
"""

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from allmlp.data import Preprocess
from allmlp.deploy.graph import Graph, evaluation_copy
from allmlp.deploy.image_graph import ImageGraph
from allmlp.deploy.reparameterize import reparameterize
from allmlp.deploy.write import Exported, Format, write_graph
from allmlp.errors import AllmlpError
from allmlp.models.repmlp import RepMLPNet

__all__ = ["export", "model_graph"]

# examples that are drawn where none are given
_COUNT = 8


def export(
    model: nn.Module,
    path: str | Path,
    *,
    to: Format = "onnx",
    example: Tensor | None = None,
    preprocess: Preprocess | None = None,
    classes: Sequence[str] | None = None,
    tolerance: float | None = None,
) -> Exported:
    """Write a network as a file that other programs run without this library.

    The file takes batches of any size. A RepMLPNet is merged first (`reparameterize`). What was
    made is read back and compared with the network as it was given, on a batch of one example and
    on one of all, before it becomes a file.

    With `preprocess` it takes bytes, `images` (b, c, h, w) uint8, and answers `probabilities`
    (b, k); without, it takes `inputs` as the network does and answers `outputs`. What else a
    program needs to know (how images are scaled, names of classes) is JSON inside the file:
    `allmlp` in ONNX's metadata, the extra file `allmlp.json` in torch's.

    Args:
        model: in eval mode, with one input and one output; it stays as it is.
        path: of the file to create, usually .onnx or .pt2.
        to: `onnx`, or `torch` for `torch.export.load`.
        example: inputs (b, …) to check with; None draws them, from a normal law or from all bytes.
        preprocess: what the network wants of images; examples are bytes then.
        classes: their names, in the order of the outputs.
        tolerance: largest difference as a share of the largest answer; None is 1e-4 for float32,
            1e-9 for float64.

    Raises:
        AllmlpError: the path exists, packages are missing, the model is in training mode or does
            what no file can do, or the file differs from it by more than the tolerance.
        OSError: the folder is missing, read-only or full.

    Example:
        >>> import allmlp, tempfile
        >>> model = allmlp.create_model("mixer_digits", depth=1).eval()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export(model, f"{folder}/mixer.pt2", to="torch").difference < 1e-4
        True
    """
    return write_graph(
        model_graph(model, example, preprocess, classes), path, to=to, tolerance=tolerance
    )


def model_graph(
    model: nn.Module,
    example: Tensor | None = None,
    preprocess: Preprocess | None = None,
    classes: Sequence[str] | None = None,
) -> Graph:
    """What `export` writes, with its arguments.

    Raises:
        AllmlpError: the model is in training mode, does what no file can do, or does not say what
            it takes.
    """
    if example is not None and not len(example):
        raise AllmlpError("a file is checked on its example, which needs one row at least, got 0")
    given = network = evaluation_copy(model)
    notes: tuple[str, ...] = ()
    if isinstance(given, RepMLPNet) and given.config.form != "deploy":
        network = reparameterize(given).requires_grad_(False)
        notes = ("convolutions and batch norms are merged into matrices",)
    about: dict[str, Any] = {"allmlp": version("allmlp"), "model": type(model).__name__}
    if classes is not None:
        outputs = getattr(getattr(model, "config", None), "num_classes", len(classes))
        if outputs != len(classes):
            raise AllmlpError(
                f"the model answers with {outputs} numbers, so it has as many classes, got names "
                f"of {len(classes)}"
            )
        about["classes"] = list(classes)
    generator = torch.Generator().manual_seed(0)
    if preprocess is None:
        if example is None:
            example = torch.randn(_COUNT, *_input_shape(model), generator=generator)
        dtype = next((p.dtype for p in network.parameters()), example.dtype)
        feeds = {"inputs": example.to("cpu", dtype)}
        return Graph(network, given, feeds, "outputs", about, notes=notes)
    if example is None:
        shape = (_COUNT, preprocess.in_chans, *preprocess.img_size)
        example = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    about["preprocess"] = asdict(preprocess)
    headless = getattr(getattr(model, "config", None), "num_classes", 1) == 0
    answer = nn.Identity() if headless else nn.Softmax(dim=1)
    return Graph(
        ImageGraph(network, preprocess, answer).eval(),
        ImageGraph(given, preprocess, answer).eval(),
        {"images": example.cpu()},
        "features" if headless else "probabilities",
        about,
        notes=notes,
    )


def _input_shape(model: nn.Module) -> tuple[int, ...]:
    config: Any = getattr(model, "config", None)
    if hasattr(config, "in_chans"):
        return (config.in_chans, *config.img_size)
    width = getattr(config, "in_features", None)
    if width is None and hasattr(config, "widths"):
        width = config.widths[0]
    if width is None:
        raise AllmlpError(
            f"a {type(model).__name__} does not say what it takes; pass example=, some of its "
            "inputs"
        )
    return (width,)
