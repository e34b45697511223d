"""Every block of the README runs, in order, in one empty folder; and its claims hold."""

import re
import shlex
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from allmlp.cli import main
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
