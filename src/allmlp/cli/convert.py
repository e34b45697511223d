"""`allmlp convert`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from allmlp.errors import AllmlpError

__all__ = ["convert"]


def convert(
    file: Path,
    /,
    *,
    to: Path,
    naming: Annotated[Literal["allmlp", "timm"], Parameter(name="--as")] = "allmlp",
    img_size: Annotated[tuple[int, int] | None, Parameter(consume_multiple=True)] = None,
) -> None:
    """Turn somebody's weight file into a folder with model.safetensors and model.json.

    Parameters
    ----------
    file:
        safetensors, npz or PyTorch file of a known format, a run, or a converted folder.
    to:
        Folder to create.
    naming:
        Whose names the tensors shall bear; timm's go without model.json.
    img_size:
        Height and width in pixels, where the file is not for square images.
    """
    if to.exists():
        raise AllmlpError(f"{to} exists; choose another folder or delete it")

    from dataclasses import asdict

    from allmlp.zoo.convert.mixer import to_timm
    from allmlp.zoo.pretrained import read_weights
    from allmlp.zoo.registry import build_model, name_of
    from allmlp.zoo.stored import load_state, write_record, write_weights

    weights = read_weights(file, img_size)
    if naming == "timm" and weights.family != "mixer":
        raise AllmlpError(
            f"{file} holds a {weights.family}; timm's names are written for the mixer alone"
        )
    model = build_model(weights.family, asdict(weights.config))
    load_state(model, weights.state, str(file))  # a damaged file is found before anything is made
    name = weights.name or name_of(weights.family, weights.config)
    for theirs, ours in weights.renamed:
        print(f"{theirs} -> {ours}" if theirs != ours else theirs)
    print(f"{file}: {len(weights.state)} tensors of {weights.format}, {name}")
    for note in weights.notes:
        print(f"note: {note}")
    to.mkdir(parents=True)
    if naming == "timm":
        write_weights(to, to_timm(weights.state))
    else:
        write_weights(to, weights.state)
        write_record(to, name, model, weights.preprocess, weights.classes)
    print(f"written to {to}")
