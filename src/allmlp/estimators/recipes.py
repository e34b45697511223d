"""What each tabular model is built and trained with, unless the user says otherwise."""

from dataclasses import dataclass

__all__ = ["EMBEDDINGS", "RECIPES", "Recipe"]

EMBEDDINGS = ("none", "linear", "plr", "plr-lite", "ple", "pbld")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Defaults of one model; docs/tabular.md says where they come from."""

    embedding: str
    scaling: str = "quantile"
    width: int = 256
    depth: int = 3
    dropout: float = 0.1
    members: int = 32
    one_hot: int = 0  # categories of up to so many levels are not embedded
    lr: tuple[float, float] = (1e-3, 1e-3)  # for classes, for values
    weight_decay: float = 3e-4
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float | None = 1.0
    label_smoothing: float = 0.0
    schedule: str = "constant"
    max_epochs: int = 200
    patience: int | None = 16
    average: bool = True  # the weights of the last two epochs or 100 steps
    clamp: bool = False  # keep predictions within the training's targets


RECIPES = {
    "mlp": Recipe(embedding="ple"),
    "resnet": Recipe(embedding="ple", width=192, depth=2, dropout=0.25, weight_decay=1e-5),
    "tabm": Recipe(embedding="ple", depth=2, one_hot=64, lr=(2e-3, 2e-3)),
    # small enough for a CPU: California in two minutes of one core's time (docs/tabular.md)
    "tabm-mini": Recipe(
        embedding="ple", width=128, depth=2, members=8, one_hot=64, lr=(2e-3, 2e-3)
    ),
    "tabm-packed": Recipe(embedding="ple", depth=2, one_hot=64, lr=(2e-3, 2e-3)),
    "realmlp": Recipe(
        embedding="pbld",
        scaling="robust",
        dropout=0.15,
        one_hot=9,
        lr=(0.04, 0.2),
        weight_decay=0.02,
        betas=(0.9, 0.95),
        clip=None,
        label_smoothing=0.1,
        schedule="coslog4",
        max_epochs=256,
        patience=None,
        average=False,
        clamp=True,
    ),
}
