"""Why does the network say 8? One page of eigenfeatures, contributions and pairs of pixels.

python examples/43_explain.py             # a few seconds
python examples/43_explain.py --epochs 2
"""

import argparse
from pathlib import Path

import allmlp
from allmlp.interpret import overview
from allmlp.report import explain_page, write_page


def main() -> None:
    """Train a bilinear network on digits, and explain what it says of its worst mistake."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=60)
    epochs = parser.parse_args().epochs

    config = {
        "data": {"img_size": 8},
        "model": {"overrides": {"hidden": 128, "input_noise": 0.5}},
        "train": {"lr": 3e-3, "weight_decay": 1.0, "batch_size": 128, "warmup": 1.0},
    }
    run = allmlp.train(config, model="bilinear", epochs=epochs, progress=False)
    print(f"test accuracy {run.scores()['accuracy']:.1%}")

    # the surest wrong answer that the evaluation kept; a right one if there is none
    mistakes = sorted((run.directory.eval / "mistakes").glob("*.png"))
    image = mistakes[0] if mistakes else run.directory.eval / "samples" / "8.png"
    pixels = run.preprocess.decode(image)
    prepared = run.preprocess.normalize(pixels[None].to(run.device))[0]
    found = overview(run.model, image=prepared)
    answer = found.answer
    assert answer is not None
    assert answer.features is not None  # a bilinear network's
    print(f"{image.name} is taken for a {run.classes[found.target]}")
    print(
        f"logit {answer.logits[found.target]:.4f}, sum of all features {answer.features.sum():.4f}"
    )
    best = int(answer.features.argmax())
    print(f"feature {best + 1} of {len(answer.features)} alone adds {answer.features[best]:.4f}")

    page = Path("explain.html")
    name = run.path.name
    write_page(page, explain_page(found, name=name, model="bilinear", classes=run.classes,
                                  pixels=pixels, source=image.name))  # fmt: skip
    print(page)


if __name__ == "__main__":
    main()
