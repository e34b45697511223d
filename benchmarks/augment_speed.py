"""Images augmented in a second by one core: allmlp against plain Pillow and kornia.

    pip install kornia
    python benchmarks/augment_speed.py PHOTOS CIFAR

PHOTOS and CIFAR are folders or zips of class folders; images are brought to 224 and 32 px first.

Every contestant does the whole way from decoded bytes to a normalised float32 batch, since that is
what a training step waits for: allmlp from one tensor of bytes; Pillow from pictures, one by one,
by the plainest calls; kornia from the same tensor of bytes, divided by 255. `nothing` is that way
without an operation. Pillow's RandAugment is timm's `rand-m9-mstd0.5-inc1`, whose operations ours
equals pixel by pixel (levels cut at 9: at 10 it asks Pillow 13 for no bits at all, an error);
kornia's is its own.
"""

import argparse
import importlib.util
import json
import random
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, __version__
from torch import Tensor

from allmlp.bench import describe_machine, take_turns
from allmlp.data import (
    Augment,
    Erasing,
    ImageFiles,
    ImageSet,
    Mix,
    Preprocess,
    RandAugment,
    ResizedCrop,
    load_source,
)
from allmlp.data.augment import EpochAugment
from allmlp.data.pictures import read_edited

RESULT = Path(__file__).parent / "results" / "augment_speed.json"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SCALE, RATIO, AREA, SIDES = (0.25, 1.0), (3 / 4, 4 / 3), (0.02, 1 / 3), (0.3, 1 / 0.3)

Picture = Image.Image
Make = Callable[[], object]


def decoded(source: str, side: int, count: int) -> Tensor:
    read = Preprocess(img_size=(side, side), in_chans=3, mean=MEAN, std=STD)
    files = load_source(source).part("train")
    assert isinstance(files, ImageFiles)
    names = (files.names * count)[:count]
    return torch.stack([read.decode_bytes(files.reader.read(name)) for name in names])


def ours(images: Tensor, augment: Augment) -> Make:
    side, count = images.shape[-1], len(images)
    read = Preprocess(img_size=(side, side), in_chans=3, mean=MEAN, std=STD)
    labels, visits = torch.arange(count) % 10, torch.arange(count)
    epochs = iter(range(10**9))

    def make() -> object:
        number = next(epochs)
        epoch = EpochAugment(augment, 0, number, count, MEAN)
        edit, pixels = epoch.edit(files=False), images
        if edit is not None:
            data = ImageSet(images, labels, tuple("0123456789"))
            ((_, pixels, _),) = read_edited(data, [visits], edit)
        pixels = epoch.change(pixels, visits, cropped=edit is not None)
        return epoch.mix(read.normalize(pixels), labels, 10, 0)

    return make


def pillow(images: Tensor, change: Callable[[list[Picture]], Sequence[Picture]]) -> Make:
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
    mean, std = (torch.tensor(v).mul(255)[:, None, None] for v in (MEAN, STD))

    def make() -> object:
        arrays = [np.asarray(picture) for picture in change(pictures)]
        batch = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)
        return batch.contiguous().float().sub_(mean).div_(std)

    return make


def kornia(images: Tensor, operation: Callable[[Tensor], Tensor] | None) -> Make:
    import kornia.augmentation as K

    normalize = K.Normalize(torch.tensor(MEAN), torch.tensor(STD))

    def make() -> object:
        batch = images.float().div_(255)
        return normalize(batch if operation is None else operation(batch))

    return make


def each(change: Callable[[Picture], Picture]) -> Callable[[list[Picture]], list[Picture]]:
    return lambda pictures: [change(picture) for picture in pictures]


def pillow_flip(picture: Picture) -> Picture:
    return ImageOps.mirror(picture) if random.random() < 0.5 else picture


def pillow_pad_crop(pad: int) -> Callable[[Picture], Picture]:
    def change(picture: Picture) -> Picture:
        left, top = random.randint(0, 2 * pad), random.randint(0, 2 * pad)
        padded = ImageOps.expand(picture, pad)
        return padded.crop((left, top, left + picture.width, top + picture.height))

    return change


def random_box(
    size: tuple[int, int], area: tuple[float, float], ratio: tuple[float, float]
) -> tuple[int, int, int, int]:
    """Left, top, right and bottom; everything if ten attempts fail."""
    width, height = size
    for _ in range(10):
        pixels = width * height * random.uniform(*area)
        proportion = np.exp(random.uniform(np.log(ratio[0]), np.log(ratio[1])))
        wide, tall = round((pixels * proportion) ** 0.5), round((pixels / proportion) ** 0.5)
        if 0 < wide <= width and 0 < tall <= height:
            left, top = random.randint(0, width - wide), random.randint(0, height - tall)
            return left, top, left + wide, top + tall
    return 0, 0, width, height


def pillow_resized_crop(picture: Picture) -> Picture:
    box = random_box(picture.size, SCALE, RATIO)
    return picture.resize(picture.size, Image.Resampling.BILINEAR, box=box)


def pillow_erase(picture: Picture) -> Picture:
    if random.random() >= 0.25:
        return picture
    out = picture.copy()
    out.paste((124, 116, 104), random_box(picture.size, AREA, SIDES))
    return out


def pillow_mixup(pictures: list[Picture]) -> list[Picture]:
    weight = random.betavariate(0.8, 0.8)
    partners = random.sample(pictures, len(pictures))
    return [Image.blend(a, b, 1 - weight) for a, b in zip(pictures, partners, strict=True)]


def pillow_cutmix(pictures: list[Picture]) -> list[Picture]:
    width, height = pictures[0].size
    share = (1 - random.betavariate(1, 1)) ** 0.5 / 2
    x, y = random.randrange(width), random.randrange(height)
    box = (
        max(0, x - int(share * width)),
        max(0, y - int(share * height)),
        min(width, x + int(share * width)),
        min(height, y + int(share * height)),
    )
    mixed = []
    for picture, partner in zip(pictures, random.sample(pictures, len(pictures)), strict=True):
        out = picture.copy()
        out.paste(partner.crop(box), box)
        mixed.append(out)
    return mixed


def timm_randaugment() -> Callable[[Picture], Picture]:
    """From timm's file of operations alone: the package around it wants torchvision."""
    found = importlib.util.find_spec("timm")
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin).parent / "data" / "auto_augment.py"
    spec = importlib.util.spec_from_file_location("timm_auto_augment", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    options = {"img_mean": (124, 116, 104), "interpolation": Image.Resampling.BICUBIC}
    return module.rand_augment_transform("rand-m9-mstd0.5-mmax9-inc1", options)


def contestants(images: Tensor) -> dict[str, dict[str, Make]]:
    import kornia.augmentation as K
    from kornia.augmentation.auto import RandAugment as KorniaRandAugment

    side = images.shape[-1]
    pad = side // 8
    labels = torch.arange(len(images)) % 10
    crop = ResizedCrop(scale=SCALE, ratio=RATIO)
    erase = Erasing(rate=0.25, area=AREA, ratio=SIDES, fill="mean")
    kornia_pad = K.RandomCrop((side, side), padding=pad)
    kornia_flip = K.RandomHorizontalFlip(p=0.5)
    kornia_erase = K.RandomErasing(p=0.25, scale=AREA, ratio=SIDES, value=0.45)
    kornia_mixup = K.RandomMixUpV2(data_keys=["input", "class"], p=1.0)
    kornia_cutmix = K.RandomCutMixV2(data_keys=["input", "class"], p=1.0)
    pads = pillow_pad_crop(pad)
    return {
        "nothing": {
            "allmlp": ours(images, Augment()),
            "pillow": pillow(images, lambda pictures: pictures),
            "kornia": kornia(images, None),
        },
        "flip": {
            "allmlp": ours(images, Augment(flip=0.5)),
            "pillow": pillow(images, each(pillow_flip)),
            "kornia": kornia(images, kornia_flip),
        },
        f"pad-crop by {pad}": {
            "allmlp": ours(images, Augment(pad=pad)),
            "pillow": pillow(images, each(pads)),
            "kornia": kornia(images, kornia_pad),
        },
        "random-resized-crop": {
            "allmlp": ours(images, Augment(crop=crop)),
            "pillow": pillow(images, each(pillow_resized_crop)),
            "kornia": kornia(images, K.RandomResizedCrop((side, side), scale=SCALE, ratio=RATIO)),
        },
        "erasing": {
            "allmlp": ours(images, Augment(erase=erase)),
            "pillow": pillow(images, each(pillow_erase)),
            "kornia": kornia(images, kornia_erase),
        },
        "mixup": {
            "allmlp": ours(images, Augment(mix=Mix(mixup=0.8))),
            "pillow": pillow(images, pillow_mixup),
            "kornia": kornia(images, lambda batch: kornia_mixup(batch, labels)[0]),
        },
        "cutmix": {
            "allmlp": ours(images, Augment(mix=Mix(cutmix=1.0))),
            "pillow": pillow(images, pillow_cutmix),
            "kornia": kornia(images, lambda batch: kornia_cutmix(batch, labels)[0]),
        },
        "pad-crop, flip, erasing, cutmix": {
            "allmlp": ours(images, Augment(pad=pad, flip=0.5, erase=erase, mix=Mix(cutmix=1.0))),
            "pillow": pillow(
                images,
                lambda pictures: pillow_cutmix(
                    [pillow_erase(pillow_flip(pads(picture))) for picture in pictures]
                ),
            ),
            "kornia": kornia(
                images,
                lambda batch: kornia_cutmix(kornia_erase(kornia_flip(kornia_pad(batch))), labels)[
                    0
                ],
            ),
        },
        "RandAugment": {
            "allmlp": ours(images, Augment(policy=RandAugment(space="timm", deviation=0.5))),
            "pillow": pillow(images, each(timm_randaugment())),
            "kornia": kornia(images, KorniaRandAugment(n=2, m=9)),
        },
    }


def measure(images: Tensor, rounds: int) -> list[dict[str, Any]]:
    rows = []
    for name, makes in contestants(images).items():
        times = take_turns(makes, rounds=rounds)
        rates = {
            who: [round(len(images) / t) for t in (timing.min, timing.median)]
            for who, timing in times.items()
        }
        row = {
            "operation": name,
            "side": images.shape[-1],
            "batch": len(images),
            "images_per_second": rates,
            "allmlp/pillow": round(times["pillow"].median / times["allmlp"].median, 2),
            "allmlp/kornia": round(times["kornia"].median / times["allmlp"].median, 2),
        }
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos")
    parser.add_argument("cifar")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    import kornia as package

    torch.set_num_threads(1)
    torch.manual_seed(0)
    random.seed(0)
    warnings.filterwarnings("ignore", module="kornia")
    machine = {**describe_machine(), "pillow": __version__, "kornia": package.__version__}
    rows = [
        *measure(decoded(arguments.cifar, 32, 512), arguments.rounds),
        *measure(decoded(arguments.photos, 224, 64), arguments.rounds),
    ]
    result = {
        "machine": machine,
        "images_per_second": "[fastest, median] round, one core, bytes to normalised floats",
        "ratios": "of median times: above 1, allmlp is faster",
        "rows": rows,
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
