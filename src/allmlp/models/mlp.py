"""The classic MLP, of ready parts: plain layers or residual blocks, then a linear head.

    plain:     dropout(activation(norm(linear(x))))
    residual:  x + scale * drop_path(dropout(fc2(dropout(activation(fc1(norm(x)))))))

Papers: where each part is defined (`layers`); what they do is in docs/models/mlp.md.
Axes: b any leading axes, i inputs, d width, o outputs.
"""

import warnings
from dataclasses import fields
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_integers, check_rates, check_sizes, unknown_name
from allmlp.layers.activations import make_activation
from allmlp.layers.drop_path import DropPath, drop_path_rates
from allmlp.layers.dropout_order import dropout_before_batch_norm
from allmlp.layers.gated import Gate
from allmlp.layers.init import activation_gain, init_linear_, init_siren_
from allmlp.layers.lipschitz import chain_bound
from allmlp.layers.mlp_block import PlainLayer, ResidualBlock
from allmlp.layers.parametrize import parametrize_linear
from allmlp.layers.vector_norm import vector_norm
from allmlp.models.mlp_config import MLPConfig, MLPOptions

__all__ = ["MLP", "ClassificationHead", "MLPFeatureExtractor"]


class MLPFeatureExtractor(nn.Module):
    """The body of an MLP: what it makes of its inputs before the last linear layer.

    With batch norm behind dropout it warns: the norm learns a variance that evaluation lacks.

    Args:
        in_features: i.
        options: blocks, norms and the rest.

    Shape:
        (..., i) -> (..., d); (b, i) with batch norm. dtype unchanged.

    Raises:
        AllmlpError: `in_features` is no positive integer; at run time, another last axis.

    Example:
        >>> import torch
        >>> body = MLPFeatureExtractor(64, MLPOptions(widths=(32, 16), norm="layer"))
        >>> head = ClassificationHead(body.out_features, 10)
        >>> head(body(torch.zeros(5, 64))).shape
        torch.Size([5, 10])
    """

    def __init__(self, in_features: int, options: MLPOptions):
        super().__init__()
        check_integers("MLP", minimum=1, in_features=in_features)
        self.in_features = in_features
        self.out_features = options.units(in_features)[-1]
        self.input_dropout = nn.Dropout(options.input_dropout_rate)
        build = _plain if options.block == "plain" else _residual
        self.stem, blocks, norm = build(in_features, options)
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm
        pairs = dropout_before_batch_norm(self)
        if pairs:
            dropout, behind = pairs[0]
            warnings.warn(
                f"batch norm behind dropout ({behind} behind {dropout}): in training it learns a "
                "variance that evaluation does not have (arXiv:1801.05134); use head_dropout_rate, "
                "which no norm follows, or norm='layer'",
                stacklevel=2,
            )

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b d"]:
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def embed(self, x: Float[Tensor, "*b i"]) -> Tensor:
        """What the first block reads.

        Raises:
            AllmlpError: another last axis than `in_features`.
        """
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise AllmlpError(
                f"this MLP takes {self.in_features} inputs, got inputs of shape {tuple(x.shape)}; "
                f"the last axis must have length {self.in_features}"
            )
        return self.stem(self.input_dropout(x))

    def lipschitz_bound(self) -> float:
        """The product over its parts, infinite where one of them has no bound."""
        return chain_bound((self.stem, *self.blocks, self.norm))


class ClassificationHead(nn.Module):
    """`linear(dropout(x))`: features to logits, or to values in regression.

    Args:
        in_features: d.
        num_classes: o.
        dropout_rate: of the features, in [0, 1). No norm follows, so batch norms before it see
            nothing of it.
        zero: start with equal outputs: the first gradients then see the labels alone.
        init: as in `layers.init_linear_`.
        weight_norm: as in `layers.parametrize_linear`.
        power_iterations: likewise.
        use_bias: whether there is a number for every class.

    Shape:
        (..., d) -> (..., o); dtype unchanged.

    Raises:
        AllmlpError: sizes that are no positive integers, or a rate outside [0, 1).
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        dropout_rate: float = 0.0,
        zero: bool = False,
        init: str = "lecun_normal",
        weight_norm: str = "none",
        power_iterations: int = 1,
        use_bias: bool = True,
    ):
        super().__init__()
        check_integers(
            "ClassificationHead", minimum=1, in_features=in_features, num_classes=num_classes
        )
        check_rates("ClassificationHead", dropout_rate=dropout_rate)
        linear = nn.Linear(in_features, num_classes, bias=use_bias)
        init_linear_(linear, init)
        if zero:
            for parameter in linear.parameters():
                nn.init.zeros_(parameter)
        self.dropout = nn.Dropout(dropout_rate)
        self.linear = parametrize_linear(linear, weight_norm, power_iterations=power_iterations)

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b o"]:
        return self.linear(self.dropout(x))

    def lipschitz_bound(self) -> float:
        """The largest singular value."""
        return chain_bound((self.linear,))


class MLP(nn.Module):
    """A multilayer perceptron on vectors.

    Args:
        in_features: i.
        num_outputs: classes or values, o; 0 leaves the head out.
        widths: units of each layer; for residual blocks their width, once for each.
        **options: further fields of `MLPOptions`: `block`, `activation`, `norm`, `dropout_rate`, …

    Shape:
        (..., i) -> (..., o), or (..., d) with `num_outputs=0`; (b, i) with batch norm. dtype
        unchanged.

    Raises:
        AllmlpError: sizes that do not fit or names that do not exist; at run time, inputs with
            another last axis.

    Example:
        >>> import torch
        >>> net = MLP(64, 10, widths=(32,) * 4, block="residual", norm="layer", activation="gelu")
        >>> net(torch.zeros(5, 64)).shape, net.config.count_parameters()
        (torch.Size([5, 10]), 36138)
    """

    def __init__(
        self,
        in_features: int,
        num_outputs: int,
        widths: tuple[int, ...] | list[int] = (256, 256),
        **options: Any,
    ):
        super().__init__()
        known = [field.name for field in fields(MLPOptions)]
        for name in options:
            if name not in known:
                raise AllmlpError(unknown_name("MLP option", name, known))
        check_sizes("MLP", widths=widths)
        self.config = MLPConfig(
            in_features=in_features, num_outputs=num_outputs, widths=tuple(widths), **options
        )
        self.features = MLPFeatureExtractor(in_features, self.config)
        self.head = make_head(self.config, self.features.out_features, num_outputs)

    @classmethod
    def from_config(cls, config: MLPConfig) -> "MLP":
        """An MLP with the sizes and options of another."""
        return cls(**{field.name: getattr(config, field.name) for field in fields(config)})

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        return self.head(self.features(x))

    def lipschitz_bound(self) -> float:
        """A bound on `‖f(x) - f(y)‖ / ‖x - y‖` over all inputs, in eval mode (`layers.lipschitz`).

        The product of the largest singular values and steepest slopes, where that is a bound. Batch
        norms count with the factor that they have learned, a residual block with 1 + scale times
        its branch: spectral norm alone makes neither 1-Lipschitz. Gates and squares have none: the
        answer is infinite.
        """
        return chain_bound((self.features, self.head))

    def no_weight_decay(self) -> set[str]:
        """Parameters exempt from decay beyond biases and norms: the lengths of weight norm."""
        return exempt_lengths(self)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns, in timm's form, that sort parameters by depth."""
        return depth_patterns("features", residual=self.config.block == "residual")


def make_head(options: MLPOptions, width: int, num_outputs: int) -> nn.Module:
    """The head that fits, or `nn.Identity` without outputs."""
    if not num_outputs:
        return nn.Identity()
    return ClassificationHead(
        width,
        num_outputs,
        dropout_rate=options.head_dropout_rate,
        zero=options.zero_head or options.init == "mup",
        init="he_normal" if options.init in ("siren", "mup") else options.init,
        weight_norm=options.weight_norm,
        power_iterations=options.power_iterations,
        use_bias=options.use_bias,
    )


def exempt_lengths(model: nn.Module) -> set[str]:
    """Names of weight norm's g: scales that look like matrices of one column."""
    return {
        name
        for name, parameter in model.named_parameters()
        if name.endswith("parametrizations.weight.original0") and parameter.shape[1:] == (1,)
    }


def depth_patterns(body: str, *, residual: bool) -> dict[str, Any]:
    """Stem and blocks of an extractor called `body`; a plain net's stem is its first layer."""
    stem = rf"^{body}\.stem" if residual else rf"^{body}\.blocks\.0\."
    return {"stem": stem, "blocks": [(rf"^{body}\.blocks\.(\d+)", None)]}


Parts = tuple[nn.Module, list[nn.Module], nn.Module]  # stem, blocks, final norm


def _plain(in_features: int, o: MLPOptions) -> Parts:
    blocks: list[nn.Module] = []
    for place, (i, d) in enumerate(pairwise((in_features, *o.units(in_features)))):
        units = d * (1 + o.glu)
        blocks.append(
            PlainLayer(
                linear=_linear(
                    i,
                    units,
                    o,
                    bias=o.bias_before_norm,
                    gain=_gain(o) if place else 1.0,
                    parts=1 + o.glu,
                    first=place == 0,
                ),
                norm=vector_norm(o.norm, units),
                activation=_activation(o),
                dropout=_dropout(o),
            )
        )
    return nn.Identity(), blocks, nn.Identity()


def _residual(in_features: int, o: MLPOptions) -> Parts:
    d, h, depth = o.widths[0], o.hidden, len(o.widths)
    return (
        _linear(in_features, d, o, bias=o.use_bias, first=True),
        [_residual_block(d, h, rate, o) for rate in drop_path_rates(o.drop_path_rate, depth)],
        vector_norm(o.norm if o.final_norm else "none", d),
    )


def _residual_block(d: int, h: int, rate: float, o: MLPOptions) -> ResidualBlock:
    return ResidualBlock(
        norm=vector_norm(o.norm, d),
        fc1=_linear(d, h * (1 + o.glu), o, bias=o.use_bias, parts=1 + o.glu),
        activation=_activation(o),
        dropout1=_dropout(o),
        fc2=_linear(h, d, o, bias=o.use_bias, gain=_gain(o), factor=_branch_factor(o)),
        dropout2=nn.Dropout(o.dropout_rate),
        drop_path=DropPath(rate),
        scale=o.residual_scale,
    )


def _linear(
    i: int,
    o: int,
    options: MLPOptions,
    *,
    bias: bool,
    gain: float = 1.0,
    factor: float = 1.0,
    parts: int = 1,
    first: bool = False,
) -> nn.Linear:
    linear = nn.Linear(i, o, bias=bias)
    if options.init == "siren":
        init_siren_(linear, first=first)
    else:
        scheme = "he_normal" if options.init == "mup" else options.init
        init_linear_(linear, scheme, gain=gain, parts=parts)
    linear.weight.data.mul_(factor)
    if factor == 0 and bias:
        nn.init.zeros_(linear.bias)
    return parametrize_linear(
        linear, options.weight_norm, power_iterations=options.power_iterations
    )


def _branch_factor(o: MLPOptions) -> float:
    factors = {"scaled": (2 * len(o.widths)) ** -0.5, "zero": 0.0, "same": 1.0}
    return factors[o.branch_init]


def _gain(o: MLPOptions) -> float:
    # of unit normal pre-activations; a gate's value has mean square 1 and changes nothing
    return _gain_of(o.activation)


@cache
def _gain_of(activation: str) -> float:
    with torch.device("cpu"):  # models are also built on the meta device
        return activation_gain(make_activation(activation))


def _activation(o: MLPOptions) -> nn.Module:
    activation = make_activation(o.activation)
    return Gate(activation) if o.glu else activation


def _dropout(o: MLPOptions) -> nn.Module:
    # what keeps SELU's mean and variance is a drop to its lower bound (arXiv:1706.02515, §2)
    kind = nn.AlphaDropout if o.activation == "selu" and not o.glu else nn.Dropout
    return kind(o.dropout_rate)
