"""allmlp: all-MLP networks, correct, fast and explainable.

The names below load on first use, so that `import allmlp` costs nothing: torch is imported by the
first name that needs it.
"""

import importlib
from typing import Any

# public name -> the module that defines it. __init__.pyi says the same to type checkers, and
# tests/test_facade.py compares the two.
_HOME: dict[str, str] = {
    "AllmlpError": "allmlp.errors",
    "BilinearMLP": "allmlp.models",
    "KAN": "allmlp.models",
    "MLP": "allmlp.models",
    "create_model": "allmlp.zoo",
    "fit": "allmlp.training",
    "list_models": "allmlp.zoo",
    "load_run": "allmlp.runs.run",
    "model_info": "allmlp.zoo",
    "train": "allmlp.runs.train",
}
_ROOMS: tuple[str, ...] = (
    "bench",
    "data",
    "deploy",
    "estimators",
    "interpret",
    "layers",
    "models",
    "ops",
    "report",
    "runs",
    "scaling",
    "theory",
    "training",
    "zoo",
)

__all__ = ["__version__", *_HOME, *_ROOMS]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("allmlp")
    if name in _ROOMS:
        return importlib.import_module(f"allmlp.{name}")
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value  # found without this detour next time
        return value
    raise AttributeError(f"module 'allmlp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
