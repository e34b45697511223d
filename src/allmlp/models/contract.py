"""What every vision model offers, under timm's names, so that its users and tools feel at home.

All are stem, blocks, norm, pooling and head. What follows from that is written here, once; what it
leaves open is abstract. `Isotropic` with `TokenModel`, `Pyramid` and `PixelModel` fill in what nets
of one shape share, an architecture its parts.

Axes: b batch, c image channels, h w pixels, d width, k classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_choice
from allmlp.layers.layout import FORMATS
from allmlp.ops.blocks import block_numbers

__all__ = ["VisionModel"]


class VisionModel(nn.Module, ABC):
    """Images (b, c, h, w) to logits (b, k), with the handles that downstream tools use.

    Attributes:
        config: the frozen dataclass the model was built from; `config.num_classes` follows
            `reset_classifier`.
        num_features: channels of what `forward_features` returns.
        feature_info: for each intermediate, its channels (`num_chs`), its stride in pixels
            (`reduction`) and its submodule (`module`).
        pool: from what `forward_features` returns to (b, num_features).
        head: from there to logits, or `nn.Identity` without classes.
        NAME: of the architecture, as its paper writes it; for messages.
        RESIZES: the methods that `resize_config` knows, where weights depend on the image size and
            can move to another.
        FRESH: beginnings of the names of parts that a config may ask for and weights made with
            another lack; they then start fresh, as the head does with other classes.
    """

    NAME: ClassVar[str]
    RESIZES: ClassVar[tuple[str, ...]] = ()
    FRESH: ClassVar[tuple[str, ...]] = ()

    config: Any
    num_features: int
    feature_info: list[dict[str, Any]]
    pool: nn.Module
    head: nn.Module

    def forward_features(self, images: Float[Tensor, "b c h w"]) -> Tensor:
        """What is pooled: the output of the last block, after the norm that may follow it."""
        x = self._embed(images)
        for block in self._blocks():
            x = block(x)
        return self._finish(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Float[Tensor, "b k"]:
        """Pooling, then the head unless `pre_logits`."""
        x = self.pool(x)
        return x if pre_logits else self.head(x)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        """Logits, or pooled features when the model has no head."""
        return self.forward_head(self.forward_features(images))

    def forward_intermediates(
        self,
        images: Float[Tensor, "b c h w"],
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        output_fmt: Literal["NCHW", "NLC"] = "NCHW",
        intermediates_only: bool = False,
    ) -> tuple[Tensor, list[Tensor]] | list[Tensor]:
        """The output of chosen blocks, and of `forward_features`.

        A pyramid's blocks are its stages here: the maps before the next one's down-sampling.

        Args:
            images: a batch.
            indices: block numbers (negative ones count from the end), the last n blocks for an
                integer n, or all for None.
            norm: apply the final norm to every intermediate. Without effect where there is none,
                and in pyramids, where it is of the last width.
            output_fmt: maps (b, d, h / r, w / r) of stride r, or tokens (b, n, d).
            intermediates_only: return the list alone and skip the blocks after the last one asked.

        Returns:
            `(final features, intermediates)`, or the intermediates alone.

        Raises:
            AllmlpError: a block number that does not exist, or an unknown format.
        """
        check_choice("output_fmt", output_fmt, FORMATS)
        blocks = self._blocks()
        wanted = block_numbers(indices, len(blocks))
        x, found = self._embed(images), {}
        for i, block in enumerate(blocks):
            if intermediates_only and i > max(wanted):
                break
            x = block(x)
            if i in wanted:
                found[i] = self._show(self._intermediate(x, i, norm), output_fmt)
        intermediates = [found[i] for i in wanted]
        return intermediates if intermediates_only else (self._finish(x), intermediates)

    def get_classifier(self) -> nn.Module:
        """The head, or `nn.Identity` without classes."""
        return self.head

    def reset_classifier(self, num_classes: int) -> None:
        """Put in a fresh head for `num_classes` classes; 0 removes it, and it can come back.

        Raises:
            AllmlpError: `num_classes` is negative.
        """
        self.config = replace(self.config, num_classes=num_classes)
        self.head = self._make_head().to(next(self.parameters())).train(self.training)

    @abstractmethod
    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute blocks in the backward pass: less memory, a third more time."""

    @classmethod
    def resize_config(cls, config: Any, img_size: tuple[int, int], method: Any) -> Any:
        """The config for another image size, when weights move there by `method`.

        Here, without `RESIZES`: weights fit any size and stay as they are.

        Raises:
            AllmlpError: the weights do not go there, or not by this method.
        """
        if method is not None:
            raise AllmlpError(
                f"a {cls.NAME}'s weights fit images of any size, got resize={method!r}; leave it "
                "out"
            )
        return replace(config, img_size=img_size)

    def resize_state(
        self, state: Mapping[str, Tensor], old_config: Any, method: Any
    ) -> dict[str, Tensor]:
        """Weights of a net for another image size, as weights for this one.

        Here, without `RESIZES`: the same.

        Args:
            state: of a net with `old_config`; this one has
                `resize_config(old_config, img_size, method)`.
            old_config: the sizes of that net.
            method: as in `resize_config`.
        """
        return dict(state)

    def no_weight_decay(self) -> set[str]:
        """Names of parameters exempt from decay beyond biases and norms; here none."""
        return set()

    @abstractmethod
    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns, in timm's form, that sort parameters by depth."""

    @abstractmethod
    def _embed(self, images: Float[Tensor, "b c h w"]) -> Tensor:
        """What the first block takes.

        Raises:
            AllmlpError: images that the model was not built for.
        """

    @abstractmethod
    def _blocks(self) -> list[Callable[[Tensor], Tensor]]:
        """What runs one after the other; each gives an intermediate."""

    @abstractmethod
    def _finish(self, x: Tensor) -> Tensor:
        """What follows the last block: a norm, or nothing."""

    def _intermediate(self, x: Tensor, number: int, norm: bool) -> Tensor:
        """What is shown of the output x of a block, by the block's number."""
        return self._finish(x) if norm else x

    @abstractmethod
    def _show(self, x: Tensor, output_fmt: str) -> Tensor:
        """Features as maps or tokens, in one of `layers.layout.FORMATS`."""

    @abstractmethod
    def _make_head(self) -> nn.Module:
        """A fresh head for `config.num_classes` classes, or `nn.Identity` without any."""
