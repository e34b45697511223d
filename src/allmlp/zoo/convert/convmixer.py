"""ConvMixer weights of locuslab, timm and mmpretrain.

What shapes cannot tell is the activation and the image size. The released 768/32 weights were
trained with ReLU, all others with GELU; patches of 7 pixels or more belong to images of 224 pixels
(ImageNet), smaller ones to 32 (CIFAR).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from allmlp.models.convmixer import ConvMixerConfig
from allmlp.zoo.convert.format import Converted, Pulled, Settings, State, count_layers

__all__ = ["CONVMIXER_FORMATS", "ConvMixerFormat"]

_CONV = ("weight", "bias")
_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
# the one that was trained with ReLU: width, depth, kernel and patch
_RELU = (768, 32, 7, 7)


@dataclass(frozen=True, kw_only=True)
class ConvMixerFormat:
    """The names of one code base; `{i}` is the number of a block, `{head}` follows the last one."""

    format: str
    first_block: int = 0  # the number of the first block
    stem: tuple[str, str]  # convolution and norm
    block: Mapping[str, str]  # our layer of a block -> theirs
    head: str
    family: str = "convmixer"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether the stem and the first block's depthwise layer bear these names."""
        first = self.block["depthwise"].format(i=self.first_block)
        return f"{self.stem[0]}.weight" in state and f"{first}.weight" in state

    def convert(
        self,
        state: Mapping[str, Tensor],
        img_size: tuple[int, int] | None,
        settings: Settings,
    ) -> Converted:
        """Rename and infer the sizes.

        Raises:
            AllmlpError: tensors are missing or left over.
        """
        pulled = Pulled(self.format, state)
        sign = re.escape(f"{self.block['depthwise']}.weight").replace(re.escape("{i}"), r"(\d+)")
        depth = count_layers(self.format, state, sign, first=self.first_block)
        pairs = list(zip(self.stem, ("stem.conv", "stem.norm"), strict=True))
        for i in range(depth):
            for ours, theirs in self.block.items():
                pairs.append((theirs.format(i=self.first_block + i), f"blocks.{i}.{ours}"))
        # pooling and flattening stand between the blocks and the head of the unnamed chain
        head = self.head.format(head=self.first_block + depth + 2)
        if f"{head}.weight" in state:
            pairs.append((head, "head"))
        for theirs, ours in pairs:
            for kind in _NORM if ours.endswith("norm") else _CONV:
                pulled.take(f"{theirs}.{kind}", f"{ours}.{kind}")
        pulled.done()
        config = self._config(pulled.ours, depth, img_size)
        notes = () if img_size else (f"the file fits any image size; taken as {config.img_size}",)
        return Converted(
            self.format, self.family, config, pulled.ours, tuple(pulled.renamed), notes
        )

    def _config(self, ours: State, depth: int, img_size: tuple[int, int] | None) -> ConvMixerConfig:
        width, in_chans, patch, _ = ours["stem.conv.weight"].shape
        kernel = ours["blocks.0.depthwise.weight"].shape[-1]
        native = 224 if patch >= 7 else 32
        side = max(round(native / patch), 1) * patch
        return ConvMixerConfig(
            img_size=img_size or (side, side),
            in_chans=in_chans,
            patch_size=patch,
            width=width,
            depth=depth,
            kernel_size=kernel,
            num_classes=ours["head.weight"].shape[0] if "head.weight" in ours else 0,
            activation="relu" if (width, depth, kernel, patch) == _RELU else "gelu",
        )


def _chain(block: str) -> dict[str, str]:
    """The layers within the unnamed chain of a block, which all three code bases share."""
    return {
        "depthwise": f"{block}.0.fn.0",
        "depthwise_norm": f"{block}.0.fn.2",
        "pointwise": f"{block}.1",
        "pointwise_norm": f"{block}.3",
    }


_OURS = ConvMixerFormat(
    format="allmlp",
    stem=("stem.conv", "stem.norm"),
    block={
        part: f"blocks.{{i}}.{part}"
        for part in ("depthwise", "depthwise_norm", "pointwise", "pointwise_norm")
    },
    head="head",
)
# an nn.Sequential without names: stem of three, blocks, pool, flatten, head
_LOCUSLAB = ConvMixerFormat(
    format="locuslab", first_block=3, stem=("0", "2"), block=_chain("{i}"), head="{head}"
)
_TIMM = ConvMixerFormat(
    format="timm", stem=("stem.0", "stem.2"), block=_chain("blocks.{i}"), head="head"
)
_MMPRETRAIN = ConvMixerFormat(
    format="mmpretrain",
    stem=("backbone.stem.0", "backbone.stem.2"),
    block=_chain("backbone.stages.{i}"),
    head="head.fc",
)

CONVMIXER_FORMATS = (_OURS, _LOCUSLAB, _TIMM, _MMPRETRAIN)
