"""Draw docs/pictures/augmentation.jpg: every operation, by the code that trains with it.

python docs/draw_augmentation.py
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_image
from torch import Tensor

from allmlp.data import (
    Augment,
    AutoAugment,
    Erasing,
    ImageSet,
    Mix,
    Preprocess,
    RandAugment,
    ResizedCrop,
    TrivialAugment,
    Warp,
    iterate_batches,
)

OUT = Path(__file__).parent / "pictures" / "augmentation.jpg"
# Pillow's own font has no Greek
FONT = str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
SIDE, SHOWN, LABEL = 96, 8, 260
READ = Preprocess(img_size=(SIDE, SIDE), in_chans=3, mean=(0.45,) * 3, std=(1.0,) * 3)
ROWS = {
    "nothing": Augment(),
    "random-resized-crop, 25 to 100 %": Augment(crop=ResizedCrop(scale=(0.25, 1.0))),
    "pad-crop by 12 pixels": Augment(pad=12),
    "flip, half of the images": Augment(flip=0.5),
    "shift, turn, scale": Augment(warp=Warp(shift=12.0, rotate=15.0, scale=0.2)),
    "erasing, noise": Augment(erase=Erasing(rate=0.8)),
    "erasing, mean": Augment(erase=Erasing(rate=0.8, fill="mean")),
    "RandAugment, 2 × 9, paper": Augment(policy=RandAugment()),
    "RandAugment, 2 × 9 ± 0.5, timm": Augment(policy=RandAugment(space="timm", deviation=0.5)),
    "RandAugment, 2 × 15, big_vision": Augment(
        policy=RandAugment(space="big_vision", magnitude=15.0)
    ),
    "TrivialAugment, wide": Augment(policy=TrivialAugment()),
    "AutoAugment, CIFAR-10": Augment(policy=AutoAugment()),
    "mixup, α 0.8": Augment(mix=Mix(mixup=0.8)),
    "cutmix, α 1": Augment(mix=Mix(cutmix=1.0)),
}


def photographs() -> ImageSet:
    """Two photographs by turns; scikit-learn has them, CC BY 2.0."""
    pair = [
        READ.convert(Image.fromarray(load_sample_image(name)))
        for name in ("china.jpg", "flower.jpg")
    ]
    count = SHOWN // 2
    return ImageSet(torch.stack(pair * count), torch.tensor([0, 1] * count), ("temple", "flower"))


def varied(data: ImageSet, augment: Augment) -> tuple[Tensor, Tensor]:
    """The pictures in order, as bytes, and their labels."""
    order = torch.arange(len(data))
    ((images, labels),) = iterate_batches(
        data, READ, len(data), shuffle=(5, 0), order=order, augment=augment
    )
    pixels = ((images + 0.45) * 255).round().clamp(0, 255).to(torch.uint8)
    return pixels, labels


def main() -> None:
    """Writes the picture."""
    data, gap = photographs(), 4
    height = len(ROWS) * (SIDE + gap) + gap
    sheet = Image.new("RGB", (LABEL + SHOWN * (SIDE + gap) + gap, height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.truetype(FONT, 13)
    for row, (name, augment) in enumerate(ROWS.items()):
        images, labels = varied(data, augment)
        top = gap + row * (SIDE + gap)
        pen.text((8, top + SIDE // 2 - 9), name, fill="black", font=font)
        for column, image in enumerate(images):
            left = LABEL + column * (SIDE + gap)
            sheet.paste(Image.fromarray(np.asarray(image.permute(1, 2, 0))), (left, top))
            if labels.ndim == 2:  # how much of the label is the temple
                share = f"{labels[column, 0]:.2f}"
                pen.rectangle((left, top + SIDE - 16, left + 32, top + SIDE - 1), fill="black")
                pen.text((left + 3, top + SIDE - 17), share, fill="white", font=font)
    OUT.parent.mkdir(exist_ok=True)
    sheet.save(OUT, quality=78)


if __name__ == "__main__":
    main()
