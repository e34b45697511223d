"""A model as a backbone: images in, one feature map for each chosen block out."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.models.contract import VisionModel
from allmlp.ops.blocks import block_numbers

__all__ = ["FeatureBackbone", "FeatureInfo"]


class FeatureInfo:
    """Channels, strides and submodules of the maps a `FeatureBackbone` returns, in order."""

    def __init__(self, info: Sequence[dict[str, Any]]):
        self.info = list(info)

    def channels(self) -> list[int]:
        """Channels of each map."""
        return [entry["num_chs"] for entry in self.info]

    def reduction(self) -> list[int]:
        """Stride of each map in pixels."""
        return [entry["reduction"] for entry in self.info]

    def module_name(self) -> list[str]:
        """Submodule of the model that each map leaves."""
        return [entry["module"] for entry in self.info]


class FeatureBackbone(nn.Module):
    """What `create_model(..., features_only=True)` returns.

    Args:
        model: its head is removed.
        out_indices: blocks wanted; negative ones count from the end; None for all.

    Shape:
        images (b, c, h, w) -> list of maps (b, channels, h / reduction, w / reduction).

    Raises:
        AllmlpError: a block that does not exist, or none.
    """

    def __init__(self, model: VisionModel, out_indices: Sequence[int] | None = None):
        super().__init__()
        model.reset_classifier(0)
        self.model = model
        count = len(model.feature_info)
        self.out_indices = block_numbers(out_indices, count)
        self.feature_info = FeatureInfo([model.feature_info[i] for i in self.out_indices])

    def forward(self, images: Float[Tensor, "b c h w"]) -> list[Tensor]:
        maps = self.model.forward_intermediates(images, self.out_indices, intermediates_only=True)
        assert isinstance(maps, list)  # intermediates_only
        return maps
