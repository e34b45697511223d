import ast
import subprocess
import sys
from pathlib import Path

import pytest

import allmlp


def test_every_public_name_loads() -> None:
    for name in allmlp.__all__:
        assert getattr(allmlp, name) is not None
    assert set(allmlp.__all__) <= set(dir(allmlp))


def test_stub_and_module_offer_the_same_names() -> None:
    stub = ast.parse(Path(allmlp.__file__).with_suffix(".pyi").read_text())
    imported = {
        alias.asname: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    rooms = {name for name, home in imported.items() if home == "allmlp"}
    names = {name: home for name, home in imported.items() if home != "allmlp"}
    assert rooms == set(allmlp._ROOMS)
    assert names == allmlp._HOME


def test_every_room_but_the_command_line_is_offered() -> None:
    folder = Path(allmlp.__file__).parent
    rooms = {path.parent.name for path in folder.glob("*/__init__.py")}
    assert rooms - {"cli"} == set(allmlp._ROOMS)


def test_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'creat_model'"):
        allmlp.creat_model  # noqa: B018


@pytest.mark.parametrize("module", ["allmlp", "allmlp.cli", "allmlp.runs.config_tree"])
def test_importing_needs_no_torch(module: str) -> None:
    code = f"import {module}, sys; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["create_model", "fit", "load_run"])
def test_a_name_brings_only_what_its_first_call_needs(name: str) -> None:
    """Each of these takes longer to import than torch itself does."""
    heavy = ["sklearn", "pandas", "scipy.stats", "sympy", "matplotlib", "torch.distributed.tensor"]
    code = f"import allmlp, sys; allmlp.{name}; print(*sorted(set({heavy}) & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert answer.stdout.split() == []
