"""Pack data into tars and train from them: the same images, the same result, few large files.

python examples/04_shards.py
python examples/04_shards.py --data my_photos --size 256
"""

import argparse
import shutil
from pathlib import Path

import allmlp
from allmlp.data import BrokenImages, load_source, write_shards


def main() -> None:
    """Pack, train from the tars, score the folder or set they were made of."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="digits")
    parser.add_argument("--size", type=float, default=0.25, help="MiB of a tar")
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()

    # the same as `allmlp data shard digits shards --size 0.25`
    splits, folder = load_source(arguments.data), Path("shards")
    shutil.rmtree(folder, ignore_errors=True)
    broken = BrokenImages(len(splits.part("all")), 0.01)
    shards = write_shards(splits, folder, max_bytes=round(arguments.size * 2**20), broken=broken)
    for shard in shards[:3]:
        print(f"{shard.name}: {shard.images} images, {shard.size:,} bytes")
    print(f"{len(shards)} tars, {len(broken.reasons)} broken images")

    # streamed by two workers, each reading what its batches need and nothing else
    run = allmlp.train(
        {
            "data": {"cache_gib": 0.0, "workers": 2},
            "train": {"warmup": min(2, arguments.epochs / 2)},
        },
        data=str(folder),
        epochs=arguments.epochs,
        progress=False,
    )
    print(f"{run.path}: {run.scores()['accuracy']:.1%} of the test part")


if __name__ == "__main__":
    main()
