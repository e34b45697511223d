"""Look at data before a model does: what is there, what is broken, what is there twice."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from PIL import Image, ImageDraw

from allmlp.data.image_files import ImageFiles
from allmlp.data.image_set import ImageSet
from allmlp.data.preprocess import Preprocess, open_image, resizable
from allmlp.data.split import PARTS, Images, Splits
from allmlp.errors import AllmlpError

__all__ = ["DataReport", "check_splits", "sample_sheet"]


@dataclass
class DataReport:
    """What `check_splits` finds."""

    classes: tuple[str, ...]
    counts: dict[str, list[int]]  # part to images of each class, unreadable ones included
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # (width, height)
    modes: Counter[str] = field(default_factory=Counter)  # Pillow's names
    broken: dict[str, str] = field(default_factory=dict)  # name to reason
    copies: list[list[tuple[str, str, str]]] = field(default_factory=list)  # (name, part, class)

    @property
    def leaks(self) -> list[list[tuple[str, str, str]]]:
        """Groups of equal images that lie in several parts: what is tested on has been learned."""
        return [group for group in self.copies if len({part for _, part, _ in group}) > 1]

    @property
    def conflicts(self) -> list[list[tuple[str, str, str]]]:
        """Groups of equal images that lie in several classes."""
        return [group for group in self.copies if len({label for _, _, label in group}) > 1]

    @property
    def imbalance(self) -> float:
        """Images of the largest class for each of the smallest, over all parts."""
        totals = np.sum(list(self.counts.values()), axis=0)
        return float(totals.max() / max(1, totals.min()))

    @property
    def middle_size(self) -> tuple[float, float]:
        """Medians of width and height."""
        widths, heights = zip(*self.sizes.elements(), strict=True)
        return float(median(widths)), float(median(heights))


def check_splits(splits: Splits) -> DataReport:
    """Decode every image at full size and count.

    Two images are equal if their pixels are, whatever the file format: same mode, size and bytes
    after decoding. Another compression of the same photograph is another image.
    """
    classes = splits.train.classes
    report = DataReport(classes, {})
    places = defaultdict(list)
    for part in PARTS:
        images = splits.part(part)
        counts = np.bincount(images.labels.numpy(), minlength=len(classes))
        report.counts[part] = counts.tolist()
        labels = images.labels.tolist()
        for position, (name, image) in enumerate(_decoded(images, part)):
            if isinstance(image, AllmlpError):
                report.broken[name] = str(image)
                continue
            report.sizes[image.size] += 1
            report.modes[image.mode] += 1
            # the bytes of a palette image say nothing without the palette
            pixels = image.convert("RGBA") if image.mode in ("P", "PA") else image
            key = hashlib.blake2b(f"{pixels.mode} {pixels.size}".encode(), digest_size=16)
            key.update(pixels.tobytes())
            places[key.digest()].append((name, part, classes[labels[position]]))
    report.copies = [group for group in places.values() if len(group) > 1]
    return report


def sample_sheet(splits: Splits, columns: int = 10, rows: int = 30, side: int = 64) -> Image.Image:
    """The first training images of each of the first classes, one class a row.

    Args:
        splits: broken images leave a gap.
        columns: images of a class.
        rows: classes.
        side: pixels of an image; larger ones are scaled to cover it.
    """
    train, band = splits.train, 12  # pixels of the line with the class's name
    shown = train.classes[:rows]
    sheet = Image.new("RGB", (columns * side, len(shown) * (side + band)), "white")
    draw = ImageDraw.Draw(sheet)
    fit = Preprocess(img_size=(side, side), in_chans=3, mean=(0.0,) * 3, std=(1.0,) * 3)
    for row, name in enumerate(shown):
        # names may hold any letters, Pillow's built-in font may not have them
        draw.text((2, row * (side + band)), name, fill="black")
        chosen = (train.labels == row).nonzero().flatten()[:columns]
        for column, (_, image) in enumerate(_decoded(train.take(chosen), "train")):
            if isinstance(image, AllmlpError):
                continue
            pixels = fit.convert(image).permute(1, 2, 0).numpy()
            sheet.paste(Image.fromarray(pixels), (column * side, row * (side + band) + band))
    return sheet


def _decoded(images: Images, part: str) -> Iterator[tuple[str, Image.Image | AllmlpError]]:
    """Name and pixels, or what is wrong with them; images in memory are called by their place."""
    if isinstance(images, ImageSet):
        for position, pixels in enumerate(images.images.permute(0, 2, 3, 1).numpy()):
            grey = pixels.shape[2] == 1
            yield f"{part}[{position}]", Image.fromarray(pixels[:, :, 0] if grey else pixels)
        return
    for name in images.names:
        yield name, _open(images, name)


def _open(files: ImageFiles, name: str) -> Image.Image | AllmlpError:
    try:
        image = open_image(files.reader.read(name))
        resizable(image)  # or training refuses it
        return image
    except AllmlpError as e:
        return e
    except OSError as e:
        return AllmlpError(e.strerror or str(e))
