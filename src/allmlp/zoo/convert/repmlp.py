"""RepMLPNet weights of the authors and of mmpretrain, in two forms, and our own bare tensors.

Both have a training form and a deploy form, our `injected`: it keeps every batch norm but those of
the branches. mmpretrain rounds a quarter of the width to a multiple of 8 within its gates: at the
widths of T, B and L, the quarter itself.
Shapes tell every size of square images; of other images the size must be stated.
"""

import re
from dataclasses import replace
from typing import Literal

from allmlp.models.pyramid import PATCH
from allmlp.models.repmlp import RepMLPNetConfig
from allmlp.zoo.convert.format import State, square_grid
from allmlp.zoo.convert.pyramid import PyramidFormat
from allmlp.zoo.convert.renaming import with_bias

__all__ = ["REPMLPNET_FORMATS"]

_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def _config(
    ours: State, depths: tuple[int, ...], img_size: tuple[int, int] | None
) -> RepMLPNetConfig:
    units = [f"stages.{s}.blocks.0" for s in range(len(depths))]
    places = [ours[f"{unit}.mix.places.weight"] for unit in units]
    stem = ours["stem.conv.conv.weight" if "stem.conv.conv.weight" in ours else "stem.conv.weight"]
    kernels = [
        tensor.shape[-1]
        for key, tensor in sorted(ours.items())
        if re.fullmatch(rf"{re.escape(units[0])}\.mix\.branches\.\d+\.conv\.weight", key)
    ]
    form: Literal["training", "injected", "deploy"] = "training" if kernels else "injected"
    if "stem.conv.weight" in ours:
        form = "deploy"
    return RepMLPNetConfig(
        img_size=square_grid("RepMLPNet", places[0].shape[1], PATCH, img_size),
        in_chans=stem.shape[1],
        widths=tuple(len(ours[f"{unit}.mix.gate.fc2.bias"]) for unit in units),
        depths=depths,
        share_sets=tuple(len(weight) for weight in places),
        kernels=tuple(kernels) or (1, 3),
        num_classes=len(ours["head.bias"]) if "head.bias" in ours else 0,
        form=form,
    )


def _norm(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.{kind}": f"{theirs}.{kind}" for kind in _NORM}


def _conv(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.conv.weight": f"{theirs}.conv.weight"} | _norm(f"{ours}.norm", f"{theirs}.bn")


def _matrices(ours: State) -> State:
    """1 × 1 kernels as matrices, those over places one by one for each share-set."""
    shaped = {}
    for key, tensor in ours.items():
        if key.endswith("mix.places.weight"):
            tensor = tensor.reshape(-1, tensor.shape[1], tensor.shape[1])
        elif key.endswith("mix.places.bias"):
            places = ours[key.removesuffix("bias") + "weight"].shape[1]
            tensor = tensor.reshape(-1, places)
        elif ".gate." in key and tensor.ndim == 4:
            tensor = tensor.flatten(1)
        shaped[key] = tensor
    return shaped


def _unit(block: str, norm: str, gate: str, kernels: tuple[int, ...]) -> dict[str, str]:
    """Norms and layers of a gate are numbered after `norm` and `gate`."""
    mix = f"{block}.repmlp_block"
    names = _norm("mix_norm", f"{block}.{norm.format(1)}")
    names |= _norm("channel_norm", f"{block}.{norm.format(2)}")
    names |= with_bias({f"mix.gate.fc{i}": f"{mix}.gp.{gate.format(i)}" for i in (1, 2)})
    names |= _conv("fc1", f"{block}.ffn_block.ffn_fc1") | _conv("fc2", f"{block}.ffn_block.ffn_fc2")
    names["mix.places.weight"] = f"{mix}.fc3.weight"
    if not kernels:
        return names | {"mix.places.bias": f"{mix}.fc3.bias"}
    for i, kernel in enumerate(kernels):
        names |= _conv(f"mix.branches.{i}", f"{mix}.repconv{kernel}")
    return names | _norm("mix.norm", f"{mix}.fc3_bn")


_HEAD = with_bias({"head": "head"})

_TRAINING = PyramidFormat(
    format="RepMLP",
    family="repmlpnet",
    outside=_conv("stem.conv", "conv_embedding") | _norm("norm", "head_norm"),
    optional=(_HEAD,),
    down=_conv("conv", "embeds.{p}"),
    block=_unit("stages.{s}.{b}", "prebn{}", "fc{}", (1, 3)),
    sign="mix.norm.weight",
    config=_config,
    reshape=_matrices,
)
_DEPLOY = replace(
    _TRAINING,
    format="RepMLP (deploy)",
    block=_unit("stages.{s}.{b}", "prebn{}", "fc{}", ()),
    sign="mix.places.bias",
)
_MMPRETRAIN = replace(
    _TRAINING,
    format="mmpretrain",
    outside={"stem.conv.conv.weight": "backbone.patch_embed.projection.weight"}
    | _norm("stem.conv.norm", "backbone.patch_embed.norm")
    | _norm("norm", "backbone.final_norm"),
    optional=(with_bias({"head": "head.fc"}),),
    down=_conv("conv", "backbone.downsample_layers.{p}"),
    block=_unit("backbone.stages.{s}.{b}", "norm{}", "conv{}.conv", (1, 3)),
)
_MMPRETRAIN_DEPLOY = replace(
    _MMPRETRAIN,
    format="mmpretrain (deploy)",
    block=_unit("backbone.stages.{s}.{b}", "norm{}", "conv{}.conv", ()),
    sign="mix.places.bias",
)


def _own(names: PyramidFormat) -> PyramidFormat:
    """The same form under our names."""
    return replace(
        names,
        format="allmlp",
        outside={key: key for key in names.outside},
        down={key: f"stages.{{s}}.down.{key}" for key in names.down},
        block={key: f"stages.{{s}}.blocks.{{b}}.{key}" for key in names.block},
        reshape=lambda ours: ours,
    )


_OURS_DEPLOY = _own(
    replace(
        _TRAINING,
        outside=with_bias({"stem.conv": "", "norm": ""}),
        down=with_bias({"conv": ""}),
        block=with_bias(
            {
                "mix_norm": "",
                "mix.gate.fc1": "",
                "mix.gate.fc2": "",
                "mix.places": "",
                "fc1": "",
                "fc2": "",
            }
        ),
        sign="fc1.bias",
    )
)

REPMLPNET_FORMATS = (
    _own(_TRAINING),
    _own(_DEPLOY),
    _OURS_DEPLOY,
    _TRAINING,
    _DEPLOY,
    _MMPRETRAIN,
    _MMPRETRAIN_DEPLOY,
)
