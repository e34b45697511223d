"""Score a run: predict once, keep the predictions, let scikit-learn count."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn.metrics import accuracy_score, log_loss

from allmlp.data import ImageFiles, ImageSet, load_source, source_stem
from allmlp.data.encode import encode_png, image_suffix
from allmlp.errors import AllmlpError
from allmlp.files import replace_file
from allmlp.runs.run import Run

__all__ = ["evaluate_run", "save_samples"]


def evaluate_run(
    run: Run,
    source: str | None = None,
    part: Literal["train", "val", "test", "all"] = "test",
    target: str | None = None,
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
        target: column of the classes, as in training; None takes the run's for its own data.

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
    if target is None and source == own:
        target = run.config.data.target
    data = load_source(source, target).part(part)
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

    Files are copied as they are, tensors become PNG. What is no image is passed over.

    Returns:
        The files, `eval/samples/NUMBER.SUFFIX` with the number of the class.
    """
    folder = run.directory.eval / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for label in data.labels.unique().tolist()[:limit]:
        positions = (data.labels == label).nonzero()[:, 0].tolist()
        for content, suffix in _contents(data, positions):
            written.append(folder / f"{label}{suffix}")
            with replace_file(written[-1]) as file:
                file.write(content)
            break
    return written


def _contents(data: ImageSet | ImageFiles, positions: list[int]) -> Iterator[tuple[bytes, str]]:
    """Content and suffix of an image file for each image that can be read."""
    for position in positions:
        if isinstance(data, ImageSet):
            yield encode_png(data.images[position]), ".png"
            continue
        try:
            content = data.reader.read(data.names[position])
            yield content, image_suffix(content)
        except (AllmlpError, OSError):  # named when it was scored
            continue
