"""A model in a folder: `model.safetensors` beside `model.json`, which rebuilds and feeds it."""

import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn

from allmlp.data import Preprocess
from allmlp.errors import AllmlpError
from allmlp.files import replace_file, write_text
from allmlp.layers.state import check_state
from allmlp.models.contract import VisionModel
from allmlp.zoo.registry import build_vision_model, family_of, parse_config
from allmlp.zoo.tensors import read_tensors

__all__ = [
    "RECORD",
    "WEIGHTS",
    "ModelRecord",
    "StoredModel",
    "load_state",
    "read_record",
    "read_stored",
    "write_record",
    "write_weights",
]

WEIGHTS = "model.safetensors"
RECORD = "model.json"
# raised when a reader of the old form could misread the new one
SCHEMA = 1


@dataclass(frozen=True, eq=False)
class ModelRecord:
    """What `model.json` holds."""

    name: str  # of the variant it was built from, or of the file it came from
    family: str
    config: Any
    preprocess: Preprocess | None
    classes: tuple[str, ...] | None

    def build(self) -> VisionModel:
        """The model with fresh weights."""
        return build_vision_model(self.family, asdict(self.config))


@dataclass(frozen=True, eq=False)
class StoredModel:
    """What the two files hold."""

    source: str  # the weight file, for messages
    record: ModelRecord
    state: dict[str, Tensor]

    def build(self) -> VisionModel:
        """The vision model with its weights.

        Raises:
            AllmlpError: the two files do not fit together.
        """
        model = self.record.build()
        load_state(model, self.state, self.source)
        return model


def write_record(
    folder: Path,
    name: str,
    model: nn.Module,
    preprocess: Preprocess | None,
    classes: Sequence[str] | None,
) -> None:
    """Write `model.json`: enough to rebuild the model and to prepare its input."""
    config: Any = model.config
    record = {
        "schema": SCHEMA,
        "name": name,
        "family": family_of(model),
        "config": asdict(config),
        "preprocess": asdict(preprocess) if preprocess else None,
        "classes": list(classes) if classes else None,
    }
    # numpy's integers are sizes as well
    content = json.dumps(record, indent=2, ensure_ascii=False, default=operator.index)
    write_text(folder / RECORD, content + "\n")


def write_weights(folder: Path, state: Mapping[str, Tensor]) -> None:
    """Write `model.safetensors`."""
    with replace_file(folder / WEIGHTS) as file:
        file.write(save({name: tensor.contiguous() for name, tensor in state.items()}))


def read_record(folder: Path) -> ModelRecord:
    """Read `model.json`.

    Raises:
        AllmlpError: it is missing, damaged, or written by a newer allmlp.
    """
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise TypeError("no object")
        if record.get("schema") not in (SCHEMA, None):
            raise AllmlpError(
                f"{path} has schema {record['schema']}, this allmlp reads {SCHEMA}; "
                "use the allmlp that wrote it"
            )
        preprocess, classes = record["preprocess"], record["classes"]
        return ModelRecord(
            name=record["name"],
            family=record["family"],
            config=parse_config(record["family"], record["config"]),
            preprocess=Preprocess.from_dict(preprocess) if preprocess else None,
            classes=tuple(classes) if classes else None,
        )
    except FileNotFoundError:
        raise AllmlpError(
            f"{folder} holds no model: it has no {RECORD}; give the folder of a run or "
            "of a saved model"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, IndexError) as e:
        raise AllmlpError(f"{path} is damaged ({e}); use another copy") from e


def read_stored(folder: Path) -> StoredModel:
    """Read both files.

    Raises:
        AllmlpError: one is missing, damaged, or written by a newer allmlp.
    """
    weights = folder / WEIGHTS
    return StoredModel(str(weights), read_record(folder), read_tensors(weights))


def load_state(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load a whole state dict, or say what is wrong with it.

    Raises:
        AllmlpError: missing keys (`-`), unexpected keys (`+`), or shapes that differ.
    """
    check_state(model.state_dict(), state, source)
    model.load_state_dict(state)
