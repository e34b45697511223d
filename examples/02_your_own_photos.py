"""A folder of pictures (CLASS/IMAGE): look at it, train on it, ask about one of them.

python examples/02_your_own_photos.py
python examples/02_your_own_photos.py --folder my_photos --epochs 40
"""

import argparse
import random
from pathlib import Path

from PIL import Image, ImageDraw

import allmlp
from allmlp.data.check import check_splits


def draw_pictures(folder: Path, count: int = 200) -> None:
    """Filled circles, squares and triangles somewhere on a coloured ground, as JPEG files."""
    chance = random.Random(0)
    for shape in ("circle", "square", "triangle"):
        (folder / shape).mkdir(parents=True)
        for number in range(count):
            x, y, r = chance.randint(20, 44), chance.randint(20, 44), chance.randint(12, 20)
            image = Image.new("RGB", (64, 64), tuple(chance.randint(0, 90) for _ in range(3)))
            pen, ink = ImageDraw.Draw(image), tuple(chance.randint(150, 255) for _ in range(3))
            if shape == "circle":
                pen.ellipse((x - r, y - r, x + r, y + r), fill=ink)
            elif shape == "square":
                pen.rectangle((x - r, y - r, x + r, y + r), fill=ink)
            else:
                pen.polygon(((x, y - r), (x + r, y + r), (x - r, y + r)), fill=ink)
            image.save(folder / shape / f"{number}.jpg", quality=90)


def main() -> None:
    """Check, train, predict."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--epochs", type=int, default=40)
    arguments = parser.parse_args()
    folder = arguments.folder
    if folder is None:
        folder = Path("shapes")
        draw_pictures(folder)

    # the same as `allmlp data check shapes`
    splits = allmlp.data.load_source(str(folder))
    report = check_splits(splits)
    print(*splits.notes, sep="\n")
    print(f"{len(splits.train.classes)} classes, {len(report.broken)} broken files")
    print(f"{len(report.leaks)} images in several parts")

    # a small Mixer for 32 px; larger pictures are scaled to it
    run = allmlp.train(
        {
            "data": {"img_size": 32},
            "model": {"overrides": {"patch_size": 8, "depth": 2}},
            "train": {"warmup": min(2, arguments.epochs / 2)},
        },
        data=str(folder),
        epochs=arguments.epochs,
        batch_size=32,
        lr=3e-3,
    )
    print(f"{run.path}: {run.scores()['accuracy']:.0%} of the test pictures")

    picture = sorted(folder.glob("*/*.jpg"))[0]
    for label, probability in run.predict(picture).top(3)[0]:
        print(f"{picture} is a {label}: {probability:.0%}")


if __name__ == "__main__":
    main()
