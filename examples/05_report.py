"""Two runs, a page for each, and whether their difference is more than luck.

python examples/05_report.py             # about half a minute
python examples/05_report.py --epochs 2
"""

import argparse
from pathlib import Path

import allmlp
from allmlp.report import compare_runs, comparison_page, write_page, write_report


def main() -> None:
    """Train a narrow and a wide Mixer, and compare them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=15)
    epochs = parser.parse_args().epochs

    paths = []
    for width in (16, 64):
        config = {"model": {"overrides": {"width": width}}, "train": {"warmup": epochs / 4}}
        run = allmlp.train(config, epochs=epochs, progress=False)
        paths.append(run.path)
        print(f"width {width}: {run.scores()['accuracy']:.1%}, {write_report(run.path)}")

    comparison = compare_runs(paths)
    for pair, test in comparison.tests.items():
        print(
            f"{test.only_first} and {test.only_second} of {test.count} digits are right in one "
            f"alone: p = {test.p:.2g}, {comparison.verdict(pair)}"
        )
    page = Path("compare.html")
    write_page(page, comparison_page(comparison, "Narrow and wide", Path()))
    print(page)


if __name__ == "__main__":
    main()
