"""CS-Mixer weights of the first author's development repository, and our own bare tensors.

Shapes tell every size but the image's, which is taken as 224 pixels unless stated.
"""

from dataclasses import replace

from allmlp.errors import AllmlpError
from allmlp.models.csmixer import CSMixerConfig
from allmlp.zoo.convert.format import State
from allmlp.zoo.convert.pyramid import PyramidFormat
from allmlp.zoo.convert.renaming import with_bias

__all__ = ["CSMIXER_FORMATS"]


def _config(
    ours: State, depths: tuple[int, ...], img_size: tuple[int, int] | None
) -> CSMixerConfig:
    mixers = [f"stages.{s}.blocks.0.mix" for s in range(len(depths))]
    heads = tuple(len(ours[f"{mix}.weight"]) for mix in mixers)
    compressed = [len(ours[f"{mix}.down.bias"]) for mix in mixers]
    ranks = tuple(f // m for f, m in zip(compressed, heads, strict=True))
    sides = [
        round((ours[f"{mix}.bias"].shape[1] / r) ** 0.5)
        for mix, r in zip(mixers, ranks, strict=True)
    ]
    config = CSMixerConfig(
        img_size=img_size or (224, 224),
        in_chans=ours["stem.convs.0.weight"].shape[1],
        width=len(ours["stem.norm.bias"]),
        depths=depths,
        heads=heads,
        ranks=ranks,
        group_side=max(sides),
        num_classes=len(ours["head.bias"]) if "head.bias" in ours else 0,
    )
    if sides != [config.side(stage) for stage in range(len(depths))]:
        raise AllmlpError(
            f"this CS-Mixer file mixes groups of {sides} places a side, images of "
            f"{config.img_size[0]}x{config.img_size[1]} would have others; state the size it was "
            "made for"
        )
    return config


_CONVS = {f"convs.{i}": f"projs.{i}" for i in range(4)}
_OUTSIDE = {f"stem.{ours}": f"patch_embed.{to}" for ours, to in _CONVS.items()}
_LAYERS = {
    "mix_norm": "norm1",
    "mix.gate": "attn.to_u",
    "mix.down": "attn.to_v",
    "mix": "attn",
    "mix.up": "attn.v_proj",
    "mix.out": "attn.proj",
    "channel_norm": "norm2",
    "channel_mlp.fc1": "mlp.fc1",
    "channel_mlp.fc2": "mlp.fc2",
}
_DOWN = {"norm": "norm", "convs.0": "reductions.0", "convs.1": "reductions.1"}

_DEVELOPMENT = PyramidFormat(
    format="CS-Mixer (development)",
    family="csmixer",
    outside=with_bias({**_OUTSIDE, "stem.norm": "patch_embed.norm", "norm": "norm"}),
    optional=(with_bias({"head": "head"}),),
    down=with_bias({ours: f"layers.{{p}}.downsample.{to}" for ours, to in _DOWN.items()}),
    block=with_bias({ours: f"layers.{{s}}.blocks.{{b}}.{to}" for ours, to in _LAYERS.items()}),
    sign="mix.gate.weight",
    config=_config,
)
_OURS = replace(
    _DEVELOPMENT,
    format="allmlp",
    outside={key: key for key in _DEVELOPMENT.outside},
    down={key: f"stages.{{s}}.down.{key}" for key in _DEVELOPMENT.down},
    block={key: f"stages.{{s}}.blocks.{{b}}.{key}" for key in _DEVELOPMENT.block},
)

CSMIXER_FORMATS = (_OURS, _DEVELOPMENT)
