"""Images read, decoded and scaled in a second by one core: allmlp against plain Pillow.

    python benchmarks/decode_speed.py PHOTOS CIFAR

PHOTOS and CIFAR are folders or zips of class folders: photographs, and images of 32 px.
Plain Pillow is `Image.open(...).convert("RGB").resize(size, BILINEAR)` to a NumPy array, without
EXIF orientation, proportions, alpha or 16 bits. Both read from memory.

`allmlp, no draft` decodes JPEG at full size, as plain Pillow does. `change` is the mean absolute
difference that drafts make, in levels of 255, and the share of it in the images' own deviation.
"""

import argparse
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, __version__

from allmlp.bench import describe_machine, take_turns
from allmlp.data import ImageFiles, Preprocess, load_source

RESULT = Path(__file__).parent / "results" / "decode_speed.json"


def contents(source: str, limit: int) -> list[bytes]:
    files = load_source(source).train
    assert isinstance(files, ImageFiles)
    return [files.reader.read(name) for name in files.names[:limit]]


def enlarge(content: bytes, side: int = 3000) -> bytes:
    """The same picture as large as a camera makes it, as JPEG of quality 90."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    scale = side / min(image.size)
    size = (round(scale * image.width), round(scale * image.height))
    buffer = io.BytesIO()
    image.resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def measure(images: list[bytes], side: int, rounds: int) -> dict[str, Any]:
    read = Preprocess(img_size=(side, side), in_chans=3, mean=(0.0,) * 3, std=(1.0,) * 3)

    def plain() -> None:
        for content in images:
            image = Image.open(io.BytesIO(content)).convert("RGB")
            np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))

    def ours() -> None:
        for content in images:
            read.decode_bytes(content)

    def whole() -> None:
        for content in images:
            read.convert(Image.open(io.BytesIO(content)))

    times = take_turns({"plain": plain, "allmlp": ours, "allmlp, no draft": whole}, rounds=rounds)
    drafted = torch.stack([read.decode_bytes(content) for content in images]).float()
    full = torch.stack([read.convert(Image.open(io.BytesIO(c))) for c in images]).float()
    rates = {
        name: [round(len(images) / t, 1) for t in (timing.min, timing.median)]
        for name, timing in times.items()
    }
    sizes = np.array([Image.open(io.BytesIO(content)).size for content in images])
    return {
        "images": len(images),
        "median_size": np.median(sizes, axis=0).tolist(),
        "to": side,
        "images_per_second": rates,
        "allmlp/plain": round(rates["allmlp"][1] / rates["plain"][1], 3),
        "change": round((drafted - full).abs().mean().item(), 3),
        "change/deviation": round(((drafted - full).abs().mean() / full.std()).item(), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos")
    parser.add_argument("cifar")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    photos = contents(arguments.photos, 200)
    rows = [
        {"what": "photographs to 224 px", **measure(photos, 224, arguments.rounds)},
        {
            "what": "photographs enlarged to 12 megapixels, to 224 px",
            **measure([enlarge(content) for content in photos[:8]], 224, arguments.rounds),
        },
        {"what": "photographs to 64 px", **measure(photos, 64, arguments.rounds)},
        {
            "what": "32-px JPEG to 32 px",
            **measure(contents(arguments.cifar, 3000), 32, arguments.rounds),
        },
    ]
    result = {
        "machine": {**describe_machine(), "pillow": __version__},
        "images_per_second": "[fastest, median] round, one core",
        "rows": rows,
    }
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
