"""Train a Mixer on handwritten digits, look at its mistakes, load it again.

python examples/01_train_digits.py            # one to two minutes
python examples/01_train_digits.py --epochs 5
"""

import argparse

import allmlp


def main() -> None:
    """Train, score, predict."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=100)
    epochs = parser.parse_args().epochs

    # the same as `allmlp train --epochs ...`; everything lands in a new folder under runs/
    run = allmlp.train({"train": {"warmup": min(5, epochs / 2)}}, epochs=epochs)
    print(f"{run.path}: {run.scores()['accuracy']:.1%} of the digits it has never seen")

    # the test part chose nothing, so its mistakes are fair to look at
    test = allmlp.data.load_source("digits").test
    predictions, labels = run.predict_set(test)
    for index in (predictions.probabilities.argmax(1) != labels).nonzero().flatten()[:5].tolist():
        name, probability = predictions.top(1)[index][0]
        print(f"digit {index} is a {labels[index]}, taken for a {name} ({probability:.0%})")
        for row in test.images[index, 0]:
            print("    " + "".join(" ░▒▓█"[pixel // 52] * 2 for pixel in row.tolist()))

    again = allmlp.load_run(run.path)
    samples = sorted((run.path / "eval" / "samples").glob("*.png"))
    print("the samples are read as", " ".join(again.predict(samples).labels))


if __name__ == "__main__":
    main()
