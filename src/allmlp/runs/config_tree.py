"""The config tree as nested mappings: from YAML and dotted paths, checked, and back.

A mapping names only what differs from the defaults. Needs no torch.
"""

import dataclasses
import itertools
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from allmlp.errors import AllmlpError, shown, unknown_name
from allmlp.runs.config import SHORT_NAMES, Config

__all__ = [
    "build_config",
    "describe_fields",
    "flatten",
    "read_yaml",
    "resolve_config",
    "set_path",
    "to_yaml",
]

Node = TypeVar("Node")
Tree = dict[str, Any]

# of values in a YAML file
_MOST, _DEEPEST = 10_000, 20
# of its text: yaml's time grows with the square of open brackets
_LONGEST, _MOST_BRACKETS = 2**20, 1000


def read_yaml(path: Path) -> Tree:
    """The mapping that a YAML file holds; an empty file is an empty mapping.

    Raises:
        AllmlpError: no such file, no YAML, or no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if len(text) > _LONGEST or text.count("[") + text.count("{") > _MOST_BRACKETS:
            raise AllmlpError(
                f"{path} is no configuration: more than {_LONGEST:,} letters or "
                f"{_MOST_BRACKETS:,} brackets; give the file of a run or a recipe"
            )
        tree = yaml.safe_load(text)
    except FileNotFoundError:
        raise AllmlpError(
            f"no config file at {path}; give the config.yaml of a run, or a recipe"
        ) from None
    except (OSError, AllmlpError):
        raise
    # `!!int x` and its like, and values nested without end, make yaml raise nearly anything
    except Exception as e:
        reason = " ".join(str(e).split())[:300] or type(e).__name__
        raise AllmlpError(f"{path} is no valid YAML: {reason}; mend it there") from e
    if not _is_small(tree):
        raise AllmlpError(
            f"{path} holds more than {_MOST:,} values, or deeper than {_DEEPEST}, aliases written "
            "out; a configuration has some dozens"
        )
    if not isinstance(tree, dict | None):
        raise AllmlpError(f"{path} must hold a mapping such as 'train: {{epochs: 5}}'")
    return tree or {}


def set_path(tree: Tree, path: str, value: Any) -> None:
    """Set `train.warmup`, say, in nested mappings, making the inner ones on the way.

    Raises:
        AllmlpError: an inner node of the path is a plain value.

    Example:
        >>> tree = {"train": {"epochs": 5}}
        >>> set_path(tree, "train.warmup", 1)
        >>> tree
        {'train': {'epochs': 5, 'warmup': 1}}
    """
    *sections, last = path.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise AllmlpError(f"{path}: {section} is a value, not a section; set {section} itself")
    tree[last] = value


def build_config(tree: Mapping[str, Any]) -> Config:
    """Check a mapping against the tree and fill in the defaults.

    Raises:
        AllmlpError: an unknown key (the nearest is named), or a value of the wrong type.

    Example:
        >>> build_config({"train": {"epochs": 5}}).train.epochs
        5
        >>> build_config({"train": {"epcohs": 5}})
        Traceback (most recent call last):
        allmlp.errors.AllmlpError: unknown key 'train.epcohs'; did you mean train.epochs?
    """
    return _node(Config, tree, "")


def resolve_config(
    config: Config | Mapping[str, Any] | str | Path | None, settings: Mapping[str, Any]
) -> Config:
    """The whole configuration from what somebody wants different.

    Args:
        config: a whole `Config`, nested mappings, the path of a YAML file, or None.
        settings: short names (`SHORT_NAMES`); they win over `config`.

    Raises:
        AllmlpError: an unknown name, a value of the wrong type, or no such file.

    Example:
        >>> resolve_config({"train": {"epochs": 5}}, {"lr": 0.1}).train.lr
        0.1
    """
    if isinstance(config, Config):
        if settings:
            raise AllmlpError("short settings go with mappings or files, not with a whole Config")
        return config
    tree = read_yaml(Path(config)) if isinstance(config, str | Path) else _copy(config or {})
    for name, value in settings.items():
        if name not in SHORT_NAMES:
            raise AllmlpError(unknown_name("setting", name, SHORT_NAMES))
        set_path(tree, SHORT_NAMES[name], value)
    return build_config(tree)


def to_yaml(config: Config) -> str:
    """The whole tree, every default written out; `build_config` of it gives the same config."""
    # YAML has no tuples: lists come back as tuples by the field's type
    plain = dataclasses.asdict(config, dict_factory=_plain)
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)


def flatten(config: Config) -> dict[str, Any]:
    """Every leaf of the tree by its dotted path.

    Example:
        >>> flatten(build_config({}))["train.epochs"]
        100
    """
    return {
        f"{section.name}.{leaf.name}": getattr(getattr(config, section.name), leaf.name)
        for section in dataclasses.fields(config)
        for leaf in dataclasses.fields(getattr(config, section.name))
    }


def describe_fields() -> Iterator[tuple[str, Any, str]]:
    """Every leaf of the tree: dotted path, default, and what it is for."""
    for section in dataclasses.fields(Config):
        node = section.default_factory()
        for leaf in dataclasses.fields(node):
            yield f"{section.name}.{leaf.name}", getattr(node, leaf.name), leaf.metadata["help"]


def _is_small(tree: Any) -> bool:
    """Whether a tree can be written out: aliases may make few lines endless."""
    pending = [(tree, 0)]
    for count in itertools.count():
        if not pending:
            return True
        node, depth = pending.pop()
        if count > _MOST or depth > _DEEPEST:
            return False
        if isinstance(node, dict):
            pending += ((inner, depth + 1) for inner in node.values())
        elif isinstance(node, list | tuple | set):
            pending += ((inner, depth + 1) for inner in node)
    raise AssertionError("counting has no end")


def _copy(tree: Mapping[str, Any]) -> Tree:
    return {key: _copy(v) if isinstance(v, Mapping) else v for key, v in tree.items()}


def _plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in items}


def _node(kind: type[Node], tree: Any, path: str) -> Node:
    if not isinstance(tree, Mapping):
        raise AllmlpError(f"{path} must be a section with keys, got {shown(tree)}")
    hints = get_type_hints(kind)
    values = {}
    for key, value in tree.items():
        where = f"{path}.{key}" if path else str(key)
        if key not in hints:
            if not path and key in SHORT_NAMES:  # a flag's name where the tree wants a section
                raise AllmlpError(f"unknown key {key!r}; it is {SHORT_NAMES[key]} here")
            prefix = f"{path}." if path else ""
            raise AllmlpError(unknown_name("key", str(key), hints, prefix=prefix))
        if dataclasses.is_dataclass(hints[key]):
            values[key] = _node(hints[key], value, where)
        else:
            values[key] = _leaf(hints[key], value, where)
    return kind(**values)


def _leaf(hint: Any, value: Any, path: str) -> Any:
    for option in get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,):
        matched, result = _match(option, value)
        if matched:
            return result
    raise AllmlpError(f"{path} must be {_spell(hint)}, got {shown(value)}")


def _match(hint: Any, value: Any) -> tuple[bool, Any]:
    """Whether `value` is of the type `hint`, and the value in that type."""
    if get_origin(hint) is Literal:
        return value in get_args(hint), value
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple) or len(value) != len(get_args(hint)):
            return False, value
        matches = [_match(part, v) for part, v in zip(get_args(hint), value, strict=True)]
        return all(matched for matched, _ in matches), tuple(result for _, result in matches)
    if get_origin(hint) is dict:
        # YAML reads the class 7 as a number; what {null: 1} or {true: 1} means nobody knows
        if not isinstance(value, dict) or not all(type(key) in (str, int) for key in value):
            return False, value
        return True, {str(key): held for key, held in value.items()}
    if hint is float:
        # YAML 1.1 reads 1e-3 as text: it wants 1.0e-3
        try:
            return not isinstance(value, bool), float(value)
        except (TypeError, ValueError, OverflowError):
            return False, value
    return type(value) is hint, value


def _spell(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_spell(option) for option in get_args(hint))
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    if get_origin(hint) is tuple:
        return "[height, width]" if get_args(hint)[0] is int else "[smallest, largest]"
    if get_origin(hint) is dict:
        return "a mapping of names"
    names = {int: "an integer", float: "a number", str: "text", bool: "true or false"}
    return names.get(hint, "null")
