"""Every block of the README runs, in order, in one empty folder; and its claims hold."""

import json
import re
import shlex
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from allmlp.cli import main
from allmlp.layers import ACTIVATIONS, BASES
from allmlp.layers.vector_norm import VECTOR_NORMS
from allmlp.training import SCHEDULES
from allmlp.zoo import list_models

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)


def test_commands_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    commands = [
        shlex.split(line, comments=True)
        for kind, block in BLOCKS
        if kind == "sh"
        for line in block.splitlines()
        if line.startswith("allmlp ")
    ]
    assert len(commands) >= 6
    for command in commands:
        main(command[1:])
    capsys.readouterr()


@pytest.mark.parametrize("block", [code for kind, code in BLOCKS if kind == "python"])
def test_python_runs(
    block: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    shown = capsys.readouterr().out.splitlines()
    # `print(...)  # this` promises what is printed
    promised = re.findall(r"^print\(.*\)  # (.*)$", block, flags=re.MULTILINE)
    assert [line for line in shown if line in promised] == promised


def test_every_make_target_named_exists() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for text in (README, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        assert set(re.findall(r"\bmake ([a-z-]+)", text)) <= set(targets)


def test_every_link_leads_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs" / "design.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_family_has_a_row() -> None:
    for family in {name.split("_")[0] for name in list_models()}:
        assert re.search(rf"`{family}[_`]", README), family


def test_one_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == version("allmlp")
    assert version("allmlp") in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


SPEED_RECORD = ROOT / "benchmarks" / "results" / "vision_speed_cpu.json"
SPEEDS = json.loads(SPEED_RECORD.read_text(encoding="utf-8"))["rows"]
SPEED = r"^\| ((?:Mixer|ResMLP|gMLP|ConvMixer)-\S+) \| (\d.+?) \| (\d.+? )?\|$"


def test_speeds_are_those_of_the_record() -> None:
    stated = re.findall(SPEED, README, flags=re.MULTILINE)
    assert len(stated) == len({row["what"].split()[0] for row in SPEEDS})
    for net, forward, training in stated:
        name = net.lower().replace("-", "_").replace("/", "")
        name = "convmixer_1024_20" if name.startswith("convmixer") else name
        own = [row for row in SPEEDS if row["what"].startswith(f"{name} ")]
        assert {row["machine"]["threads"] for row in own} == {2}  # as the text above them says
        for kind, cell in (("forward", forward), ("training step", training)):
            medians = [row["ours/timm"][1] for row in own if f" {kind}," in row["what"]]
            found = [float(number) for number in re.findall(r"\d\.\d\d", cell)]
            expected = [min(medians), max(medians)] if len(medians) > 1 else medians
            # two digits are stated
            assert found == pytest.approx(expected, abs=0.0051), (net, kind)


def test_speeds_against_timms_default_are_those_of_the_record() -> None:
    ours = [row for row in SPEEDS if row["gelu"] == "tanh"]

    def ratios(kind: str, dtype: str) -> list[float]:
        found = [r["ours/timm default"] for r in ours if kind in r["what"] and dtype in r["what"]]
        return sorted(found)

    text = " ".join(README.split())
    fp32, bf16 = ratios("forward", "float32"), ratios("forward", "bfloat16")
    assert f"{fp32[0]:.2f} to {fp32[-1]:.2f} of timm's time in fp32" in text
    assert f"{bf16[0]:.2f} to {bf16[-1]:.2f} in bf16" in text
    step = [*ratios("training", "float32"), *ratios("training", "bfloat16")]
    assert f"training steps {step[0]:.2f} and {step[1]:.2f}" in text
    shares = [row for row in SPEEDS if "products/ours" in row]
    for dtype, words in (("float32", "pass in fp32"), ("bfloat16", "in bf16: little")):
        found = [row["products/ours"] for row in shares if dtype in row["what"]]
        assert f"{min(found):.2f} to {max(found):.2f}" in text.split(words)[0][-60:], dtype


def test_kinds_are_as_many_as_it_says() -> None:
    norms = [name for name in VECTOR_NORMS if name != "none"]
    told = {"thirteen bases": BASES, "five norms": norms, "fourteen activations": ACTIVATIONS}
    told["eleven schedules"] = [*SCHEDULES, "plateau"]
    numbers = {"five": 5, "eleven": 11, "thirteen": 13, "fourteen": 14}
    for words, kinds in told.items():
        assert words in README
        assert len(kinds) == numbers[words.split()[0]], words


def test_no_row_of_a_table_comes_twice() -> None:
    firsts = re.findall(r"^\| ([^|]+) \|", README, flags=re.MULTILINE)
    assert len(firsts) > 30
    assert {first for first in firsts if firsts.count(first) > 1} == set()


def test_what_was_measured_is_what_the_records_say() -> None:
    text = " ".join(README.split())

    def read(name: str) -> Any:
        return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text("utf-8"))

    digits, mnist = read("digits"), read("mnist")
    cifar = {row["recipe"]: row for row in read("cifar10_recipe")["table"]}
    (convmixer,) = read("cifar10_convmixer")["table"]
    seconds = [row["seconds"] for row in digits["rows"]]
    largest = read("theory_regions")["growth"][-1]
    claims = [
        f"{100 * digits['mean_test_accuracy']:.1f} % on the test part, mean of five seeds, worst "
        f"{100 * digits['worst_test_accuracy']:.1f} %",
        f"{min(seconds):.0f} to {max(seconds):.0f} s on one thread",
        f"{100 * mnist['test_accuracy']:.1f} % on the test part, one seed | "
        f"{round(mnist['training_images_per_second']['median'], -1):,} images/s",
        f"26 epochs | {100 * convmixer['mean_test_accuracy']:.1f} %",
        f"{100 * cifar['cifar10_cpu']['mean_test_accuracy']:.1f} % beside "
        f"{100 * cifar['cifar10_mixer_nano']['mean_test_accuracy']:.1f} %",
        f"{largest['regions']:,} regions in {largest['seconds']:.0f} s and "
        f"{largest['peak_gib']:.1f} GiB",
        f"the optimum of 200 starts, {read('scaling_fit')['ratio_median']:.0f} times as fast",
    ]
    kans = {row["name"]: f"{100 * row['test_accuracy']:.1f} %" for row in read("kan_mnist")["rows"]}
    claims.append(
        f"KAN {kans['KAN']}, MLP of equal parameters {kans['MLP, equal parameters']}; KAN-Mixer "
        f"{kans['KAN-Mixer']}, Mixer of equal parameters {kans['Mixer, equal parameters']}"
    )
    assert [claim for claim in claims if claim not in text] == []
