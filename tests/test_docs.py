"""Docs pages: their Python runs, their tables are true, their pictures and links exist."""

import dataclasses
import doctest
import json
import re
import runpy
import shlex
import statistics
from pathlib import Path
from typing import Any

import pytest

from allmlp.cli import app, main
from allmlp.cli.dotted import rewrite_dotted
from allmlp.runs.config import Config
from allmlp.runs.config_tree import flatten
from allmlp.training import OPTIMIZERS, SCHEDULES
from allmlp.zoo import list_models
from allmlp.zoo.published import PUBLISHED

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
RECORDS = DOCS.parent / "benchmarks" / "results"


def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_pictures_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


# what the README has as well runs there, in tests/test_readme.py
README = (DOCS.parent / "README.md").read_text(encoding="utf-8")
OWN = [b for page in PAGES for b in blocks(page, "python") if b not in README]


@pytest.mark.parametrize("block", OWN, ids=lambda b: b[-40:].strip())
def test_python_runs(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "docs", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    "block", [b for page in PAGES for b in blocks(page, "pycon")], ids=lambda b: b[:40].strip()
)
def test_sessions_print_what_they_show(block: str) -> None:
    session = re.sub(r"\n\n(?!>>> )", "\n<BLANKLINE>\n", block)  # a page shows what is printed
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(doctest.DocTestParser().get_doctest(session, {}, "docs", None, None))
    assert runner.tries > 0
    assert runner.failures == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_their_settings_exist(page: Path) -> None:
    known = flatten(Config())
    tables = ("table", *(path for path in known if known[path] == {}))  # take keys of one's own
    for line in "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if "allmlp" not in words:
            continue
        command = rewrite_dotted(words[words.index("allmlp") + 1 :])
        _, bound, _ = app.parse_args(command, exit_on_error=False, print_error=False)
        for setting in bound.arguments.get("settings") or []:
            name = setting.partition("=")[0]
            assert name in known or name.startswith(tables), line


def test_tables_of_sizes_are_true() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \|(?: [^|]+ \|)* ([\d,]+) \| ([\d.]+) \|$",
        "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "models").glob("*.md")),
        flags=re.MULTILINE,
    )
    assert sorted(name for name, _, _ in rows) == list_models(experimental=True)
    # true of the models: the sweep counts every one of them
    costs = runpy.run_path(str(DOCS.parent / "tests" / "sweep" / "test_variants.py"))["COSTS"]
    for name, shown_parameters, gmacs in rows:
        parameters, _, macs = costs[name]
        assert f"{parameters:,}" == shown_parameters
        assert f"{macs / 1e9:.3f}" == gmacs


def shown(default: Any) -> str:
    if default is None or default == {}:
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


@pytest.mark.parametrize("section", ["run", "train"])
def test_every_option_of_training_has_its_default_and_a_reason(section: str) -> None:
    text = (DOCS / "training.md").read_text(encoding="utf-8").split(f"`--{section}.*`")[1]
    table = re.search(r"\n\n\|.*?\n\n", text, flags=re.DOTALL)
    assert table
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", table[0], flags=re.MULTILINE)
    fields = dataclasses.fields(node := getattr(Config(), section))
    expected = [(field.name, shown(getattr(node, field.name))) for field in fields]
    assert [(name, default) for name, default, _ in rows] == expected
    assert all(reason.strip() for _, _, reason in rows)


def test_every_optimizer_and_schedule_is_described() -> None:
    text = (DOCS / "optimizers.md").read_text(encoding="utf-8")
    for name in (*OPTIMIZERS, *SCHEDULES, "plateau"):
        assert f"\n| `{name}`" in text, name


def test_published_figures_beside_each_other_are_those_of_the_tables() -> None:
    """docs/which_model.md: names of ours, with counted costs and the published accuracies."""
    text = (DOCS / "which_model.md").read_text(encoding="utf-8")
    costs = runpy.run_path(str(DOCS.parent / "tests" / "sweep" / "test_variants.py"))["COSTS"]
    alone = r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$"
    rows = re.findall(alone, text, flags=re.MULTILINE)
    assert len(rows) == 16
    for name, millions, gmacs, top1 in rows:
        parameters, _, macs = costs[name]
        assert (f"{parameters / 1e6:.1f}", f"{macs / 1e9:.1f}") == (millions, gmacs), name
        found = {
            round(result.top1, 1)
            for result in PUBLISHED[name]
            if result.pretraining.startswith("none (ImageNet-1k")
            and "distilled" not in result.pretraining
        }
        assert float(top1) in found, name
    more = r"^\| `(\w+)` \| ((?:ImageNet-2|JFT)[\w-]+) \| (\d+) \| ([\d.]+) \|$"
    rows = re.findall(more, text, flags=re.MULTILINE)
    assert len(rows) == 5
    for name, data, pixels, top1 in rows:
        assert any(
            result.pretraining.startswith(data)
            and (result.img_size, result.top1) == (int(pixels), float(top1))
            for result in PUBLISHED[name]
        ), name


def bench_rows() -> dict[tuple[str, str], Any]:
    """Of `allmlp bench --peers`: model and precision -> row."""
    record = json.loads((RECORDS / "bench_cpu.json").read_text(encoding="utf-8"))
    rows = {(row["model"], row["precision"]): row for row in record["rows"]}
    for row in rows.values():
        for work, passes in (("latency", 0), ("forward", 1), ("train", 3)):
            seconds = row[work]["seconds"]
            row[work] = statistics.median(seconds)
            flops = 2 * passes * row["macs"] * row["batch_size"]
            row[f"{work} share"] = flops / min(seconds) / record["peaks"][row["precision"]]
    return rows


def test_times_beside_each_other_are_those_of_the_record() -> None:
    text = (DOCS / "which_model.md").read_text(encoding="utf-8")
    row = r"^\| (?:timm's )?`(\w+)` \| ([\d.]+) \| (\d+) \| (\d+) \| (\d+) \|$"
    stated = {name: cells for name, *cells in re.findall(row, text, flags=re.MULTILINE)}
    for name, cells in stated.items():
        found = bench_rows()[name, "fp32"]
        times = (found["latency"], found["forward"] / 8, found["train"] / 8)
        assert cells == [f"{found['macs'] / 1e9:.1f}", *(f"{1e3 * t:.0f}" for t in times)], name
    fp32 = {name for name, precision in bench_rows() if precision == "fp32"}
    assert fp32 - set(stated) == {"scaling_mlp_b6_w512"}  # whose images are smaller


def test_the_bench_table_is_that_of_the_record() -> None:
    text = (DOCS / "benchmark.md").read_text(encoding="utf-8")
    rows = bench_rows()
    row = r"^\| (?:timm's )?`(\w+)` \| (.*) \|$"
    stated = re.findall(row, text, flags=re.MULTILINE)
    assert [name for name, _ in stated] == [n for n, precision in rows if precision == "fp32"]

    def rate(seconds: float) -> str:
        return f"{8 / seconds:.1f}" if 8 / seconds < 100 else f"{8 / seconds:,.0f}"

    for name, cells in stated:
        one, half = rows[name, "fp32"], rows[name, "bf16"]
        expected = [f"{1e3 * one['latency']:.1f}"]
        for work in ("forward", "train"):
            expected += [rate(one[work]), f"{100 * one[f'{work} share']:.0f} %"]
        expected += [f"{one[f'{work}_memory'] / 1e6:,.0f}" for work in ("forward", "train")]
        expected += [rate(half["forward"]), rate(half["train"])]
        assert cells.split(" | ") == expected, name


def test_what_is_said_of_tokens_is_measured() -> None:
    record = json.loads((RECORDS / "bench_cpu.json").read_text(encoding="utf-8"))
    taken = {
        (row["block"], row["tokens"]): statistics.median(row["forward"]["seconds"])
        for row in record["tokens"]
    }
    ratios = [f"{taken['attention', n] / taken['mixer', n]:.1f} times" for n in (49, 196, 3136)]
    text = " ".join((DOCS / "benchmark.md").read_text(encoding="utf-8").split())
    assert (
        f"{ratios[0]} the Mixer's time at 49 tokens, {ratios[1]} at 196, {ratios[2]} at 3,136"
        in text
    )


def test_small_images_beside_each_other_are_those_of_the_records() -> None:
    text = (DOCS / "which_model.md").read_text(encoding="utf-8")

    def read(name: str) -> Any:
        return json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))

    def share(value: float) -> str:
        return f"| {100 * value:.1f} % |"

    found = [
        ("Mixer, 100 epochs", read("digits")["mean_test_accuracy"]),
        ("small Mixer, 10 epochs", read("mnist")["test_accuracy"]),
        ("plain MLP, 20 epochs", read("mlp_mnist")["rows"]["plain"]["test_mean"]),
        ("`mixer_nano` | 1,132,170", read("cifar10")["test_accuracy"]),
    ]
    twin = read("bilinear_mixer_table")["rows"][1]
    found.append((f"{twin['parameters']:,}", twin["test_accuracy"]))
    for name, digits in (("kan_digits", True), ("kan_mnist", False)):
        by_name = {row["name"]: row for row in read(name)["rows"]}
        kinds = ["KAN", "MLP, equal parameters"]
        kinds += ["KAN-Mixer", "Mixer, equal parameters"] if digits else []
        found += [(f"{by_name[k]['parameters']:,}", by_name[k]["test_accuracy"]) for k in kinds]
    for line, value in found:
        assert any(line in row and share(value) in row for row in text.splitlines()), (line, value)
    for name in ("bilinear_mnist_table", "bilinear_cifar10_table"):
        for kind in ("bilinear", "relu"):
            rows = [row for row in read(name)["rows"] if row["model"] == kind]
            first = [row for row in rows if row["seed"] == 0]
            lr = max(first, key=lambda row: row["val_accuracy"])["lr"]
            scores = [row["test_accuracy"] for row in rows if row["lr"] == lr]
            line = f"{rows[0]['parameters']:,}"
            mean = f"| {100 * sum(scores) / len(scores):.2f} % |"
            assert any(line in row and mean in row for row in text.splitlines()), (line, mean)


def rows_of(page: str, cells: int) -> list[list[str]]:
    """The cells of every row of the page's tables that have so many."""
    text = (DOCS / page).read_text(encoding="utf-8")
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip(" *") for cell in row] for row in rows if len(row) == cells]


def test_tables_beside_each_other_are_those_of_the_record() -> None:
    labels = {
        "default": "default (TabM-mini, 8 members)",
        "mlp-plain": '`model="mlp"`, plain numbers',
        "mlp-ple": '`model="mlp"`, `ple`',
        "mlp-plr-lite": '`model="mlp"`, `plr-lite`',
        "resnet-ple": '`model="resnet"`, `ple`',
        "tabm-mini-k32": '`model="tabm-mini"`, 32 members of width 256',
        "tabm-ple": '`model="tabm"`, `ple`',
        "realmlp": '`model="realmlp"`',
        "lightgbm": "LightGBM",
        "hist-gradient-boosting": "`HistGradientBoosting`",
        "sklearn-mlp": "scikit-learn's MLP",
        "pytabkit-realmlp": "RealMLP of pytabkit",
    }
    rows = json.loads((RECORDS / "tabular.json").read_text("utf-8"))["rows"]
    shown = {row[0]: row[1:] for row in rows_of("tabular.md", 7)}
    for name, label in labels.items():
        cells = []
        for data in ("california", "wine", "adult", "digits"):
            own = [row for row in rows if (row["data"], row["model"]) == (data, name)]
            mean = statistics.mean(row["test"] for row in own)
            text = f"{mean:.3f}" if own[0]["metric"] == "rmse" else f"{100 * mean:.2f}"
            cells.append(text if len(own) == 3 else f"{text} ({len(own)})")
        for data in ("california", "adult"):
            seconds = statistics.mean(
                row["cpu_seconds"] for row in rows if (row["data"], row["model"]) == (data, name)
            )
            cells.append(f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.1f}")
        assert shown[label] == cells, name


def test_regularisers_of_an_mlp_are_those_of_the_record() -> None:
    found = {}
    for name, row in json.loads((RECORDS / "mlp_mnist.json").read_text("utf-8"))["rows"].items():
        runs = row["runs"]
        tests = [100 * run["test"] for run in runs]
        spread = f" ({min(tests):.2f} to {max(tests):.2f})" if len(runs) > 1 else ""
        train = 100 * sum(run["train"] for run in runs) / len(runs)
        score = f"{100 * row['test_mean']:.2f}{spread}"
        found[name] = [score, str(len(runs)), f"{train:.2f}", f"{runs[0]['parameters']:,}"]
    shown = {row[0]: row[1:] for row in rows_of("models/mlp.md", 5)}
    for name, cells in found.items():
        assert shown[name.replace("residual,", "residual blocks,")] == cells, name


def test_speed_of_augmentation_is_that_of_the_record() -> None:
    rows = json.loads((RECORDS / "augment_speed.json").read_text("utf-8"))["rows"]
    found = {
        (row["operation"].split(" by ")[0], row["side"], peer): row[f"allmlp/{peer}"]
        for row in rows
        for peer in ("pillow", "kornia")
    }
    columns = [(side, peer) for side in (32, 224) for peer in ("pillow", "kornia")]
    shown = [row for row in rows_of("augmentation.md", 5) if re.match(r"\d+\.", row[1])]
    assert len(shown) == 8
    for name, *cells in shown:
        for (side, peer), cell in zip(columns, cells, strict=True):
            rounding = 0.5 * 10 ** -len(cell.partition(".")[2])
            assert abs(float(cell) - found[name, side, peer]) <= rounding + 1e-9, (name, side, peer)


def test_speed_of_kans_is_that_of_the_record() -> None:
    """docs/models/kan.md: passes in units of their floor, by widths, batch and grid."""
    record = json.loads((RECORDS / "kan_speed.json").read_text("utf-8"))["rows"]
    found = {
        (str(r["widths"]), r["batch"], r["grid"], r["precision"], r["threads"]): r for r in record
    }
    columns = [
        (1, "forward_by_floor", "allmlp"),
        (2, "forward_by_floor", "allmlp"),
        (1, "step_by_floor", "allmlp"),
        (2, "step_by_floor", "allmlp"),
        (2, "step_by_floor", "torch"),
        (2, "step_by_floor", "pykan"),
    ]
    shown = [row for row in rows_of("models/kan.md", 7) if re.match(r"\[.*\], b \d", row[0])]
    assert len(shown) == 8
    for name, *cells in shown:
        widths, batch = re.findall(r"(\[.*\]), b (\d+)", name)[0]
        grid = int((re.findall(r"g = (\d+)", name) or ["5"])[0])
        precision = "bfloat16" if "bfloat16" in name else "float32"
        for cell, (threads, what, which) in zip(cells, columns, strict=True):
            if cell != "–":
                median = found[widths, int(batch), grid, precision, threads][what][which][1]
                rounding = 0.5 * 10 ** -len(cell.partition(".")[2])
                assert abs(float(cell) - median) <= rounding + 1e-3, (name, threads, what, which)


@pytest.mark.parametrize("name", ["accuracy", "speed", "kan_speed", "tables", "tokens"])
def test_pictures_of_records_are_up_to_date(name: str, tmp_path: Path) -> None:
    """Otherwise `python docs/draw_gallery.py`, which says how."""
    runpy.run_path(str(DOCS / "draw_gallery.py"))["draw"](name, tmp_path)
    drawn = (tmp_path / f"{name}.svg").read_bytes()
    assert drawn == (DOCS / "pictures" / f"{name}.svg").read_bytes()


def test_every_picture_of_the_gallery_names_its_script() -> None:
    text = (DOCS / "gallery.md").read_text(encoding="utf-8")
    scripts = {(DOCS / link).resolve() for link in re.findall(r"\]\(([\w./]+\.py)\)", text)}
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    sources = "\n".join(script.read_text(encoding="utf-8") for script in scripts)
    assert len(set(pictures)) == len(pictures) > 20
    for picture in pictures:
        stem = Path(picture).stem
        assert stem in sources or stem.rpartition("_")[0] in sources, picture


@pytest.mark.slow  # README's commands, which are run as well, are these and more
def test_commands_of_the_first_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = "".join(blocks(DOCS / "index.md", "sh")).splitlines()
    commands = [shlex.split(line) for line in lines if line.startswith("allmlp ")]
    assert len(commands) == 3
    for command in commands:
        main([part if part != "20" else "6" for part in command[1:]])  # epochs
    assert capsys.readouterr().out
    assert (tmp_path / "runs" / "first" / "explain.html").is_file()
