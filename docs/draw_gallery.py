"""Draw the pictures of gallery.md, which_model.md and benchmark.md that no other page has made.

python docs/draw_gallery.py [NAME ...]

`accuracy`, `speed`, `kan_speed`, `tables` and `tokens` are drawn from records, in seconds; `law`,
`token_maps`, `front` and `report` train something small first, a minute of one core each; `report`
needs Chromium.
"""

import argparse
import io
import json
import math
import runpy
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread

import allmlp
from allmlp.bench import Timing, TokenCost
from allmlp.interpret import draw_images, token_maps
from allmlp.interpret.kan import auto_symbolic, draw_kan, prune
from allmlp.report import write_report
from allmlp.report.bench_charts import plot_tokens
from allmlp.report.palette import SERIES
from allmlp.runs.run import Run
from allmlp.training import KANPenalty
from allmlp.zoo.published import PUBLISHED

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "pictures"
RECORDS = ROOT / "benchmarks" / "results"

# Attention, as published: name -> GMACs at 224 pixels, top-1 of ImageNet-1k alone
# (arXiv:2012.12877, table 6 and its repository)
DEIT = {"DeiT-Ti": (1.3, 72.2), "DeiT-S": (4.6, 79.9), "DeiT-B": (17.6, 81.8)}
FAMILIES = {
    "Mixer": ("mixer_",),
    "ResMLP": ("resmlp_s12", "resmlp_s24", "resmlp_s36", "resmlp_b24"),
    "gMLP": ("gmlp_",),
    "CycleMLP, CS-Mixer": ("cyclemlp_", "csmixer_"),
    "RepMLPNet": ("repmlpnet_",),
    "ConvMixer": ("convmixer_",),
}
LEFT_OUT = ("resmlp_b24_p8", "resmlp_s12_class_mlp")


def read(name: str) -> dict:
    """A committed record."""
    return json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))


def alone(name: str) -> float | None:
    """The accuracy published for ImageNet-1k without other data or a teacher."""
    for result in PUBLISHED[name]:
        if (
            result.pretraining.startswith("none (ImageNet-1k")
            and "distilled" not in result.pretraining
        ):
            return result.top1
    return None


def accuracy() -> Figure:
    """Published accuracy without other data or a teacher, against multiply-accumulates."""
    costs = runpy.run_path(str(ROOT / "tests" / "sweep" / "test_variants.py"))["COSTS"]
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.subplots()
    marks = iter("osD^vP")
    for index, (family, starts) in enumerate(FAMILIES.items()):
        points = sorted(
            (costs[name][2] / 1e9, top1)
            for name in PUBLISHED
            if name.startswith(starts) and name not in LEFT_OUT and (top1 := alone(name))
        )
        colour = SERIES[index % len(SERIES)]
        line = "-" if index < len(SERIES) else ":"
        axes.plot(*zip(*points, strict=True), line + next(marks), color=colour, label=family, lw=1)
    axes.plot(*zip(*DEIT.values(), strict=True), "k*--", lw=1, label="DeiT (attention)")
    axes.set_xscale("log")
    axes.set_xticks(ticks := [1, 2, 5, 10, 20, 50], [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("GMACs for one image")
    axes.set_ylabel("top-1 of ImageNet-1k alone, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def speed() -> Figure:
    """Our time over timm's for the same function, every row of the record."""
    rows = read("vision_speed_cpu")["rows"]
    nets = list(dict.fromkeys(row["what"].split()[0] for row in rows))
    figure = Figure(figsize=(7.5, 0.4 * len(nets) + 1.2), layout="constrained")
    axes = figure.subplots()
    for kind, mark, colour in (("forward", "o", SERIES[0]), ("training", "D", SERIES[1])):
        shown = [row for row in rows if f" {kind}" in row["what"] and "ours/timm" in row]
        places = [nets.index(row["what"].split()[0]) for row in shown]
        ratios = [row["ours/timm"][1] for row in shown]
        axes.plot(ratios, places, mark, color=colour, alpha=0.7, label=kind)
    axes.axvline(1, color="black", lw=0.8)
    axes.set_yticks(range(len(nets)), nets)
    axes.invert_yaxis()
    axes.set_xlabel("our time / timm's, the same weights by turns in one process")
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def tables() -> Figure:
    """Test scores on raw tables, as far as they are measured."""
    rows = read("tabular")["rows"]
    sets = list(dict.fromkeys(row["data"] for row in rows))
    figure = Figure(figsize=(7.5, 5.2), layout="constrained")
    for axes, data in zip(figure.subplots(2, 2).flat, sets, strict=True):
        scores: dict[str, list[float]] = {}
        for row in rows:
            if row["data"] == data:
                scores.setdefault(row["model"], []).append(row["test"])
        metric = next(row["metric"] for row in rows if row["data"] == data)
        means = {name: sum(found) / len(found) for name, found in scores.items()}
        order = sorted(means, key=lambda name: means[name], reverse=metric == "rmse")  # best on top
        for place, name in enumerate(order):
            tree = "boosting" in name or "gbm" in name
            axes.plot(means[name], place, "s" if tree else "o", color=SERIES[2 if tree else 0])
        axes.set_yticks(range(len(order)), order)
        axes.margins(x=0.2, y=0.05)
        axes.locator_params(axis="x", nbins=4)
        axes.grid(axis="x", alpha=0.3)
        axes.tick_params(labelsize=7)
        better = "lower" if metric == "rmse" else "higher"
        axes.set_title(f"{data}: {metric}, {better} is better", fontsize=8)
    return figure


def tokens() -> Figure:
    """What one block of Mixer-B and of ViT-B costs against the number of tokens."""
    costs = [
        TokenCost(
            row["block"], row["tokens"], row["macs"], Timing(tuple(row["forward"]["seconds"]))
        )
        for row in read("bench_cpu")["tokens"]
    ]
    figure = Figure(figsize=(7.5, 3.0), layout="constrained")
    for axes, what in zip(figure.subplots(1, 2), ("macs", "time"), strict=True):
        plot_tokens(axes, costs, what)
        axes.grid(alpha=0.3)
        axes.title.set_fontsize(9)
        axes.tick_params(labelsize=8)
    return figure


def kan_speed() -> Figure:
    """A step of KAN layers in units of its matrix products, on two threads."""
    rows = [
        row
        for row in read("kan_speed")["rows"]
        if row["threads"] == 2 and row["precision"] == "float32"
    ]
    rows.sort(key=lambda row: row["grid"])
    names = [f"{row['widths']}, batch {row['batch']:,}, g = {row['grid']}" for row in rows]
    figure = Figure(figsize=(7.5, 3.2), layout="constrained")
    axes = figure.subplots()
    shown = [("allmlp", "o", ""), ("torch", "D", "allmlp without numba"), ("pykan", "s", "")]
    for (name, mark, label), color in zip(shown, SERIES, strict=False):
        ratios = [row["step_by_floor"].get(name, (None, math.nan))[1] for row in rows]
        axes.plot(ratios, range(len(rows)), mark, color=color, label=label or name)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(rows)), names)
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)
    axes.set_xscale("log")
    axes.set_xticks(
        [0.2, 0.5, 1, 2, 5, 10, 20, 50], ["0.2", "0.5", "1", "2", "5", "10", "20", "50"]
    )
    axes.minorticks_off()
    axes.set_xlabel("time of a step / time of its three dense products", fontsize=8)
    axes.grid(axis="x", alpha=0.3)
    figure.legend(fontsize=8, loc="outside upper right", ncols=3, frameon=False)
    return figure


def law() -> Figure:
    """A KAN that was trained on exp(sin(pi x) + y^2) and pruned, its edges named."""
    generator = torch.Generator().manual_seed(1000)
    x = torch.rand(1000, 2, dtype=torch.float64, generator=generator) * 2 - 1
    y = torch.exp(torch.sin(math.pi * x[:, :1]) + x[:, 1:] ** 2)
    torch.manual_seed(0)
    model = allmlp.KAN([2, 5, 1], grid=3).double()
    penalty = KANPenalty("pykan", 1e-3)
    allmlp.fit(model, x, y, optimizer="lbfgs", steps=50, penalty=penalty)
    for _ in range(2):
        model = prune(model, x).model
        allmlp.fit(model, x, y, optimizer="lbfgs", steps=50)
    return draw_kan(auto_symbolic(prune(model, x).model, x).model, x, names=["x", "y"])


def digits(folder: str, **settings: object) -> Run:
    """The recipe of the digits, short."""
    return allmlp.train(data="digits", run=f"{folder}/run", progress=False, **settings)


def maps(count: int = 20, columns: int = 10) -> Figure:
    """What hidden units of a trained Mixer's first token MLP read."""
    with tempfile.TemporaryDirectory() as folder:
        run = digits(folder, epochs=20)
        reads = token_maps(run.model)["blocks.0.token_mlp"].reads[:count]
        return draw_images(reads, columns=columns)


def front() -> Figure:
    """For the front page: what a Mixer mixes, a law that a KAN has found, an MLP's regions."""
    spiral = imread(ROOT / "docs" / "theory" / "pictures" / "history.png")
    top, left = int(0.09 * spiral.shape[0]), int(0.668 * spiral.shape[1])
    panels = [
        ("what a Mixer's tokens are mixed by", pixels(maps(16, 4))),
        ("exp(sin(πx) + y²), read off a KAN", pixels(law())),
        ("every linear region of an MLP", spiral[top:, left:]),
    ]
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, (title, image) in zip(figure.subplots(1, 3), panels, strict=True):
        axes.imshow(image)
        axes.set_title(title, fontsize=10)
        axes.axis("off")
    return figure


def pixels(figure: Figure) -> np.ndarray:
    """What a figure looks like."""
    with io.BytesIO() as file:
        figure.savefig(file, format="png", bbox_inches="tight", dpi=200)
        file.seek(0)
        return imread(file)


def report(path: Path) -> None:
    """The top of the page that a run ends with, as a browser shows it."""
    from playwright.sync_api import sync_playwright

    browsers = ("chromium", "chromium-headless-shell")
    found = next(filter(None, map(shutil.which, browsers)))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        page = write_report(digits(folder, epochs=20).path)
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": 1000, "height": 1300})
        view.goto(Path(page).as_uri())
        view.screenshot(path=path)
        browser.close()


FIGURES: dict[str, tuple[Callable[[], Figure], str]] = {
    "accuracy": (accuracy, "svg"),
    "speed": (speed, "svg"),
    "kan_speed": (kan_speed, "svg"),
    "tables": (tables, "svg"),
    "tokens": (tokens, "svg"),
    "law": (law, "svg"),
    "token_maps": (maps, "png"),
    "front": (front, "png"),
}


def draw(name: str, folder: Path) -> None:
    """One picture into a folder, the same bytes whenever it is drawn."""
    if name == "report":
        report(folder / "report.png")
        return
    figure, suffix = FIGURES[name]
    with mpl.rc_context({"svg.hashsalt": "allmlp", "svg.fonttype": "none"}):
        stamp = {"Date": None} if suffix == "svg" else {"Software": None}
        figure().savefig(folder / f"{name}.{suffix}", bbox_inches="tight", metadata=stamp, dpi=110)


def main() -> None:
    """Writes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[*FIGURES, "report"])
    for name in parser.parse_args().names:
        draw(name, OUT)


if __name__ == "__main__":
    main()
