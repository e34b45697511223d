"""CycleMLP weights of the authors (B1 to B5, with head or dense) and our own bare tensors.

What shapes cannot tell is the stepsize: the authors' files keep the displacements of every layer,
which are held against the pattern and then dropped. Our own tensors are taken for a cycle of 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.models.cyclemlp import CycleMLPConfig
from allmlp.ops.shift import cyclic_pattern
from allmlp.zoo.convert.format import Converted, Settings, State
from allmlp.zoo.convert.pyramid import PyramidFormat
from allmlp.zoo.convert.renaming import with_bias

__all__ = ["CYCLEMLP_FORMATS", "CycleMLPFiles"]


@dataclass(frozen=True)
class CycleMLPFiles:
    """A format whose files hold displacements beside the weights."""

    names: PyramidFormat

    @property
    def format(self) -> str:
        """Whose format, as printed."""
        return self.names.format

    @property
    def family(self) -> str:
        """A key of `zoo.registry.FAMILIES`."""
        return self.names.family

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether the stem and the first block bear these names."""
        return self.names.matches(state)

    def convert(
        self,
        state: Mapping[str, Tensor],
        img_size: tuple[int, int] | None,
        settings: Settings,
    ) -> Converted:
        """Check and drop the displacements, rename, and infer the sizes.

        Raises:
            AllmlpError: tensors are missing or left over, or displacements that are no cycle.
        """
        offsets = {key: tensor for key, tensor in state.items() if key.endswith(".offset")}
        weights = {key: tensor for key, tensor in state.items() if key not in offsets}
        converted = self.names.convert(weights, img_size, settings)
        if not offsets:
            return converted
        steps = {_stepsize(key, tensor) for key, tensor in offsets.items()}
        if len(steps) != 1:
            raise AllmlpError(
                f"this {self.format} file mixes stepsizes {sorted(steps)}; a CycleMLP has one"
            )
        notes = (*converted.notes, f"{len(offsets)} tensors of displacements, a cycle, dropped")
        return replace(
            converted, config=replace(converted.config, stepsize=steps.pop()), notes=notes
        )


def _stepsize(key: str, offset: Tensor) -> int:
    """Of a buffer (1, 2c, 1, 1) with rows and columns of each channel by turns."""
    pairs = offset.reshape(-1, 2)
    along_w = ".sfc_h." in key  # the names are crossed: sfc_h has the kernel (1, 3)
    step = 2 * int(pairs.abs().max()) + 1
    steps = (1, step) if along_w else (step, 1)
    expected = torch.tensor(cyclic_pattern(len(pairs), steps).offsets)
    if not torch.equal(pairs.cpu().double(), expected.double()):
        raise AllmlpError(
            f"{key} holds displacements that are no cycle of {step}; this file is of a network "
            "that CycleMLP does not cover"
        )
    return step


def _config(
    ours: State, depths: tuple[int, ...], img_size: tuple[int, int] | None
) -> CycleMLPConfig:
    first = [f"stages.{s}.blocks.0" for s in range(len(depths))]
    widths = [len(ours[f"{name}.mix.proj.bias"]) for name in first]
    hidden = [len(ours[f"{name}.channel_mlp.fc1.bias"]) for name in first]
    stem = (
        ours["stem.conv.weight"] if "stem.conv.weight" in ours else ours["stem.embed.conv.weight"]
    )
    return CycleMLPConfig(
        img_size=img_size or (224, 224),
        in_chans=stem.shape[1],
        widths=tuple(widths),
        depths=depths,
        mlp_ratios=tuple(m // d for m, d in zip(hidden, widths, strict=True)),
        num_classes=len(ours["head.bias"]) if "head.bias" in ours else 0,
        skeleton="pvt" if "stem.conv.weight" in ours else "swin",
        dense="out_norms.0.weight" in ours,
    )


def _matrices(ours: State) -> State:
    """1 × 1 kernels as matrices."""
    ends = ("along_w.weight", "along_h.weight")
    return {key: t.flatten(1) if key.endswith(ends) else t for key, t in ours.items()}


_MIX = with_bias({"mix.along_w": "", "mix.along_h": "", "mix.proj": ""})
_GATE = with_bias({"mix.fc1": "", "mix.fc2": ""})
_REST = with_bias(
    {"mix_norm": "", "channel_norm": "", "channel_mlp.fc1": "", "channel_mlp.fc2": ""}
)
_BLOCK = ("mix.channel.weight", *_MIX, *_REST)


def _own(*keys: str) -> dict[str, str]:
    return {key: f"stages.{{s}}.blocks.{{b}}.{key}" for key in keys}


_NORMS = [f"out_norms.{s}" for s in range(4)]
_HEAD, _NORM = with_bias({"head": "head"}), with_bias({"norm": "norm"})

_OURS_PVT = PyramidFormat(
    format="allmlp",
    family="cyclemlp",
    outside=with_bias({"stem.conv": "stem.conv"}),
    optional=(_HEAD, _NORM, with_bias({name: name for name in _NORMS})),
    down=with_bias({"conv": "stages.{s}.down.conv"}),
    block=_own(*_BLOCK, *_GATE),
    sign="mix.along_w.weight",
    config=_config,
)
_OURS_SWIN = replace(
    _OURS_PVT,
    outside=with_bias({"stem.embed.conv": "stem.embed.conv", "stem.norm": "stem.norm"}),
    down=with_bias({"norm": "stages.{s}.down.norm"})
    | {"linear.weight": "stages.{s}.down.linear.weight"},
    block=_own(*_BLOCK),
)

# the names are crossed: sfc_h moves along the width
_LAYERS = {
    "mix_norm": "norm1",
    "mix.along_w": "attn.sfc_h",
    "mix.along_h": "attn.sfc_w",
    "mix.fc1": "attn.reweight.fc1",
    "mix.fc2": "attn.reweight.fc2",
    "mix.proj": "attn.proj",
    "channel_norm": "norm2",
    "channel_mlp.fc1": "mlp.fc1",
    "channel_mlp.fc2": "mlp.fc2",
}
_OFFICIAL = CycleMLPFiles(
    replace(
        _OURS_PVT,
        format="CycleMLP",
        outside=with_bias({"stem.conv": "patch_embed.proj"}),
        optional=(
            _HEAD,
            _NORM,
            with_bias({f"out_norms.{s}": f"norm{2 * s}" for s in range(4)}),
        ),
        down=with_bias({"conv": "network.{odd}.proj"}),
        block=with_bias({ours: f"network.{{even}}.{{b}}.{to}" for ours, to in _LAYERS.items()})
        | {"mix.channel.weight": "network.{even}.{b}.attn.mlp_c.weight"},
        reshape=_matrices,
    )
)

CYCLEMLP_FORMATS = (_OURS_PVT, _OURS_SWIN, _OFFICIAL)
