"""gMLP weights of timm. Shapes tell every size; the epsilons are timm's."""

from dataclasses import replace

from allmlp.models.gmlp import GMLPConfig
from allmlp.zoo.convert.format import State, square_grid
from allmlp.zoo.convert.renaming import Renaming, with_bias

__all__ = ["GMLP_FORMATS"]


def _config(ours: State, depth: int, img_size: tuple[int, int] | None) -> GMLPConfig:
    width, in_chans, patch_size, _ = ours["stem.proj.weight"].shape
    num_tokens = ours["blocks.0.gate.token_linear.weight"].shape[1]
    return GMLPConfig(
        img_size=square_grid("gMLP", num_tokens, patch_size, img_size),
        in_chans=in_chans,
        patch_size=patch_size,
        width=width,
        depth=depth,
        hidden=ours["blocks.0.fc1.weight"].shape[0],
        num_classes=ours["head.weight"].shape[0] if "head.weight" in ours else 0,
    )


_TIMM = Renaming(
    format="timm",
    family="gmlp",
    outside=with_bias({"stem.proj": "stem.proj", "norm": "norm"}),
    optional=(with_bias({"head": "head"}),),
    block=with_bias(
        {
            "norm": "norm",
            "fc1": "mlp_channels.fc1",
            "gate.norm": "mlp_channels.gate.norm",
            "gate.token_linear": "mlp_channels.gate.proj",
            "fc2": "mlp_channels.fc2",
        }
    ),
    sign="gate.token_linear.weight",
    config=_config,
)

_OURS = replace(_TIMM, format="allmlp", block={key: key for key in _TIMM.block})

GMLP_FORMATS = (_OURS, _TIMM)
