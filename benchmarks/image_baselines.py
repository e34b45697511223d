"""What `allmlp train` reaches in five minutes on MNIST and in five epochs on CIFAR-10.

    python benchmarks/image_baselines.py mnist ../shared/data/mnist-png/mnist_png.zip
    python benchmarks/image_baselines.py cifar10 ../shared/data/cifar10-jpg/cifar10_jpg.zip
    python benchmarks/image_baselines.py photos ../shared/data/photos/photos.zip

Each result keeps the settings it was made with. `photos` is a passage of 50 photographs through the
224-pixel pipeline, one epoch; its accuracy means nothing.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import allmlp
from allmlp.bench import describe_machine

RESULTS = Path(__file__).parent / "results"

SETTINGS: dict[str, dict[str, Any]] = {
    "mnist": {
        "data": {"img_size": 28},
        "model": {"name": "mixer_digits", "overrides": {"patch_size": 4}},
        "train": {"epochs": 10, "batch_size": 128, "lr": 5e-3, "warmup": 1.0},
        "augment": {"shift": 2.0, "rotate": 10.0, "scale": 0.1},
    },
    "cifar10": {
        "model": {"name": "mixer_nano"},
        "train": {"epochs": 5, "batch_size": 128, "lr": 2e-3, "warmup": 0.5},
        "augment": {"shift": 3.0, "rotate": 0.0, "scale": 0.1},
    },
    "photos": {
        "model": {"name": "mixer_s32"},
        "train": {"epochs": 1, "batch_size": 8, "lr": 1e-4, "warmup": 0.0, "log_every": 1},
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=SETTINGS)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        run = allmlp.train(
            SETTINGS[arguments.name], data=str(arguments.data), run=f"{folder}/run", progress=True
        )
        seconds = time.perf_counter() - started
        lines = [json.loads(line) for line in (run.path / "metrics.jsonl").open()]
        rates = [line["images_per_second"] for line in lines if "images_per_second" in line]
        scores = run.scores()
    result = {
        "machine": machine,
        "data": os.fspath(arguments.data.name),
        "settings": SETTINGS[arguments.name],
        "test_accuracy": scores["accuracy"],
        "test_images": scores["count"],
        "training_images_per_second": {
            "median": round(statistics.median(rates)),
            "max": round(max(rates)),
        },
        "seconds_with_decoding_and_evaluation": round(seconds, 1),
        "val_accuracy_by_epoch": [
            round(line["val/accuracy"], 4) for line in lines if "val/accuracy" in line
        ],
    }
    out = arguments.out or RESULTS / f"{arguments.name}.json"
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
