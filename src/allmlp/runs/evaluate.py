"""Score a run: predict once, keep the predictions, let scikit-learn count."""

import io
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from PIL import Image
from sklearn.metrics import accuracy_score, log_loss
from torch import Tensor

from allmlp.data import ImageFiles, ImageSet, load_source, source_stem
from allmlp.files import replace_file
from allmlp.runs.run import Run

__all__ = ["evaluate_run", "save_samples"]


def evaluate_run(
    run: Run, source: str | None = None, part: Literal["train", "val", "test", "all"] = "test"
) -> dict[str, Any]:
    """Score a run on a part of some data and keep the result in the run directory.

    Classes are matched by name; the data may have fewer of them than the run. Images that cannot be
    read are left out as in training.

    `eval/scores.json` and `eval/predictions.npz` (probabilities (n, k), labels (n,), classes) hold
    the test part of the run's own data; anything else goes to `eval/SOURCE-PART/`.

    Args:
        run: a finished run.
        source: name or path of the data; None for what the run was trained on.
        part: of the data.

    Returns:
        source, part, count, skipped (unreadable images), loss (cross-entropy in nats) and accuracy
        (fraction).

    Raises:
        AllmlpError: unknown data, data with other classes or channels, or too many images that
            cannot be read.
        OSError: the run directory cannot be written.
    """
    own = run.config.data.source
    source = source or own
    data = load_source(source).part(part)
    predictions, labels = run.predict_set(data)
    truth, probabilities = labels.numpy(), predictions.probabilities.numpy()
    scores = {
        "source": source,
        "part": part,
        "count": len(truth),
        "skipped": len(data) - len(truth),
        "loss": float(log_loss(truth, probabilities, labels=range(len(run.classes)))),
        "accuracy": float(accuracy_score(truth, probabilities.argmax(axis=1))),
    }
    folder = run.directory.eval
    if (source, part) != (own, "test"):
        folder = folder / f"{source_stem(source)}-{part}"
    folder.mkdir(parents=True, exist_ok=True)
    with replace_file(folder / "predictions.npz") as file:
        np.savez_compressed(
            file, probabilities=probabilities, labels=truth, classes=np.array(run.classes)
        )
    run.directory.write_json(folder / "scores.json", scores)  # last: the mark of completeness
    return scores


def save_samples(run: Run, data: ImageSet | ImageFiles, limit: int = 10) -> list[Path]:
    """Keep the first image of each of the first classes, for a first try at predicting.

    Files are copied as they are, tensors become PNG.

    Returns:
        The files, `eval/samples/NUMBER.SUFFIX` with the number of the class.
    """
    folder = run.directory.eval / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for label in data.labels.unique().tolist()[:limit]:
        first = int((data.labels == label).nonzero()[0])
        if isinstance(data, ImageFiles):
            name = data.names[first]
            suffix, content = PurePosixPath(name).suffix, data.reader.read(name)
        else:
            suffix, content = ".png", _png(data.images[first])
        written.append(folder / f"{label}{suffix}")
        with replace_file(written[-1]) as file:
            file.write(content)
    return written


def _png(image: Tensor) -> bytes:
    pixels = image.permute(1, 2, 0).cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()
