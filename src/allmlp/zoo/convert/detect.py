"""Find out whose weights a file holds."""

import re
from collections.abc import Mapping

from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.zoo.convert.bilinear import BILINEAR_FORMATS
from allmlp.zoo.convert.convmixer import CONVMIXER_FORMATS
from allmlp.zoo.convert.csmixer import CSMIXER_FORMATS
from allmlp.zoo.convert.cyclemlp import CYCLEMLP_FORMATS
from allmlp.zoo.convert.efficient_kan import EFFICIENT_KAN
from allmlp.zoo.convert.fast_kan import FAST_KAN
from allmlp.zoo.convert.format import Converted, Converter, Settings
from allmlp.zoo.convert.gmlp import GMLP_FORMATS
from allmlp.zoo.convert.kan_parts import KAN_PARTS
from allmlp.zoo.convert.mixer import MIXER_FORMATS
from allmlp.zoo.convert.pykan import PYKAN_FORMATS
from allmlp.zoo.convert.repmlp import REPMLPNET_FORMATS
from allmlp.zoo.convert.resmlp import RESMLP_FORMATS
from allmlp.zoo.convert.scaling_mlp import SCALING_MLP_FORMATS
from allmlp.zoo.convert.series_kan import SERIES_FORMATS

__all__ = ["CONVERTERS", "convert_state"]

CONVERTERS: tuple[Converter, ...] = (
    *MIXER_FORMATS,
    *CONVMIXER_FORMATS,
    *SCALING_MLP_FORMATS,
    *RESMLP_FORMATS,
    *GMLP_FORMATS,
    *BILINEAR_FORMATS,
    *CYCLEMLP_FORMATS,
    *CSMIXER_FORMATS,
    *REPMLPNET_FORMATS,
    *PYKAN_FORMATS,
    EFFICIENT_KAN,
    FAST_KAN,
    *SERIES_FORMATS,
    KAN_PARTS,
)


def convert_state(
    state: Mapping[str, Tensor],
    img_size: tuple[int, int] | None = None,
    settings: Settings | None = None,
) -> Converted:
    """Our tensors from somebody's state dict.

    Args:
        state: tensors by their keys; `module.` of a wrapped model is taken off.
        img_size: pixels (height, width), where the weights depend on it and are for no square.
        settings: of a settings file beside the weights (pykan has one).

    Raises:
        AllmlpError: nobody's format that we know, or a damaged file of one.
    """
    bare = {re.sub(r"^(module|model)\.", "", key): tensor for key, tensor in state.items()}
    for converter in CONVERTERS:
        if converter.matches(bare):
            return converter.convert(bare, img_size, settings or {})
    # several converters may read the forms of one format
    known = ", ".join(dict.fromkeys(f"{c.family} of {c.format}" for c in CONVERTERS))
    shown = ", ".join(list(bare)[:3]) + (", …" if len(bare) > 3 else "")
    raise AllmlpError(
        f"no known network has these {len(bare)} tensors ({shown}); known are: {known}"
    )
