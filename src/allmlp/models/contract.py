"""What every vision model offers, under timm's names, so that its users and tools feel at home.

Abstract only: an architecture fills it in whole, and inherits no behaviour.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["VisionModel"]


class VisionModel(nn.Module, ABC):
    """Images (b, c, h, w) to logits (b, k), with the handles that downstream tools use.

    Attributes:
        config: the frozen dataclass the model was built from; `config.num_classes` follows
            `reset_classifier`.
        num_features: channels of what `forward_features` returns.
        feature_info: for each intermediate, its channels (`num_chs`), its stride in pixels
            (`reduction`) and its submodule (`module`).
        RESIZES: the methods that `resize_config` knows, where weights depend on the image size and
            can move to another.
        FRESH: beginnings of the names of parts that a config may ask for and weights made with
            another lack; they then start fresh, as the head does with other classes.
    """

    RESIZES: ClassVar[tuple[str, ...]] = ()
    FRESH: ClassVar[tuple[str, ...]] = ()

    config: Any
    num_features: int
    feature_info: list[dict[str, Any]]

    @abstractmethod
    def forward_features(self, images: Float[Tensor, "b c h w"]) -> Tensor:
        """Normalised features before pooling."""

    @abstractmethod
    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Pooling, then the head unless `pre_logits`."""

    @abstractmethod
    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        """Logits, or pooled features when the model has no head."""

    @abstractmethod
    def forward_intermediates(
        self,
        images: Float[Tensor, "b c h w"],
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        output_fmt: Literal["NCHW", "NLC"] = "NCHW",
        intermediates_only: bool = False,
    ) -> tuple[Tensor, list[Tensor]] | list[Tensor]:
        """`(final features, chosen intermediates)`, or the intermediates alone."""

    @abstractmethod
    def get_classifier(self) -> nn.Module:
        """The head: `nn.Linear`, or `nn.Identity` without classes."""

    @abstractmethod
    def reset_classifier(self, num_classes: int) -> None:
        """Put in a fresh head; 0 removes it, and it can come back."""

    @abstractmethod
    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute blocks in the backward pass: less memory, more time."""

    @staticmethod
    @abstractmethod
    def resize_config(config: Any, img_size: tuple[int, int], method: Any) -> Any:
        """The config for another image size, when weights move there by `method`.

        Without `RESIZES` the method is None: all weights fit any size, or the size is refused.
        """

    @abstractmethod
    def resize_state(
        self, state: Mapping[str, Tensor], old_config: Any, method: Any
    ) -> dict[str, Tensor]:
        """Weights of a net for another image size, as weights for this one."""

    @abstractmethod
    def no_weight_decay(self) -> set[str]:
        """Names of parameters exempt from decay beyond biases and norms."""

    @abstractmethod
    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns, in timm's form, that sort parameters by depth."""
