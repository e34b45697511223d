"""Docs pages: their Python runs, their tables are true, their pictures and links exist."""

import dataclasses
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from allmlp.runs.config import Config
from allmlp.training import OPTIMIZERS, SCHEDULES
from allmlp.zoo import list_models

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_pictures_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize(
    "block", [b for page in PAGES for b in blocks(page, "python")], ids=lambda b: b[-40:].strip()
)
def test_python_runs(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "docs", "exec"), {})
    assert capsys.readouterr().out


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
