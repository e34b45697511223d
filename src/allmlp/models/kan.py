"""Kolmogorov-Arnold networks: layers of learnable functions on edges, sums and products at nodes.

Papers: Liu et al. 2024, KAN, arXiv:2404.19756; Liu et al. 2024, KAN 2.0, arXiv:2408.10205 (product
nodes).
Reference: KindXiaoming/pykan.
DIFF: nothing reseeds, writes or prints; methods that change the structure return new models; each
layer's grid is the same for all inputs until `update_grid`; no affine maps at nodes unless asked.
Axes: b any leading axes, i columns of the input, s subnodes, n nodes, o outputs.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.layers.bspline import BSplineBasis
from allmlp.layers.kan import KANLinear
from allmlp.layers.kan_grid import Refit, adapt_layer, refine_layer
from allmlp.layers.kan_layer import KANLayer
from allmlp.layers.kan_nodes import KANNodes
from allmlp.layers.kan_symbolic import SymbolicEdges
from allmlp.models.kan_config import KANConfig, as_tuples
from allmlp.models.kan_keep import keep_parts
from allmlp.models.kan_symbolic_edges import set_edges
from allmlp.ops.symbolic import SymbolicFunction

__all__ = ["KAN", "GridChange", "GridUpdate"]


@dataclass(frozen=True)
class GridChange:
    """What moving one layer's grid did, on the data it was moved to."""

    rms_change: float  # of the layer's sums, root mean square
    rms: float  # of the sums themselves, before
    outside_before: float  # share of values beyond the grid
    outside_after: float


@dataclass(frozen=True, eq=False)
class GridUpdate:
    """A model on grids that follow data, and what the move changed, layer by layer."""

    model: "KAN"
    changes: tuple[GridChange, ...]


class KAN(nn.Module):
    """A network whose edges carry functions and whose nodes add or multiply.

    Args:
        widths: nodes, inputs first. An entry [sums, products] has nodes that multiply.
        grid: intervals of the splines' grid, G.
        k: their degree.
        grid_range: ends of every grid; outside of it functions go on along their tangents unless
            `outside` says otherwise. `out_of_grid` tells how much lies there, `update_grid` moves
            grids to data.
        basis: a name of `layers.BASES`.
        base: the fixed function beside the splines: `silu`, `gelu`, `identity`, or None.
        norm: LayerNorm of what each basis sees, as in FastKAN.
        bias: one number for every sum.
        scale: keep a trainable factor per edge before the splines.
        mask: keep a fixed factor per edge; what `keep` needs it makes.
        affine: trainable affine maps at subnodes and nodes, as in pykan.
        mult_arity: how many subnodes a product node multiplies; or, for every entry of `widths`, a
            list with one number for each product node.
        symbolic: (layer, input, output, function) of edges that are formulas; see
            `layers.kan_symbolic`.
        functions: functions of one's own that `symbolic` names.
        in_features: columns of the input, if more than the network reads; which ones it reads is
            then in the state dict (`inputs`).
        scaled: put an affine map of the columns before everything, at first the identity; see
            `scale_inputs`.
        init: of the weights, as in `layers.KANLinear`.
        **options: further ones of the basis, for example `outside="clamp"`.

    Shape:
        (..., i) -> (..., o); dtype unchanged.

    Raises:
        AllmlpError: sizes that do not fit or names that do not exist; at run time, inputs with
            another last axis.

    Example:
        >>> KAN([2, 5, 1], grid=3)(torch.zeros(4, 2)).shape
        torch.Size([4, 1])
        >>> KAN([2, [1, 2], 1]).layers[0].nodes
        KANNodes(num_sums=1, arities=(2, 2), affine=False)
    """

    inputs: Tensor | None
    middle: Tensor | None
    unit: Tensor | None

    def __init__(
        self,
        widths: Sequence[int | Sequence[int]],
        grid: int = 5,
        k: int = 3,
        grid_range: tuple[float | int, float | int] = (-1, 1),
        basis: str = "bspline",
        *,
        base: str | None = "silu",
        norm: bool = False,
        bias: bool = False,
        scale: bool = False,
        mask: bool = False,
        affine: bool = False,
        mult_arity: int | Sequence[Sequence[int]] = 2,
        symbolic: Iterable[Sequence[Any]] = (),
        functions: Iterable[SymbolicFunction] = (),
        in_features: int | None = None,
        scaled: bool = False,
        init: str = "normal",
        **options: Any,
    ):
        super().__init__()
        self.config = KANConfig(
            widths=as_tuples(widths),
            grid=grid,
            k=k,
            grid_range=(float(grid_range[0]), float(grid_range[1])),
            basis=basis,
            base=base,
            norm=norm,
            bias=bias,
            scale=scale,
            mask=mask,
            affine=affine,
            mult_arity=as_tuples(mult_arity),
            symbolic=as_tuples(tuple(symbolic)),
            in_features=in_features,
            scaled=scaled,
            init=init,
            options=options,
        )
        self.functions = tuple(functions)
        self.in_features = in_features or self.config.width(0)
        self.out_features = self.config.width(-1)
        chosen = torch.arange(self.config.width(0)) if self._selects else None
        self.register_buffer("inputs", chosen)
        # x counts from `middle` in units of `unit`, column by column
        for name, value in (("middle", 0.0), ("unit", 1.0)):
            filled = torch.full((self.in_features,), value) if scaled else None
            self.register_buffer(name, filled)
        self.layers = nn.ModuleList(self._layer(place) for place in range(self.config.depth))

    @classmethod
    def from_config(cls, config: KANConfig, functions: Iterable[SymbolicFunction] = ()) -> "KAN":
        """A KAN with the sizes and options of another."""
        given = {f.name: getattr(config, f.name) for f in fields(config)}
        return cls(**given.pop("options"), **given, functions=functions)

    @property
    def _selects(self) -> bool:
        return self.in_features > self.config.width(0)

    def _layer(self, place: int) -> KANLayer:
        c = self.config
        i, s = c.width(place), c.subnodes(place + 1)
        numeric = KANLinear(
            i,
            s,
            basis=c.basis,
            base=c.base,
            bias=c.bias,
            scale=c.scale,
            mask=c.mask,
            norm=nn.LayerNorm(i) if c.norm else None,
            init=c.init,
            **c.basis_options(),
        )
        edges = [edge[1:] for edge in c.symbolic if edge[0] == place]
        symbolic = SymbolicEdges(i, s, edges, self.functions) if edges else None
        sums = c.sums_and_products(place + 1)[0]
        return KANLayer(numeric, symbolic, KANNodes(sums, c.arities(place + 1), affine=c.affine))

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        x = self._read(x)
        for layer in self.layers:
            x = layer(x)
        return x

    def _read(self, x: Tensor) -> Tensor:
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise AllmlpError(
                f"this KAN takes {self.in_features} inputs, got inputs of shape {tuple(x.shape)}; "
                f"the last axis must have length {self.in_features}"
            )
        if self.middle is not None and self.unit is not None:
            x = (x - self.middle) / self.unit
        return x if self.inputs is None else x[..., self.inputs]

    def forward_intermediates(self, x: Float[Tensor, "*b i"]) -> dict[str, Tensor]:
        """Every layer's input, sums and nodes, under names that do not change.

        Returns:
            `layers.L.input` (..., n), what the edges of layer L read, in layer 0 after scaling;
            `layers.L.sums` (..., s), the sums over its edges; `layers.L.nodes` (..., n'), after
            affine maps and products. The last of them is the output.
        """
        found: dict[str, Tensor] = {}
        x = self._read(x)
        for number, layer in enumerate(self._each()):
            found[f"layers.{number}.input"] = x
            found[f"layers.{number}.sums"] = sums = layer.sums(x)
            found[f"layers.{number}.nodes"] = x = layer.nodes(sums)
        return found

    @torch.no_grad()
    def out_of_grid(self, x: Float[Tensor, "*b i"]) -> list[float]:
        """For every layer, the share of the values it reads that lie outside its grid.

        NaN and infinities count as outside. A basis without a grid has nothing else outside.
        """
        found = self.forward_intermediates(x)
        return [
            float(layer.numeric.out_of_grid_fraction(found[f"layers.{number}.input"]))
            for number, layer in enumerate(self._each())
        ]

    def count_parameters(self) -> int:
        """Trainable numbers by the formula of `KANConfig.count_parameters`."""
        return self.config.count_parameters()

    @torch.no_grad()
    def refine(self, grid: int, samples: Float[Tensor, "n i"] | None = None) -> "KAN":
        """The same network on another number of grid intervals; this one stays as it is.

        A multiple of the old number changes nothing on the grids (knot insertion, to rounding), any
        other number gives the nearest splines in the mean square (`layers.kan_grid`). An optimizer
        keeps moments of the old coefficients: make a new one, or carry them over by
        `training.carry_moments`.

        Args:
            grid: the new number of intervals.
            samples: inputs of the network; with them each layer is refitted at the values it sees,
                by least squares, as pykan does.

        Raises:
            AllmlpError: another basis than B-splines, or no positive number.
        """
        refined = self._copy()
        seen = None if samples is None else self.forward_intermediates(samples)
        for number, layer in enumerate(refined._each()):
            points = None if seen is None else _rows(layer, seen[f"layers.{number}.input"])
            layer.numeric = refine_layer(layer.numeric, grid, samples=points)
        refined.config = replace(self.config, grid=grid)
        return refined

    @torch.no_grad()
    def scale_inputs(self, x: Float[Tensor, "n i"]) -> "KAN":
        """The network with every column's range over x mapped onto the range of the grid.

        The map is part of the new network and of its state dict: it takes data in their own units,
        and formulas are written in these. Weights stay as they are, so the function changes; scale
        before training. This one stays as it is.

        Args:
            x: inputs in their own units. A column that never varies is only shifted.

        Raises:
            AllmlpError: no row, another number of columns, values that are not finite, or grids of
                the first layer that have moved.

        Example:
            >>> celsius = torch.tensor([[10.0], [20.0], [30.0]])
            >>> seen = KAN([1, 1]).scale_inputs(celsius).forward_intermediates(celsius)
            >>> seen["layers.0.input"].round(decimals=3).flatten().tolist()
            [-1.0, 0.0, 1.0]
        """
        if x.ndim != 2 or x.shape[1] != self.in_features or not len(x):
            raise AllmlpError(
                f"inputs are scaled by rows of {self.in_features} columns, got {tuple(x.shape)}"
            )
        if not bool(x.isfinite().all()):
            raise AllmlpError("inputs are scaled by finite rows; leave out those that are not")
        low, high = x.double().amin(0), x.double().amax(0)
        start, end = self.config.grid_range
        basis = next(self._each()).numeric.basis
        if isinstance(basis, BSplineBasis):
            ends = torch.stack(basis.grid_range()).T
            if not ends.allclose(ends.new_tensor([start, end]).expand_as(ends)):
                raise AllmlpError(
                    f"inputs are scaled to grids on [{start:g}, {end:g}], but those of the first "
                    "layer have moved (update_grid); scale first"
                )
        # rounding must not leave the extreme rows outside
        eps = torch.finfo(next(self.parameters()).dtype).eps
        rounding = 8 * eps * torch.maximum(low.abs(), high.abs())
        # of one value, or of values that differ by rounding alone, the range says nothing
        unit = torch.where(high - low > rounding, (high - low + 2 * rounding) / (end - start), 1)
        # (x - middle) / unit runs from start to end, or is (start + end) / 2 where x is constant
        middle = (low + high) / 2 - unit * (start + end) / 2
        state = {**self.state_dict(), "middle": middle, "unit": unit}
        return self._rebuilt(replace(self.config, scaled=True), state, self.functions)

    @torch.no_grad()
    def update_grid(
        self,
        x: Float[Tensor, "n i"],
        *,
        layers: Sequence[int] | None = None,
        uniform_share: float = 0.02,
        margin: float = 0.0,
        refit: Refit = "projection",
    ) -> GridUpdate:
        """The same network with each grid where its layer's values are; this one stays as it is.

        Layer by layer, each on what the layers before it, already moved, make of x. Every input has
        its own range. Optimizers: as for `refine`.

        Args:
            x: inputs of the network.
            layers: whose grids move; None moves all.
            uniform_share: 1 for equidistant points over each input's range, 0 for its quantiles.
            margin: by which equidistant points reach beyond the data, in units of the input.
            refit: `projection` onto the new grid, or `samples` for least squares at x (pykan).

        Returns:
            The model, and for each layer how much its sums on x changed and how many values lay
            outside the grid before and after.

        Raises:
            AllmlpError: another basis than B-splines, data that are empty or not finite, or beyond
                a grid that forbids it (`outside="error"`), or a layer that does not exist.
        """
        chosen = range(self.config.depth) if layers is None else layers
        if not set(chosen) <= set(range(self.config.depth)):
            raise AllmlpError(f"this KAN has layers 0 to {self.config.depth - 1}, got {layers}")
        moved = self._copy()
        changes = []
        values = moved._read(x)
        for number, layer in enumerate(moved._each()):
            before, outside = layer.sums(values), layer.numeric.out_of_grid_fraction(values)
            if number in chosen:
                layer.numeric = adapt_layer(
                    layer.numeric,
                    _rows(layer, values),
                    uniform_share=uniform_share,
                    margin=margin,
                    refit=refit,
                )
            after = layer.sums(values)
            changes.append(
                GridChange(
                    rms_change=_rms(after - before),
                    rms=_rms(before),
                    outside_before=float(outside),
                    outside_after=float(layer.numeric.out_of_grid_fraction(values)),
                )
            )
            values = layer.nodes(after)
        return GridUpdate(moved, tuple(changes))

    def keep(
        self,
        *,
        inputs: Sequence[int] | None = None,
        nodes: Mapping[int, Sequence[int]] | None = None,
        edges: Mapping[int, Tensor] | None = None,
    ) -> "KAN":
        """The network of chosen inputs, hidden nodes and edges alone; this one stays as it is.

        Every option, weight, dtype and frozen parameter is kept. The new network takes as many
        columns as this one, and knows which of them it reads: `inputs` in its state dict.

        Args:
            inputs: which to keep, by their numbers among those this network reads.
            nodes: for an entry of `widths`, hidden ones only, which of its nodes to keep. A product
                node goes with its subnodes.
            edges: for a layer, True where an edge stays, (subnodes, inputs) as before any removal.
                Others are masked, and their formulas removed.

        Raises:
            AllmlpError: numbers that do not exist, come twice or are none, masks of another shape,
                or a network with `norm`, whose LayerNorm mixes all nodes of a layer.
        """
        config, state = keep_parts(self.config, self.state_dict(), inputs, nodes or {}, edges or {})
        return self._rebuilt(config, state, self.functions)

    def set_symbolic(
        self,
        edges: Mapping[tuple[int, int, int], tuple[str, Sequence[float]] | None],
        functions: Iterable[SymbolicFunction] = (),
    ) -> "KAN":
        """The network with chosen edges as formulas, or as splines again; this one stays as it is.

        A formula stands in place of the numeric edge, which is masked and keeps its weights: None
        brings it back.

        Args:
            edges: (layer, input, sum) -> name of a function with (a, b, c, d) of c f(a x + b) + d,
                or None for the numeric edge.
            functions: of one's own, beside those that the network knows.

        Raises:
            AllmlpError: an edge that does not exist, an unknown function, or two of one name.

        Example:
            >>> KAN([2, 1]).set_symbolic({(0, 1, 0): ("sin", (3.0, 0.0, 1.0, 0.0))}).config.symbolic
            ((0, 1, 0, 'sin'),)
        """
        config, state = set_edges(self.config, self.state_dict(), edges)
        return self._rebuilt(config, state, (*self.functions, *functions))

    def _rebuilt(
        self, config: KANConfig, state: Mapping[str, Tensor], functions: Iterable[SymbolicFunction]
    ) -> "KAN":
        # weights are drawn and thrown away: from a copy of the caller's random state
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            rebuilt = type(self).from_config(config, functions)
        example = next(self.parameters())
        rebuilt.to(example.device, example.dtype).load_state_dict(state)
        frozen = {name for name, p in self.named_parameters() if not p.requires_grad}
        for name, parameter in rebuilt.named_parameters():
            parameter.requires_grad_(name not in frozen)
        return rebuilt.train(self.training)

    def _each(self) -> Iterator[KANLayer]:
        return iter(cast(Sequence[KANLayer], self.layers))

    def _copy(self) -> "KAN":
        copied = copy.deepcopy(self)
        copied.zero_grad()
        return copied


def _rows(layer: KANLayer, x: Tensor) -> Float[Tensor, "n i"]:
    """Samples as the layer's basis sees them."""
    seen = x if layer.numeric.norm is None else layer.numeric.norm(x)
    return seen.reshape(-1, seen.shape[-1])


def _rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())
