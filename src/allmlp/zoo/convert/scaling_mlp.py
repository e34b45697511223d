"""Scaling MLPs of gregorbachmann/scaling_mlps, both kinds, and our own bare tensors.

The files keep the norms in a list of their own. What shapes cannot tell: images are RGB squares
unless a size is stated.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.models.scaling_mlp import ScalingMlpConfig
from allmlp.zoo.convert.format import Converted, Pulled, Settings

__all__ = ["SCALING_MLP_FORMATS", "ScalingMlpFormat"]


@dataclass(frozen=True, kw_only=True)
class ScalingMlpFormat:
    """The names of one kind of block in one code base; `{i}` is its number."""

    format: str
    bottleneck: bool
    embed: str
    block: Mapping[str, str]  # our layer of a block -> theirs
    head: str
    family: str = "scaling_mlp"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether the first layer and all layers of the first block bear these names."""
        names = [self.embed, *(theirs.format(i=0) for theirs in self.block.values())]
        return all(f"{name}.weight" in state for name in names)

    def convert(
        self,
        state: Mapping[str, Tensor],
        img_size: tuple[int, int] | None,
        settings: Settings,
    ) -> Converted:
        """Rename and infer the sizes.

        Raises:
            AllmlpError: tensors are missing or left over, or inputs that are no RGB image.
        """
        pulled = Pulled(self.format, state)
        norm = re.escape(f"{self.block['norm']}.weight").replace(re.escape("{i}"), r"\d+")
        blocks = sum(bool(re.fullmatch(norm, key)) for key in state)
        pairs = [(self.embed, "embed")]
        for i in range(blocks):
            pairs += [(t.format(i=i), f"blocks.{i}.{ours}") for ours, t in self.block.items()]
        if f"{self.head}.weight" in state:
            pairs.append((self.head, "head"))
        for theirs, ours in pairs:
            for kind in ("weight", "bias"):
                pulled.take(f"{theirs}.{kind}", f"{ours}.{kind}")
        pulled.done()
        width, inputs = pulled.ours["embed.weight"].shape
        hidden = pulled.ours["blocks.0.mlp.fc1.weight"].shape[0] if self.bottleneck else 4 * width
        config = ScalingMlpConfig(
            img_size=_size(inputs, img_size),
            width=width,
            depth=blocks if self.bottleneck else blocks + 1,
            expansion=hidden // width,
            block="bottleneck" if self.bottleneck else "standard",
            num_classes=len(pulled.ours["head.weight"]) if "head.weight" in pulled.ours else 0,
        )
        return Converted(self.format, self.family, config, pulled.ours, tuple(pulled.renamed))


def _size(inputs: int, img_size: tuple[int, int] | None) -> tuple[int, int]:
    side = round((inputs / 3) ** 0.5)
    height, width = img_size or (side, side)
    if 3 * height * width != inputs:
        raise AllmlpError(
            f"this Scaling MLP takes {inputs} numbers, no RGB image of {height}x{width} pixels; "
            "state the image size it was made for"
        )
    return height, width


_OURS = {"format": "allmlp", "embed": "embed", "head": "head"}
_OFFICIAL = {"format": "scaling_mlps", "embed": "linear_in", "head": "linear_out"}
_BOTTLENECK = {"norm": "norm", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}

SCALING_MLP_FORMATS = (
    ScalingMlpFormat(
        **_OURS, bottleneck=True, block={k: f"blocks.{{i}}.{v}" for k, v in _BOTTLENECK.items()}
    ),
    ScalingMlpFormat(
        **_OURS, bottleneck=False, block={"norm": "blocks.{i}.norm", "fc": "blocks.{i}.fc"}
    ),
    ScalingMlpFormat(
        **_OFFICIAL,
        bottleneck=True,
        block={
            "norm": "layernorms.{i}",
            "mlp.fc1": "blocks.{i}.block.0",
            "mlp.fc2": "blocks.{i}.block.2",
        },
    ),
    ScalingMlpFormat(
        **_OFFICIAL, bottleneck=False, block={"norm": "layernorms.{i}", "fc": "layers.{i}"}
    ),
)
