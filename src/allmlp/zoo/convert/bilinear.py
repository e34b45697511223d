"""Bilinear MLPs of tdooms/bilinear-decomposition, and our own bare tensors.

The files stack W over V in one matrix. What shapes cannot tell: whether layers stand in residuals.
A settings file may say it (`residual`); without one, several layers do and a single one does not.
"""

from collections.abc import Mapping

from torch import Tensor

from allmlp.models.bilinear import BilinearMLPConfig
from allmlp.zoo.convert.format import Converted, Pulled, Settings, count_layers

__all__ = ["BILINEAR_FORMATS", "BilinearFormat"]


class BilinearFormat:
    """`embed.weight` (e, i) or none, `blocks.L` with weights and perhaps biases, `head.weight`.

    Args:
        format: whose.
        stacked: `blocks.L.weight` (2 m, e), left factor first, instead of `left` and `right`.
    """

    family = "bilinear_mlp"

    def __init__(self, format: str, *, stacked: bool):
        self.format = format
        self.stacked = stacked

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether head and first layer have these names, and no norms stand beside them."""
        first = "blocks.0.weight" if self.stacked else "blocks.0.left.weight"
        return {"head.weight", first} <= state.keys() and not any("norm" in key for key in state)

    def convert(
        self,
        state: Mapping[str, Tensor],
        img_size: tuple[int, int] | None,
        settings: Settings,
    ) -> Converted:
        """Rename, split the stacked matrices and infer the sizes.

        Raises:
            AllmlpError: tensors are missing or left over.
        """
        pulled = Pulled(self.format, state)
        if "embed.weight" in state:
            pulled.take("embed.weight", "embed.weight")
        first = "weight" if self.stacked else r"left\.weight"
        depth = count_layers(self.format, state, rf"blocks\.(\d+)\.{first}")
        kinds = ["weight"]
        if ("blocks.0.bias" if self.stacked else "blocks.0.left.bias") in state:
            kinds.append("bias")
        for layer in range(depth):
            for kind in kinds:
                self._take(pulled, f"blocks.{layer}", kind)
        head = pulled.take("head.weight", "head.weight")
        pulled.done()
        embed = pulled.ours.get("embed.weight")
        hidden, width = pulled.ours["blocks.0.left.weight"].shape
        residual = bool(settings.get("residual", depth > 1))
        notes: tuple[str, ...] = ()
        if "residual" not in settings and depth > 1:
            notes = ("its layers are taken to stand in residuals, which the file does not say",)
        config = BilinearMLPConfig(
            in_features=width if embed is None else embed.shape[1],
            num_classes=len(head),
            hidden=hidden,
            depth=depth,
            embed=None if embed is None else len(embed),
            bias="bias" in kinds,
            residual=residual,
        )
        return Converted(
            self.format, self.family, config, pulled.ours, tuple(pulled.renamed), notes
        )

    def _take(self, pulled: Pulled, block: str, kind: str) -> None:
        left, right = f"{block}.left.{kind}", f"{block}.right.{kind}"
        if not self.stacked:
            pulled.take(left, left)
            pulled.take(right, right)
            return
        theirs = f"{block}.{kind}"
        both = pulled.take(theirs, left)
        pulled.ours[left], pulled.ours[right] = (half.clone() for half in both.chunk(2))
        pulled.renamed.append((theirs, right))


BILINEAR_FORMATS = (
    BilinearFormat("allmlp", stacked=False),
    BilinearFormat("bilinear-decomposition", stacked=True),
)
