"""Whether a state dict is one of a given network."""

from collections.abc import Mapping

from torch import Tensor

from allmlp.errors import AllmlpError

__all__ = ["check_state"]


def check_state(own: Mapping[str, Tensor], given: Mapping[str, Tensor], source: str) -> None:
    """Require the same names and shapes.

    Args:
        own: state dict of the network.
        given: what shall be loaded into it.
        source: where that comes from, for the message.

    Raises:
        AllmlpError: missing keys (`-`), unexpected keys (`+`), or shapes that differ.
    """
    differences = [f"- {key}" for key in own if key not in given]
    differences += [f"+ {key}" for key in given if key not in own]
    differences += [
        f"{key}: {tuple(given[key].shape)} instead of {tuple(own[key].shape)}"
        for key in own
        if key in given and given[key].shape != own[key].shape
    ]
    if differences:
        shown = ", ".join(differences[:8]) + (", …" if len(differences) > 8 else "")
        raise AllmlpError(
            f"{source} does not fit this model, in {len(differences)} places "
            f"(- missing, + unexpected): {shown}"
        )
