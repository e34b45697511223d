"""Parts with disjoint purposes, and what happens when a source does not name all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from allmlp.data.image_files import ImageFiles
from allmlp.data.image_set import ImageSet
from allmlp.errors import AllmlpError, listing

__all__ = ["PARTS", "Images", "Splits", "complete_splits", "stratified_cut", "take_samples"]

Images = ImageSet | ImageFiles

PARTS = ("train", "val", "test")

# of the split, not of the run: every run, whatever its seed, is tested on the same images
SPLIT_SEED = 0


@dataclass(frozen=True, eq=False)
class Splits:
    """Fit on `train`, choose on `val`, report on `test`. `notes` say how they came about."""

    train: Images
    val: Images
    test: Images
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Images of all parts."""
        return len(self.train) + len(self.val) + len(self.test)

    def part(self, name: str) -> Images:
        """The part called `train`, `val` or `test`, or `all` of them."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        return _join(list(parts.values())) if name == "all" else parts[name]


def complete_splits(parts: Mapping[str, Images], origin: str, notes: Sequence[str] = ()) -> Splits:
    """Train, val and test from the parts that a source has.

    - All three: as they are.
    - One part, whatever its name: 70 % train, 10 % val, 20 % test.
    - Train and test: 10 % of train becomes val.
    - Train and val: as with ImageNet the given val is what is reported, so it becomes test, and
      10 % of train becomes val. Nothing is chosen on what is reported.

    Cuts are stratified by class and always the same (seed 0).

    Args:
        parts: by name, from `PARTS`; none of them empty.
        origin: what to call the source in errors.
        notes: what else the reader of the data should know.

    Raises:
        AllmlpError: nothing to train on, too few images for three parts, or a class that train
            lacks.
    """
    if len(parts) == 1:
        (whole,) = parts.values()
        test, val, train = _cut(whole, (0.2, 0.1), origin)
        note = "no parts given: split 70 % train, 10 % val, 20 % test, stratified, seed 0"
        return Splits(train, val, test, (*notes, note))
    if "train" not in parts:
        raise AllmlpError(
            f"{origin} has {' and '.join(parts)} but no train part; add train, or give one part "
            "alone"
        )
    learned = set(parts["train"].labels.unique().tolist())
    for part, images in parts.items():
        if foreign := sorted(set(images.labels.unique().tolist()) - learned):
            names = [images.classes[number] for number in foreign]
            raise AllmlpError(
                f"{origin}: {part} has classes that train has not: {listing(names)}; a class must "
                "have images to learn from"
            )
    if len(parts) == 3:
        return Splits(parts["train"], parts["val"], parts["test"], tuple(notes))
    val, train = _cut(parts["train"], (0.1,), origin)
    cut = "10 % of train, stratified, seed 0, became val"
    if "test" in parts:
        return Splits(train, val, parts["test"], (*notes, f"no val given: {cut}"))
    note = f"no test given: the given val became test, which is reported, and {cut}"
    return Splits(train, val, parts["val"], (*notes, note))


def stratified_cut(
    labels: Int64[Tensor, " n"], fractions: Sequence[float]
) -> list[Int64[Tensor, " m"]]:
    """Positions of disjoint parts: one for each fraction, then one of what remains.

    Every part holds its fraction of every class, within one image, and of the whole, rounded. The
    images of a class are put in a random order and spread evenly over [0, 1); a part takes the
    images in its interval. So the last part, if it holds at least half, gets an image of every
    class that has two. Unlike scikit-learn's `train_test_split`, no class is too small for it.

    Returns:
        Positions in ascending order.

    Example:
        >>> few, rest = stratified_cut(torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]), [0.25])
        >>> len(few), len(rest)
        (2, 6)
    """
    count = len(labels)
    generator = torch.Generator().manual_seed(SPLIT_SEED)
    shuffled = torch.randperm(count, generator=generator)
    by_class = shuffled[labels[shuffled].argsort(stable=True)]
    sizes = torch.bincount(labels)
    starts = sizes.cumsum(0) - sizes
    rank = torch.arange(count) - starts[labels[by_class]]  # 0, 1, … within each class
    offset = torch.rand(count, generator=generator, dtype=torch.float64)
    spread = by_class[((rank + offset) / sizes[labels[by_class]]).argsort()]
    # a part that shall hold something holds at least one image
    cuts = [max(1, round(fraction * count)) for fraction in fractions]
    return [part.sort().values for part in spread.split([*cuts, count - sum(cuts)])]


def take_samples(splits: Splits, count: int) -> Splits:
    """Splits with so many training images; val and test as they are.

    Always the same ones, the same share of every class within one image, and those of a smaller
    count are among those of a larger one.

    Args:
        splits: of a source.
        count: images of `train` to keep, from 1 to all.

    Raises:
        AllmlpError: there are fewer images.
    """
    images = splits.train
    if not 1 <= count <= len(images):
        raise AllmlpError(
            f"data.samples takes from the {len(images)} images of the training part, got {count}; "
            "ask for fewer"
        )
    if count == len(images):
        return splits
    kept, _ = stratified_cut(images.labels, [count / len(images)])
    note = f"{count} of {len(images)} training images, stratified, seed 0"
    return Splits(images.take(kept), splits.val, splits.test, (*splits.notes, note))


def _join(parts: Sequence[Images]) -> Images:
    labels, classes = torch.cat([part.labels for part in parts]), parts[0].classes
    files = [part for part in parts if isinstance(part, ImageFiles)]
    if files:
        return ImageFiles(files[0].reader, sum((f.names for f in files), ()), labels, classes)
    sets = [part for part in parts if isinstance(part, ImageSet)]
    return ImageSet(torch.cat([part.images for part in sets]), labels, classes)


def _cut(images: Images, fractions: Sequence[float], origin: str) -> list[Images]:
    if len(images) < 2 * (len(fractions) + 1):
        raise AllmlpError(
            f"{origin} has {len(images)} images to make {len(fractions) + 1} parts of; "
            f"at least {2 * (len(fractions) + 1)} are needed"
        )
    return [images.take(index) for index in stratified_cut(images.labels, fractions)]
