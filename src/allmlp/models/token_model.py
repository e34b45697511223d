"""Patches as tokens that weights of a fixed number of tokens mix.

Axes: b batch, n tokens, d width.
"""

from abc import abstractmethod
from dataclasses import replace
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import check_choice
from allmlp.layers.drop_path import drop_path_rates
from allmlp.layers.head import make_zero_head
from allmlp.layers.layout import show_tokens
from allmlp.layers.norm import norm_factory
from allmlp.layers.patch_embed import STEMS
from allmlp.layers.patch_stem import PatchStem
from allmlp.layers.pool import MeanPool
from allmlp.models.isotropic import Isotropic
from allmlp.ops.resize import tile_counts

__all__ = ["TokenGrid", "TokenModel"]


class TokenGrid:
    """Where the tokens of an image stand: for configs of square patches."""

    img_size: tuple[int, int]
    patch_size: int

    @property
    def grid(self) -> tuple[int, int]:
        """Tokens along height and width."""
        return self.img_size[0] // self.patch_size, self.img_size[1] // self.patch_size

    @property
    def num_tokens(self) -> int:
        """N."""
        return self.grid[0] * self.grid[1]


class TokenModel(Isotropic):
    """Patches, `depth` blocks over tokens, norm, mean over tokens, zero head.

    Args:
        config: a `TokenGrid` with `in_chans`, `width`, `depth`, `num_classes`, the names of its
            `stem` and `norm`, `norm_eps`, `drop_path_rate` and `drop_path_schedule`.
    """

    RESIZES = ("block", "interpolate")

    def __init__(self, config: Any):
        super().__init__(config)
        self.stem = PatchStem(
            img_size=config.img_size,
            in_chans=config.in_chans,
            patch_size=config.patch_size,
            width=config.width,
            embed=STEMS[config.stem],
        )
        rates = drop_path_rates(config.drop_path_rate, config.depth, config.drop_path_schedule)
        self.blocks = nn.ModuleList(self._make_block(rate) for rate in rates)
        self.norm = norm_factory(config.norm, eps=config.norm_eps)(config.width)
        self.pool = self._make_pool()
        self.head = self._make_head()
        self.init_weights()

    @abstractmethod
    def init_weights(self) -> None:
        """Draw all weights anew; the head starts at zero."""

    @classmethod
    def resize_config(
        cls, config: Any, img_size: tuple[int, int], method: Literal["block", "interpolate"]
    ) -> Any:
        """The config of the net for another image size; no width changes.

        Args:
            config: of the net that has weights.
            img_size: the new height and width in pixels.
            method: `block` (whole multiples of the old size only) or `interpolate`.

        Raises:
            AllmlpError: the size does not fit the patches, or the method does not fit the size.
        """
        check_choice("resize", method, cls.RESIZES)
        new = replace(config, img_size=img_size)
        if method == "block":
            tile_counts(config.grid, new.grid)
        return new

    @abstractmethod
    def _make_block(self, drop_path_rate: float) -> nn.Module:
        """One block, of (b, n, d) -> (b, n, d)."""

    def _make_pool(self) -> nn.Module:
        return MeanPool(1)

    def _make_head(self) -> nn.Module:
        return make_zero_head(self.num_features, self.config.num_classes)

    def _show(self, x: Float[Tensor, "b n d"], output_fmt: str) -> Tensor:
        return show_tokens(x, output_fmt, self.config.grid)
