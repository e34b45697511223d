"""MLP-Mixer weights of Google (two namings), timm, mmpretrain and lucidrains.

What shapes cannot tell follows the code each file belongs to: the flavour of GELU, and LayerNorm's
epsilon.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.models.mixer import MixerConfig
from allmlp.zoo.convert.format import Converted, Pulled, Settings, State, count_layers, square_grid

__all__ = ["MIXER_FORMATS", "MixerFormat", "to_timm"]

# their keys of one layer: weight and bias
Keys = tuple[str, str]


def _torch(module: str) -> Keys:
    return f"{module}.weight", f"{module}.bias"


def _flax(module: str, weight: str = "kernel") -> Keys:
    return f"{module}/{weight}", f"{module}/bias"


@dataclass(frozen=True, kw_only=True)
class MixerFormat:
    """The names and layouts of one code base; keys may hold `{i}`, the number of a block."""

    format: str
    gelu: str
    norm_eps: float = 1e-6
    first_block: int = 0  # the number of the first block
    stem: Keys
    parts: Mapping[str, Keys]  # our layer of a block -> their keys
    norm: Keys  # may hold {end}, the number after the last block
    head: Keys
    flax: bool = False  # kernels are (in, out) and (height, width, in, out)
    family: str = "mixer"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether the stem and the first block's token layer bear these names."""
        first = self.parts["token_mlp.fc1"][0].format(i=self.first_block)
        return self.stem[0] in state and first in state

    def convert(
        self,
        state: Mapping[str, Tensor],
        img_size: tuple[int, int] | None,
        settings: Settings,
    ) -> Converted:
        """Rename, transpose and infer the sizes.

        Raises:
            AllmlpError: tensors are missing, left over, or of shapes that do not fit together.
        """
        pulled = Pulled(self.format, state)
        depth = self._depth(state)
        end = self.first_block + depth
        self._layer(pulled, self.stem, "stem.proj")
        for i in range(depth):
            for ours, keys in self.parts.items():
                self._layer(pulled, _numbered(keys, self.first_block + i), f"blocks.{i}.{ours}")
        self._layer(pulled, tuple(key.format(end=end) for key in self.norm), "norm")
        head = tuple(key.format(end=end, head=end + 2) for key in self.head)
        if head[0] in pulled.rest:
            self._layer(pulled, head, "head")
        pulled.done()
        config = self._config(pulled.ours, depth, img_size)
        return Converted(self.format, "mixer", config, pulled.ours, tuple(pulled.renamed))

    def _depth(self, state: Mapping[str, Tensor]) -> int:
        sign = re.escape(self.parts["token_mlp.fc1"][0]).replace(re.escape("{i}"), r"(\d+)")
        return count_layers(self.format, state, sign, first=self.first_block)

    def _layer(self, pulled: Pulled, keys: tuple[str, ...], ours: str) -> None:
        # biases and norms: singleton axes of old namings fall away
        pulled.take(keys[1], f"{ours}.bias", lambda bias: bias.reshape(-1))
        pulled.take(keys[0], f"{ours}.weight", lambda w: self._weight(w, ours))

    def _weight(self, weight: Tensor, ours: str) -> Tensor:
        if "norm" in ours:
            return weight.reshape(-1)
        if ours == "stem.proj":
            return weight.permute(3, 2, 0, 1) if self.flax else _as_convolution(weight)
        if weight.ndim > 2:  # a convolution over one token, or Google's old phases
            weight = weight.squeeze()
        return weight.T if self.flax else weight

    def _config(self, ours: State, depth: int, img_size: tuple[int, int] | None) -> MixerConfig:
        width, in_chans, patch_size, _ = ours["stem.proj.weight"].shape
        token_hidden, num_tokens = ours["blocks.0.token_mlp.fc1.weight"].shape
        return MixerConfig(
            img_size=square_grid(self.format, num_tokens, patch_size, img_size),
            in_chans=in_chans,
            patch_size=patch_size,
            width=width,
            depth=depth,
            token_hidden=token_hidden,
            channel_hidden=ours["blocks.0.channel_mlp.fc1.weight"].shape[0],
            num_classes=ours["head.weight"].shape[0] if "head.weight" in ours else 0,
            gelu="tanh" if self.gelu == "tanh" else "erf",
            norm_eps=self.norm_eps,
        )


def _as_convolution(weight: Tensor) -> Tensor:
    """A stem kept as a linear map on flattened patches (row, column, channel) is a convolution."""
    if weight.ndim == 4:
        return weight
    width, values = weight.shape
    side = round((values / 3) ** 0.5)
    if 3 * side * side != values:
        raise AllmlpError(
            f"a stem of {values} inputs is no square patch of RGB pixels; only RGB files are read"
        )
    return weight.view(width, side, side, 3).permute(0, 3, 1, 2)


_OURS = MixerFormat(
    format="allmlp",
    gelu="tanh",
    stem=_torch("stem.proj"),
    parts={
        "token_norm": _torch("blocks.{i}.token_norm"),
        "token_mlp.fc1": _torch("blocks.{i}.token_mlp.fc1"),
        "token_mlp.fc2": _torch("blocks.{i}.token_mlp.fc2"),
        "channel_norm": _torch("blocks.{i}.channel_norm"),
        "channel_mlp.fc1": _torch("blocks.{i}.channel_mlp.fc1"),
        "channel_mlp.fc2": _torch("blocks.{i}.channel_mlp.fc2"),
    },
    norm=_torch("norm"),
    head=_torch("head"),
)

_GOOGLE = MixerFormat(
    format="Google (Flax linen)",
    gelu="tanh",
    flax=True,
    stem=_flax("stem"),
    parts={
        "token_norm": _flax("MixerBlock_{i}/LayerNorm_0", "scale"),
        "token_mlp.fc1": _flax("MixerBlock_{i}/token_mixing/Dense_0"),
        "token_mlp.fc2": _flax("MixerBlock_{i}/token_mixing/Dense_1"),
        "channel_norm": _flax("MixerBlock_{i}/LayerNorm_1", "scale"),
        "channel_mlp.fc1": _flax("MixerBlock_{i}/channel_mixing/Dense_0"),
        "channel_mlp.fc2": _flax("MixerBlock_{i}/channel_mixing/Dense_1"),
    },
    norm=_flax("pre_head_layer_norm", "scale"),
    head=_flax("head"),
)

_PHASES = "Mixer/encoderblock_{i}/"
_GOOGLE_LEGACY = MixerFormat(
    format="Google (before linen)",
    gelu="tanh",
    flax=True,
    stem=_flax("embedding"),
    parts={
        "token_norm": _flax(f"{_PHASES}LayerNorm_0", "scale"),
        "token_mlp.fc1": (
            f"{_PHASES}token_mixing_phase_0/kernel1",
            f"{_PHASES}token_mixing_phase_0/bias1",
        ),
        "token_mlp.fc2": (
            f"{_PHASES}token_mixing_phase_0/kernel2",
            f"{_PHASES}token_mixing_phase_0/bias2",
        ),
        "channel_norm": _flax(f"{_PHASES}LayerNorm_1", "scale"),
        "channel_mlp.fc1": (
            f"{_PHASES}channel_mixing_phase_0/kernel1",
            f"{_PHASES}channel_mixing_phase_0/bias1",
        ),
        "channel_mlp.fc2": (
            f"{_PHASES}channel_mixing_phase_0/kernel2",
            f"{_PHASES}channel_mixing_phase_0/bias2",
        ),
    },
    norm=_flax("Mixer/encoder_norm", "scale"),
    head=_flax("head"),
)

_TIMM = MixerFormat(
    format="timm",
    gelu="erf",
    stem=_torch("stem.proj"),
    parts={
        "token_norm": _torch("blocks.{i}.norm1"),
        "token_mlp.fc1": _torch("blocks.{i}.mlp_tokens.fc1"),
        "token_mlp.fc2": _torch("blocks.{i}.mlp_tokens.fc2"),
        "channel_norm": _torch("blocks.{i}.norm2"),
        "channel_mlp.fc1": _torch("blocks.{i}.mlp_channels.fc1"),
        "channel_mlp.fc2": _torch("blocks.{i}.mlp_channels.fc2"),
    },
    norm=_torch("norm"),
    head=_torch("head"),
)

_MMPRETRAIN = MixerFormat(
    format="mmpretrain",
    gelu="erf",
    stem=_torch("backbone.patch_embed.projection"),
    parts={
        "token_norm": _torch("backbone.layers.{i}.ln1"),
        "token_mlp.fc1": _torch("backbone.layers.{i}.token_mix.layers.0.0"),
        "token_mlp.fc2": _torch("backbone.layers.{i}.token_mix.layers.1"),
        "channel_norm": _torch("backbone.layers.{i}.ln2"),
        "channel_mlp.fc1": _torch("backbone.layers.{i}.channel_mix.layers.0.0"),
        "channel_mlp.fc2": _torch("backbone.layers.{i}.channel_mix.layers.1"),
    },
    norm=_torch("backbone.ln1"),
    head=_torch("head.fc"),
)

# an nn.Sequential without names: cut into patches, embed, blocks, norm, mean, head
_LUCIDRAINS = MixerFormat(
    format="lucidrains",
    gelu="erf",
    norm_eps=1e-5,  # torch's default, which that code keeps
    first_block=2,
    stem=_torch("1"),
    parts={
        "token_norm": _torch("{i}.0.norm"),
        "token_mlp.fc1": _torch("{i}.0.fn.0"),
        "token_mlp.fc2": _torch("{i}.0.fn.3"),
        "channel_norm": _torch("{i}.1.norm"),
        "channel_mlp.fc1": _torch("{i}.1.fn.0"),
        "channel_mlp.fc2": _torch("{i}.1.fn.3"),
    },
    norm=_torch("{end}"),
    head=_torch("{head}"),
)

MIXER_FORMATS = (_OURS, _GOOGLE, _GOOGLE_LEGACY, _TIMM, _MMPRETRAIN, _LUCIDRAINS)


def to_timm(state: Mapping[str, Tensor]) -> State:
    """Our Mixer's tensors under timm's names, for timm's tools.

    timm computes the erf GELU: a Mixer trained with the tanh form differs there by up to 5e-4 per
    activation.

    Args:
        state: a whole state dict of ours.

    Raises:
        AllmlpError: a tensor is missing or left over.
    """
    depth = _OURS._depth(state)
    pulled = Pulled("allmlp", state)
    pairs = [(_OURS.stem, _TIMM.stem), (_OURS.norm, _TIMM.norm)]
    if _OURS.head[0] in state:
        pairs.append((_OURS.head, _TIMM.head))
    for i in range(depth):
        for part, theirs in _TIMM.parts.items():
            pairs.append((_numbered(_OURS.parts[part], i), _numbered(theirs, i)))
    for ours, theirs in pairs:
        for mine, foreign in zip(ours, theirs, strict=True):
            pulled.take(mine, foreign)
    pulled.done()
    return pulled.ours


def _numbered(keys: Keys, i: int) -> Keys:
    return keys[0].format(i=i), keys[1].format(i=i)
