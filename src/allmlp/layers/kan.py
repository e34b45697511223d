"""The KAN layer: a learnable function on every edge, summed at the nodes.

    y_o = sum_i mask_oi (base_oi b(x_i) + scale_oi sum_j spline_oji B_ji(x_i)) + bias_o

Paper: Liu et al. 2024, KAN: Kolmogorov-Arnold Networks, arXiv:2404.19756, §2.
Reference: KindXiaoming/pykan, Blealtan/efficient-kan.
DIFF: all edges of one input share its basis values, as in pykan >= 0.2; functions continue along
their tangents outside the grid unless `outside` says otherwise; `scale` is folded into the spline
weights unless it is asked for.
Axes: b any leading axes, i inputs, o outputs, m basis functions per input, f = m, or m + 1 with
the base function.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import check_choice, check_integers
from allmlp.layers.bases import make_basis
from allmlp.layers.basis import Basis
from allmlp.layers.kan_init import KAN_INITS, draw_kan_start
from allmlp.ops.activation import ACTIVATIONS
from allmlp.ops.contraction import basis_linear
from allmlp.ops.edges import Branch, edges_linear
from allmlp.ops.expansion import Expansion

__all__ = ["KANLinear"]


class KANLinear(nn.Module):
    """A linear map of basis functions, plus a linear map of one fixed activation.

    Weights are kept as the matrix products take them, basis-major: `spline_weight` (o, m, i) and
    `base_weight` (o, i). They are parameters of their own, so either can be frozen
    (`requires_grad_(False)`) or decay at its own rate (optimizer groups).

    Args:
        in_features: i.
        out_features: o.
        basis: a name (`layers.BASES`) or a finished `Basis`.
        base: `silu`, `gelu`, `identity`, or None for no base branch.
        bias: add one number to every output.
        scale: keep a trainable factor per edge before the spline branch (the paper's w_s), instead
            of folding it into `spline_weight`.
        mask: keep a fixed factor per edge, a buffer of ones; for pruning.
        norm: applied to the basis's input alone, not to the base branch's (FastKAN's LayerNorm).
        init: how the weights start, see `layers.kan_init.draw_kan_start`.
        **options: of the basis, when it is given by name; `grid=5, k=3, grid_range=(-1, 1),
            outside="linear"` for B-splines.

    Shape:
        (..., i) -> (..., o); output dtype = input dtype (autocast's dtype under autocast, where
        basis functions stay in float32).

    Raises:
        AllmlpError: a size is no positive integer, an unknown name, a basis for another number of
            inputs; at run time, inputs with another last axis.

    Example:
        >>> KANLinear(3, 2, grid=5, k=3)(torch.zeros(4, 3)).shape
        torch.Size([4, 2])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        basis: str | Basis = "bspline",
        base: str | None = "silu",
        bias: bool = False,
        scale: bool = False,
        mask: bool = False,
        norm: nn.Module | None = None,
        init: str = "normal",
        **options: Any,
    ):
        super().__init__()
        check_integers("KANLinear", minimum=1, in_features=in_features, out_features=out_features)
        if base is not None:
            check_choice("base", base, ACTIVATIONS)
        check_choice("init", init, KAN_INITS)
        self.in_features = in_features
        self.out_features = out_features
        self.base = base
        self._base = None if base is None else Expansion.of(base)
        self.init = init
        self.norm = norm
        self.basis = make_basis(basis, in_features, **options)
        o, m, i = out_features, self.basis.size, in_features
        self.spline_weight = nn.Parameter(torch.empty(o, m, i))
        self.base_weight = None if base is None else nn.Parameter(torch.empty(o, i))
        self.scale = nn.Parameter(torch.ones(o, i)) if scale else None
        self.bias = nn.Parameter(torch.zeros(o)) if bias else None
        self.register_buffer("mask", torch.ones(o, i) if mask else None)
        self.mask: Tensor | None
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """Draw all weights anew by `init`, from torch's global generator; the mask stays."""
        if self.spline_weight.is_meta:
            return
        start = draw_kan_start(
            self.init, self.basis, self.out_features, base=self.base_weight is not None
        )
        spline, base, scale = (t.squeeze(-1) for t in (start.spline, start.base, start.scale))
        if self.scale is None:
            spline = spline * scale[:, None]
        else:
            self.scale.copy_(scale)
        self.spline_weight.copy_(spline)
        if self.base_weight is not None:
            self.base_weight.copy_(base)
        if self.bias is not None:
            self.bias.copy_(start.bias)

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        self.basis.check(x)
        spline_weight, base_weight = self.folded_weights()
        if base_weight is None or self._base is None:
            y = self.basis.linear(x if self.norm is None else self.norm(x), spline_weight)
        elif self.norm is None and not self.basis.trainable:
            spline = Branch(spline_weight, self.basis.expansion, self.basis.tensors())
            y = edges_linear(x, [spline, Branch(base_weight[:, None], self._base)])
        else:
            y = self.basis.linear(x if self.norm is None else self.norm(x), spline_weight)
            y = y + basis_linear(x, base_weight[:, None], self._base)
        return y if self.bias is None else y + self.bias

    def folded_weights(self) -> tuple[Float[Tensor, "o m i"], Float[Tensor, "o i"] | None]:
        """Spline and base weights with `scale` and `mask` multiplied in."""
        spline: Tensor = self.spline_weight
        base: Tensor | None = self.base_weight
        factor: Tensor | None = self.scale
        if self.mask is not None:
            factor = self.mask if factor is None else factor * self.mask
            base = None if base is None else base * self.mask
        return (spline if factor is None else spline * factor[:, None]), base

    def edge_functions(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b i f"]:
        """What every edge of an input is a linear form in: the basis, then the base function."""
        self.basis.check(x)
        values = self.basis(x if self.norm is None else self.norm(x))
        if self._base is not None:
            values = torch.cat([values, self._base(x)], dim=-2)
        return values.transpose(-1, -2)

    def edge_weights(self) -> Float[Tensor, "o i f"]:
        """Every edge's coefficients in `edge_functions`, with `scale` and `mask` multiplied in."""
        spline, base = self.folded_weights()
        parts = [spline.transpose(-1, -2)]
        if base is not None:
            parts.append(base[..., None])
        return torch.cat(parts, dim=-1)

    def out_of_grid_fraction(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, ""]:
        """The share of values that reach the basis outside its grid; NaN counts as outside."""
        return self.basis.out_of_grid_fraction(x if self.norm is None else self.norm(x))

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"base={self.base!r}, bias={self.bias is not None}, scale={self.scale is not None}, "
            f"mask={self.mask is not None}"
        )
