"""Score a model: predict once, keep the predictions, let scikit-learn count.

Axes: n images, k classes.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from allmlp.data import ImageFiles, ImageSet, Preprocess, load_source, source_stem
from allmlp.data.encode import encode_png, image_suffix
from allmlp.data.split import Images
from allmlp.errors import AllmlpError, unknown_name
from allmlp.files import replace_file, write_text
from allmlp.runs.build import open_model
from allmlp.runs.config import Config
from allmlp.runs.directory import RunDirectory
from allmlp.runs.gather import Answers, class_numbers, gather_answers
from allmlp.runs.label_sets import read_label_sets
from allmlp.runs.mistakes import save_mistakes
from allmlp.runs.run import Run
from allmlp.runs.scores import confusion, label_set_hits, score_probabilities
from allmlp.runs.speed import Speed, measure_speed
from allmlp.training import choose_device

__all__ = ["Evaluation", "evaluate_model", "evaluate_run", "save_samples"]

Part = Literal["train", "val", "test", "all"]
_SAMPLES = 10


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a model answers to a part of some data, and what that is worth."""

    scores: dict[str, Any]  # as `eval/scores.json` holds them
    speed: Speed
    probabilities: Float[np.ndarray, "n k"]  # float32
    labels: Int[np.ndarray, " n"]
    positions: Int[np.ndarray, " n"]  # of each image in the part
    classes: tuple[str, ...]
    images: Images
    preprocess: Preprocess
    config: Config

    def save(self, folder: Path) -> None:
        """Write it, `scores.json` last: the mark of completeness.

        Raises:
            OSError: the folder is missing, read-only or full.
        """
        directory = RunDirectory(folder)
        with replace_file(folder / "predictions.npz") as file:
            np.savez_compressed(
                file,
                probabilities=self.probabilities,
                labels=self.labels,
                positions=self.positions,
                classes=np.array(self.classes),
            )
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["truth", *self.classes])
        for name, row in zip(
            self.classes, confusion(self.probabilities, self.labels).tolist(), strict=True
        ):
            writer.writerow([name, *row])
        write_text(folder / "confusion.csv", table.getvalue())
        save_mistakes(
            folder,
            self.images,
            self.preprocess,
            self.config.data,
            self.probabilities,
            self.labels,
            self.positions,
            self.classes,
        )
        directory.write_json(folder / "speed.json", asdict(self.speed))
        directory.write_json(folder / "scores.json", self.scores)


def evaluate_run(
    run: Run,
    source: str | None = None,
    part: Part = "test",
    target: str | None = None,
    *,
    only: Sequence[str] | None = None,
    label_sets: Path | None = None,
) -> dict[str, Any]:
    """Score a run on a part of some data and keep the result in the run directory.

    Classes are matched by name; the data may have fewer of them than the run. Images that cannot be
    read are left out as in training.

    `eval/` holds the test part of the run's own data; anything else goes to `eval/SOURCE-PART/`,
    and with `only` to `eval/SOURCE-PART-only-DIGEST/`. There: `scores.json`, `predictions.npz`
    (probabilities (n, k), labels (n,), positions (n,) in the part, classes), `confusion.csv`,
    `mistakes.json` with pictures, `speed.json`.

    Args:
        run: a finished run.
        source: name or path of the data; None for what the run was trained on.
        part: of the data.
        target: column of the classes, as in training; None takes the run's for its own data.
        only: classes that count: images of others are left out, and the model chooses among these
            alone.
        label_sets: JSON with all classes that are right for each image; adds `multi_label`.

    Returns:
        source, part, images (of all parts), count (scored), skipped (unreadable), and what `Scores`
        lists: loss (cross-entropy in nats), accuracy (fraction) and more. With `only` also its
        classes, with `label_sets` also `multi_label`: their accuracy and the number of images that
        count.

    Raises:
        AllmlpError: unknown data, data with other classes or channels, too many images that cannot
            be read, or a file of label sets that does not fit.
        NotFiniteError: the model answers NaN.
        OSError: the run directory cannot be written.
    """
    own = run.config.data.source
    source = source or own
    if target is None and source == own:
        target = run.config.data.target
    splits = load_source(source, target)
    images = splits.part(part)
    number = class_numbers(images.classes, run.classes)
    answers = gather_answers(run.model, run.preprocess, images, run.config, run.device)
    evaluation = _evaluate(
        run.model,
        run.preprocess,
        run.classes,
        number,
        images,
        answers,
        run.config,
        run.device,
        {"source": source, "part": part, "images": splits.count},
        only,
        label_sets,
    )
    folder = run.directory.eval
    if only is not None:
        digest = hashlib.blake2b("\n".join(only).encode(), digest_size=4).hexdigest()
        folder = folder / f"{source_stem(source)}-{part}-only-{digest}"
    elif (source, part) != (own, "test") or label_sets is not None:
        real = "" if label_sets is None else f"-{source_stem(str(label_sets))}"
        folder = _free(folder / f"{source_stem(source)}-{part}{real}", source)
    folder.mkdir(parents=True, exist_ok=True)
    evaluation.save(folder)
    return evaluation.scores


def _free(folder: Path, source: str) -> Path:
    """The folder, unless it holds scores of other data of that name: then another one."""
    try:
        other = json.loads((folder / "scores.json").read_text(encoding="utf-8")).get("source")
    except (OSError, ValueError, AttributeError):
        return folder
    if other in (None, source):
        return folder
    digest = hashlib.blake2b(source.encode(), digest_size=4).hexdigest()
    return folder.with_name(f"{folder.name}-{digest}")


def evaluate_model(
    name: str,
    pretrained: str | None,
    source: str,
    part: Part = "test",
    *,
    config: Config | None = None,
    target: str | None = None,
    only: Sequence[str] | None = None,
    label_sets: Path | None = None,
) -> Evaluation:
    """Score a model with somebody's weights; nothing is written.

    Classes are matched by name if the weights come with names. If they do not, as many classes as
    outputs are needed, and they are taken in the same order.

    Args:
        name: a variant with `pretrained`, or `variant.tag`.
        pretrained: weights, as in `create_model`.
        source: name or path of the data.
        part: of the data.
        config: device, precision, batch size, limits; None takes the defaults.
        target: column of the classes, as in training.
        only: as in `evaluate_run`; names of the data's classes.
        label_sets: as in `evaluate_run`.

    Raises:
        AllmlpError: as `open_model` and `evaluate_run`, or another number of classes.
        NotFiniteError: the model answers NaN.
    """
    config = config or Config()
    network, preprocess, classes = open_model(name, pretrained)
    device = choose_device(config.run.device)
    network.to(device).eval()
    splits = load_source(source, target)
    images = splits.part(part)
    if classes is not None:
        number = class_numbers(images.classes, classes)
    else:
        outputs = network.config.num_classes
        if outputs != len(images.classes):
            raise AllmlpError(
                f"weights without class names need data with as many classes as they have outputs, "
                f"{outputs}; {source} has {len(images.classes)}; give data with the same classes "
                "in the same order, or train a head with --model.pretrained"
            )
        classes, number = images.classes, torch.arange(outputs)
    answers = gather_answers(network, preprocess, images, config, device)
    weights = pretrained or name.partition(".")[2]
    about = {
        "model": name.partition(".")[0],
        "weights": weights,
        "source": source,
        "part": part,
        "images": splits.count,
    }
    return _evaluate(
        network,
        preprocess,
        classes,
        number,
        images,
        answers,
        config,
        device,
        about,
        only,
        label_sets,
    )


def _evaluate(
    model: nn.Module,
    preprocess: Preprocess,
    classes: tuple[str, ...],
    number: Int[Tensor, " m"],
    images: Images,
    answers: Answers,
    config: Config,
    device: torch.device,
    about: dict[str, Any],
    only: Sequence[str] | None,
    label_sets: Path | None,
) -> Evaluation:
    """Score answers whose classes stand at `number` among the outputs."""
    logits, positions = answers.logits, answers.positions
    labels = number[images.labels[positions]]
    skipped = len(images) - len(positions)
    about = {**about, "count": len(labels), "skipped": skipped}
    accepted = None
    if label_sets is not None:
        sets = read_label_sets(label_sets, images)
        accepted = [[int(number[i]) for i in sets[p]] for p in positions.tolist()]
    if only is not None:
        kept = _subset(only, classes)
        within = torch.isin(labels, kept)
        if not within.any():
            raise AllmlpError(
                f"the data have no image of {', '.join(only)}; name classes with images"
            )
        place = torch.full((len(classes),), -1)
        place[kept] = torch.arange(len(kept))
        logits, positions = logits[within][:, kept], positions[within]
        labels = place[labels[within]]
        classes = tuple(only)
        if accepted is not None:
            rows = [row for row, inside in zip(accepted, within.tolist(), strict=True) if inside]
            accepted = [[p for i in row if (p := int(place[i])) >= 0] for row in rows]
        about = {**about, "count": len(labels), "only": list(only)}
    probabilities = logits.softmax(dim=1).numpy()
    scores = {**about, **score_probabilities(probabilities, labels.numpy(), classes).to_json()}
    if accepted is not None:
        hits, _ = label_set_hits(probabilities, accepted)
        scores["multi_label"] = {
            "file": str(label_sets),
            "count": len(hits),
            "accuracy": float(hits.mean()) if len(hits) else None,
        }
    shape = (preprocess.in_chans, *preprocess.img_size)
    batch_size = min(config.train.batch_size, len(labels))
    return Evaluation(
        scores=scores,
        speed=measure_speed(model, shape, batch_size, device, config.run.precision),
        probabilities=probabilities,
        labels=labels.numpy(),
        positions=positions.numpy(),
        classes=classes,
        images=images,
        preprocess=preprocess,
        config=config,
    )


def _subset(only: Sequence[str], classes: Sequence[str]) -> Int[Tensor, " m"]:
    if len(set(only)) < 2 or len(set(only)) < len(only):
        raise AllmlpError(
            f"a choice needs at least two classes, each once; got {', '.join(only) or 'none'}"
        )
    for name in only:
        if name not in classes:
            raise AllmlpError(unknown_name("class", name, classes))
    return class_numbers(only, classes)


def save_samples(run: Run, data: ImageSet | ImageFiles) -> list[Path]:
    """Keep the first image of each of the first classes, for a first try at predicting.

    Files are copied as they are, tensors become PNG. What is no image is passed over.

    Returns:
        The files, `eval/samples/NUMBER.SUFFIX` with the number of the class.
    """
    folder = run.directory.eval / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for label in data.labels.unique().tolist()[:_SAMPLES]:
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
