"""ResMLP weights of deit (the authors) and timm. Shapes tell every size."""

from dataclasses import replace

from allmlp.models.resmlp import CLASS_LAYERS, ResMLPConfig
from allmlp.zoo.convert.format import State, square_grid
from allmlp.zoo.convert.renaming import Renaming, with_bias

__all__ = ["RESMLP_FORMATS"]


def _config(ours: State, depth: int, img_size: tuple[int, int] | None) -> ResMLPConfig:
    width, in_chans, patch_size, _ = ours["stem.proj.weight"].shape
    num_tokens = ours["blocks.0.token_linear.weight"].shape[1]
    return ResMLPConfig(
        img_size=square_grid("ResMLP", num_tokens, patch_size, img_size),
        in_chans=in_chans,
        patch_size=patch_size,
        width=width,
        depth=depth,
        channel_hidden=ours["blocks.0.channel_mlp.fc1.weight"].shape[0],
        num_classes=ours["head.weight"].shape[0] if "head.weight" in ours else 0,
        pooling="class_mlp" if "pool.class_token" in ours else "mean",
    )


def _affine(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.{kind}": f"{theirs}.{kind}" for kind in ("alpha", "beta")}


_HEAD = with_bias({"head": "head"})

_DEIT = Renaming(
    format="deit",
    family="resmlp",
    outside=with_bias({"stem.proj": "patch_embed.proj"}) | _affine("norm", "norm"),
    optional=(_HEAD,),
    block=_affine("token_norm", "norm1")
    | _affine("channel_norm", "norm2")
    | with_bias(
        {"token_linear": "attn", "channel_mlp.fc1": "mlp.fc1", "channel_mlp.fc2": "mlp.fc2"}
    )
    | {"token_residual.gamma": "gamma_1", "channel_residual.gamma": "gamma_2"},
    sign="token_linear.weight",
    config=_config,
)

_TIMM = replace(
    _DEIT,
    format="timm",
    outside=with_bias({"stem.proj": "stem.proj"}) | _affine("norm", "norm"),
    block=_affine("token_norm", "norm1")
    | _affine("channel_norm", "norm2")
    | with_bias(
        {
            "token_linear": "linear_tokens",
            "channel_mlp.fc1": "mlp_channels.fc1",
            "channel_mlp.fc2": "mlp_channels.fc2",
        }
    )
    | {"token_residual.gamma": "ls1", "channel_residual.gamma": "ls2"},
)

_POOL = {
    key: key
    for key in (
        "pool.class_token",
        *(f"pool.layers.{i}.{own}" for i in range(CLASS_LAYERS) for own in _DEIT.block),
    )
}

_OURS = replace(
    _TIMM,
    format="allmlp",
    optional=(_HEAD, _POOL),
    block={key: key for key in _DEIT.block},
)

RESMLP_FORMATS = (_OURS, _DEIT, _TIMM)
