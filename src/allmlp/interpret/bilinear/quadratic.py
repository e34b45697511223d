"""Quadratic forms as sums over neurons, and how networks are read as such.

Paper: Pearce et al. 2024, arXiv:2410.08417, §3. Biases and residuals by the homogeneous coordinate:
a constant 1 behind the input turns linear and constant terms into quadratic ones.
Axes: b any leading axes of inputs, c any leading axes of directions, d inputs of the forms
(homogeneous coordinate included), a neurons, k outputs, i inputs of the network.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.layers.bilinear import GatedLinear, GatedMlp
from allmlp.models.bilinear import BilinearMLP

__all__ = ["Chain", "Quadratic", "read_chain", "read_single"]


@dataclass(frozen=True, eq=False)
class Quadratic:
    """k quadratic forms, y_k = sum_a out_ka (left_a . x) (right_a . x).

    Everything is computed from these three matrices; the tensor of d x d numbers for every output
    is not formed.

    Attributes:
        left: (a, d), W.
        right: (a, d), V.
        out: (k, a), P.
        homogeneous: whether the last of the d coordinates is the constant 1, which inputs lack.
    """

    left: Float[Tensor, "a d"]
    right: Float[Tensor, "a d"]
    out: Float[Tensor, "k a"]
    homogeneous: bool = False

    def __call__(self, x: Float[Tensor, "*b e"]) -> Float[Tensor, "*b k"]:
        """The values of the forms."""
        x = self.lift(x)
        return ((x @ self.left.mT) * (x @ self.right.mT)) @ self.out.mT

    def lift(self, x: Float[Tensor, "*b e"]) -> Float[Tensor, "*b d"]:
        """Inputs with the homogeneous coordinate, if there is one; in the dtype of the forms."""
        x = x.to(self.left)
        return torch.cat([x, torch.ones_like(x[..., :1])], dim=-1) if self.homogeneous else x

    def matrix(self, direction: Float[Tensor, " k"]) -> Float[Tensor, "d d"]:
        """The symmetric Q with `direction . y = x' Q x`, in O(a d^2)."""
        product = self.left.mT @ ((direction @ self.out)[:, None] * self.right)
        return (product + product.mT) / 2

    def after(self, linear: Float[Tensor, "e i"]) -> "Quadratic":
        """The same outputs as forms of what `linear` maps to the inputs."""
        if self.homogeneous:
            linear = torch.block_diag(linear, linear.new_ones(1, 1))
        return replace(self, left=self.left @ linear, right=self.right @ linear)

    def with_one(self) -> "Quadratic":
        """The outputs, and behind them the constant 1 as an output of its own."""
        one = torch.zeros_like(self.left[:1])
        one[:, -1] = 1
        return replace(
            self,
            left=torch.cat([self.left, one]),
            right=torch.cat([self.right, one]),
            out=torch.block_diag(self.out, one[:, -1:]),
        )


@dataclass(frozen=True, eq=False)
class Chain:
    """A network as a linear map and quadratic layers behind it."""

    embed: Float[Tensor, "e i"] | None
    layers: Sequence[Quadratic]  # the last one gives the outputs


def read_chain(model: nn.Module) -> Chain:
    """The layers of a bilinear network, in float64.

    Args:
        model: a `BilinearMLP`, a `layers.GatedMlp` (the channel MLP of `mlp="bilinear"`) or a
            `layers.GatedLinear`, none of them with a gate.

    Raises:
        AllmlpError: another module, or a gate.
    """
    gated = [module for module in model.modules() if isinstance(module, GatedLinear)]
    if not gated or not isinstance(model, BilinearMLP | GatedMlp | GatedLinear):
        raise AllmlpError(
            f"a {type(model).__name__} is no bilinear network; give a BilinearMLP, or a GatedMlp "
            "or GatedLinear, for example model.blocks[0].channel_mlp"
        )
    if any(layer.gate is not None for layer in gated):
        kind = type(gated[0].gate).__name__
        raise AllmlpError(f"with its {kind} gate this {type(model).__name__} is not bilinear")
    if isinstance(model, GatedLinear):
        return Chain(None, [_layer(model, None, None, residual=False)])
    if isinstance(model, GatedMlp):
        return Chain(None, [_layer(gated[0], model.out.weight, model.out.bias, residual=False)])
    embed = _exact(model.embed.weight) if isinstance(model.embed, nn.Linear) else None
    residual = model.config.residual
    below = [_layer(layer, None, None, residual=residual) for layer in gated[:-1]]
    return Chain(embed, [*below, _layer(gated[-1], model.head.weight, None, residual=residual)])


def read_single(model: nn.Module) -> tuple[Quadratic, Tensor | None]:
    """The one layer of a bilinear network, as forms of what its embedding gives; the embedding.

    Raises:
        AllmlpError: as `read_chain`, or several layers.
    """
    chain = read_chain(model)
    if len(chain.layers) > 1:
        raise AllmlpError(
            f"a network of {len(chain.layers)} bilinear layers is no quadratic form; take nested()"
        )
    return chain.layers[0], chain.embed


def read_input(model: nn.Module) -> Quadratic:
    """The one layer of a bilinear network, as forms of the network's input.

    Raises:
        AllmlpError: as `read_single`.
    """
    forms, embed = read_single(model)
    return forms if embed is None else forms.after(embed)


def _layer(
    gated: GatedLinear, out: Tensor | None, out_bias: Tensor | None, *, residual: bool
) -> Quadratic:
    left, right = _exact(gated.left.weight), _exact(gated.right.weight)
    size, width = left.shape
    out = torch.eye(size).to(left) if out is None else _exact(out)
    if gated.left.bias is None and out_bias is None and not residual:
        return Quadratic(left, right, out)
    zeros = left.new_zeros(size)
    biases = (zeros if b is None else _exact(b) for b in (gated.left.bias, gated.right.bias))
    left, right = (
        torch.cat([weight, bias[:, None]], dim=1)
        for weight, bias in zip((left, right), biases, strict=True)
    )
    forms = Quadratic(left, right, out, homogeneous=True)
    if out_bias is None and not residual:
        return forms
    # (what is added linearly) * 1, as one neuron more for every output
    linear = out if residual else out.new_zeros(len(out), width)
    constant = out.new_zeros(len(out)) if out_bias is None else _exact(out_bias)
    one = left.new_zeros(len(out), width + 1)
    one[:, -1] = 1
    return replace(
        forms,
        left=torch.cat([left, torch.cat([linear, constant[:, None]], dim=1)]),
        right=torch.cat([right, one]),
        out=torch.cat([out, torch.eye(len(out)).to(out)], dim=1),
    )


def _exact(parameter: Tensor) -> Tensor:
    return parameter.detach().double()
