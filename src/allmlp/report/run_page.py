"""The page of one run."""

from pathlib import Path

from allmlp.report.charts import (
    draw_accuracy,
    draw_flow,
    draw_loss,
    draw_lr,
    draw_reliability,
)
from allmlp.report.page import (
    Block,
    Code,
    Facts,
    Gallery,
    Page,
    Picture,
    Section,
    Table,
    Text,
    Value,
    format_share,
)
from allmlp.report.record import Kept, RunRecord
from allmlp.report.sections import (
    accuracy_interval,
    classes_table,
    confusion_blocks,
    describe_count,
    describe_seconds,
    format_digits,
    session_blocks,
)
from allmlp.runs.config import Config, TrainConfig
from allmlp.runs.config_tree import flatten
from allmlp.runs.scores import calibration_bins, confusion
from allmlp.training import FlowReport

__all__ = ["run_page"]


def run_page(run: RunRecord) -> Page:
    """All that is known about a run, finished or not."""
    source, model = run.config.data.source, run.config.model.name
    sections: list[Section] = []
    if run.metrics:
        curves = Gallery((draw_loss(run), draw_accuracy(run), draw_lr(run)))
        sections.append(Section("Curves", (curves,)))
    if run.scores is not None and run.kept is not None:
        sections += _scored(run, run.scores, run.kept)
    if pictures := draw_flow(run.flow):
        verdicts = [str(v).replace("\n  -> ", ". ") for v in FlowReport(run.flow[-1]).verdicts]
        text = f"At step {run.flow[-1].step}: " + "\n\n".join(verdicts)
        sections.append(Section("Gradient flow", (Text(text), Gallery(pictures))))
    if run.augmented:
        folder = run.directory.eval
        images = [
            _photo(folder / a.file, f"Training image, {a.label}.", a.label) for a in run.augmented
        ]
        note = Text("The first images of the first batch, as the model saw them.")
        found = tuple(image for image in images if image is not None)
        sections.append(Section("Training images", (note, Gallery(found, small=True))))
    sections += [_size(run), _origin(run), _configuration(run)]
    return Page(f"{model} on {source}", tuple(sections), _lead(run), _headline(run))


def _lead(run: RunRecord) -> str:
    if run.scores is None:
        epochs = len(run.series("val/loss")[0])
        return f"Not scored yet: {epochs} of {run.config.train.epochs} epochs are done."
    scores = run.scores
    low, high = accuracy_interval(scores["accuracy"], scores["count"])
    return (
        f"{format_share(scores['accuracy'])} of {scores['count']:,} {scores['part']} images are "
        f"classified right (95\N{NO-BREAK SPACE}% interval {format_share(low)} to "
        f"{format_share(high)}). None of them was learned from, nor chose the epoch."
    )


def _headline(run: RunRecord) -> Facts:
    parameters, macs = run.costs
    entries: list[tuple[str, Value]] = []
    if run.scores is not None:
        entries.append(("accuracy", format_share(run.scores["accuracy"])))
    entries += [
        ("parameters", describe_count(parameters)),
        ("MACs an image", describe_count(macs)),
        ("training", describe_seconds(run.seconds)),
    ]
    if run.speed is not None:
        entries.append(("one image", f"{run.speed['latency_ms']:.3g} ms"))
    return Facts(tuple(entries))


def _scored(run: RunRecord, scores: dict[str, object], kept: Kept) -> list[Section]:
    shares = (
        ("accuracy", "accuracy"),
        ("top-5 accuracy", "top5"),
        ("precision, mean", "precision"),
        ("recall, mean", "recall"),
        ("F1, mean", "f1"),
    )
    numbers = (
        ("NLL (loss), nats", "loss"),
        ("Brier, 0 to 2", "brier"),
        ("calibration error", "ece"),
        ("AUROC, mean", "auroc"),
    )
    entries: list[tuple[str, Value]] = [
        (name, format_share(_float(scores.get(key)))) for name, key in shares
    ]
    entries += [(name, format_digits(_float(scores.get(key)))) for name, key in numbers]
    entries.append(("images", f"{scores['count']:,}"))
    if scores.get("skipped"):
        entries.append(("unreadable, left out", f"{scores['skipped']:,}"))
    text = "Means are over the classes, each weighing the same."
    counts = confusion(kept.probabilities, kept.labels)
    bins = calibration_bins(kept.probabilities, kept.labels)
    error = _float(scores.get("ece")) or 0.0
    sections = [
        Section("Scores", (Facts(tuple(entries)), Text(text))),
        Section("Confusion", confusion_blocks(counts, kept.classes)),
    ]
    if (table := classes_table(scores)) is not None:
        sections.append(Section("Classes", (table,)))
    sections.append(Section("Calibration", (draw_reliability(bins, error),)))
    if run.mistakes:
        folder = run.directory.eval
        images = [
            _photo(
                folder / m.file,
                f"{m.truth}, taken for {m.predicted}.",
                f"{m.truth}\n→ {m.predicted} {m.probability:.0%}",
            )
            for m in run.mistakes
        ]
        text = (
            "The wrong answers that the model was surest of: the truth, what it said, how surely."
        )
        found = tuple(image for image in images if image is not None)
        sections.append(Section("Mistakes", (Text(text), Gallery(found, small=True))))
    return sections


def _size(run: RunRecord) -> Section:
    parameters, macs = run.costs
    entries: list[tuple[str, Value]] = [
        ("parameters", parameters),
        ("MACs for one image", macs),
    ]
    if run.directory.weights.is_file():
        entries.append(("weights on disk", _bytes(run.directory.weights.stat().st_size)))
    if (speed := run.training_speed) is not None:
        entries.append(("training", f"{speed:,.0f} images/s"))
    if run.speed is not None:
        entries += [
            ("one image", f"{run.speed['latency_ms']:.3g} ms"),
            (
                f"in batches of {run.speed['batch_size']}",
                f"{run.speed['images_per_second']:,.0f} images/s",
            ),
            ("measured on", f"{run.speed['device']}, {run.speed['precision']}"),
        ]
    peaks = [s.peak_memory for s in run.sessions if s.peak_memory is not None]
    if peaks:
        entries.append(("memory, peak of training", _bytes(max(peaks))))
    return Section("Size and speed", (Facts(tuple(entries)),))


def _origin(run: RunRecord) -> Section:
    config = run.config
    prepared = run.model.preprocess
    entries: list[tuple[str, Value]] = [
        ("data", config.data.source),
        ("classes", len(run.model.classes or ())),
        ("model", f"{run.model.name} ({run.model.family})"),
        ("weights from", config.model.pretrained or "random start"),
    ]
    if prepared is not None:
        size = "×".join(map(str, prepared.img_size))
        channels = "1 channel" if prepared.in_chans == 1 else f"{prepared.in_chans} channels"
        entries.append(("images", f"{channels}, {size} pixels"))
    entries += _training(config.train)
    blocks: list[Block] = [Facts(tuple(entries))]
    blocks += session_blocks(run.sessions)
    return Section("How it was made", tuple(blocks))


def _training(train: TrainConfig) -> list[tuple[str, Value]]:
    """The settings that a reader asks for first; the configuration has all."""
    options = "".join(f", {name} {value}" for name, value in train.optimizer_options.items())
    # the class itself may not be installed where the page is written
    free = train.optimizer.startswith(("schedule_free", "schedulefree."))
    schedule = train.schedule or ("constant" if free else "cosine")
    steps = "".join(f", {name} {value}" for name, value in train.schedule_options.items())
    loss = train.loss.replace("_", " ")
    if train.label_smoothing:
        loss += f", smoothing {train.label_smoothing:g}"
    entries: list[tuple[str, Value]] = [
        ("optimizer", f"{train.optimizer}, learning rate {train.lr:g}{options}"),
        (
            "schedule",
            f"{schedule}{steps}, warm-up {train.warmup_epochs:g} of {train.epochs} epochs",
        ),
        ("loss", loss),
        ("length", f"{train.epochs} epochs in batches of {train.batch_size}"),
    ]
    if train.class_weights is not None:
        balanced = train.class_weights == "balanced"
        entries.append(("class weights", "balanced" if balanced else "given by name"))
    if train.teacher is not None:
        entries.append(("teacher", f"{train.teacher}, weight {train.teacher_weight:g}"))
    return entries


def _configuration(run: RunRecord) -> Section:
    default = flatten(Config())
    changed = tuple(
        (path, str(value), str(default[path]))
        for path, value in run.settings.items()
        if value != default[path]
    )
    whole = Code(run.directory.config.read_text(encoding="utf-8"), "config.yaml")
    blocks: tuple[Block, ...] = (whole,)
    if changed:
        head = ("setting", "here", "default")
        blocks = (Table(head, changed, "What differs from the defaults."), whole)
    return Section("Configuration", blocks, folded=True)


def _photo(path: Path, alt: str, caption: str) -> Picture | None:
    """A thumbnail; None if somebody removed it."""
    if not path.is_file():
        return None
    kind = "png" if path.suffix == ".png" else "jpeg"
    return Picture.from_bytes(path.read_bytes(), kind, alt=alt, caption=caption)


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _bytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB" if size >= 2**20 else f"{size / 2**10:,.1f} KiB"
