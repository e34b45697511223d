"""KANs of KindXiaoming/pykan, both generations.

From 0.2 on, all edges of an input share its knots, nodes may multiply, and `NAME_config.yml` beside
`NAME_state` holds what is no tensor: the names of symbolic functions, the base function, product
nodes. Without that file the base is SiLU and products have two factors, pykan's defaults. Up to
0.1, every edge had knots of its own and layers a bias.

Axes: i inputs, s subnodes, n nodes, m functions per edge, t knots.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError, check_choice
from allmlp.models.kan_config import KANConfig, as_tuples
from allmlp.ops.bspline import bspline_basis, cell_polynomials, extend_knots
from allmlp.ops.spline_transfer import project_values, quadrature
from allmlp.zoo.convert.format import Converted, Pulled, Settings, count_layers
from allmlp.zoo.convert.kan_layers import chain_widths, same_in_all, spline_sizes

__all__ = ["PYKAN_FORMATS", "OldPykan", "Pykan"]

_LAYER = r"act_fun\.(\d+)\.coef"
_BASES = {"silu": "silu", "identity": "identity", "zero": None}


class Pykan:
    """`act_fun.L`: `coef` (i, s, m), `scale_base`, `scale_sp`, `mask` (i, s), `grid` (i, t).

    `scale_sp` is multiplied into the coefficients. The mask is kept where it removes edges, affine
    maps where they are not the identity, symbolic edges where their mask is not zero.
    """

    format = "pykan >= 0.2"
    family = "kan"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether the first layer's coefficients lie by input and output."""
        return "act_fun.0.coef" in state and state["act_fun.0.coef"].ndim == 3

    def convert(
        self,
        state: Mapping[str, Tensor],
        img_size: tuple[int, int] | None,
        settings: Settings,
    ) -> Converted:
        """Rename, transpose, fold scales in and infer the sizes.

        Raises:
            AllmlpError: tensors are missing, left over, or of shapes that do not fit together; or
                symbolic edges without the settings that name their functions.
        """
        pulled = Pulled(self.format, state)
        depth = count_layers(self.format, state, _LAYER)
        sizes = []
        for number in range(depth):
            theirs, ours = f"act_fun.{number}.", f"layers.{number}.numeric."
            weight = pulled.take(
                theirs + "coef", ours + "spline_weight", lambda c: c.permute(1, 2, 0)
            )
            scale = pulled.take(theirs + "scale_sp", ours + "spline_weight", lambda c: c.T)
            pulled.ours[ours + "spline_weight"] = weight * scale[:, None]
            pulled.take(theirs + "scale_base", ours + "base_weight", lambda c: c.T)
            pulled.take(theirs + "mask", ours + "mask", lambda c: c.T)
            knots = pulled.take(theirs + "grid", ours + "basis.knots")
            sizes.append(spline_sizes(self.format, number, knots, weight))
            for kind in ("subnode_scale", "subnode_bias", "node_scale", "node_bias"):
                pulled.take(f"{kind}_{number}", f"layers.{number}.nodes.{kind}")
        same_in_all(self.format, "(grid, k)", sizes)
        widths, arity = _nodes(self.format, pulled, settings)
        symbolic = _symbolic_edges(self.format, pulled, depth, settings)
        pulled.done()
        base = _drop_base(pulled, depth, settings)
        config = KANConfig(
            widths=widths,
            mult_arity=arity,
            grid=sizes[0][0],
            k=sizes[0][1],
            base=base,
            mask=_keep_unless(pulled, depth, {"numeric.mask": 1.0}),
            affine=_keep_unless(
                pulled,
                depth,
                {
                    "nodes.subnode_scale": 1.0,
                    "nodes.subnode_bias": 0.0,
                    "nodes.node_scale": 1.0,
                    "nodes.node_bias": 0.0,
                },
            ),
            symbolic=symbolic,
            options={"outside": "zero"},
        )
        return Converted(self.format, self.family, config, pulled.ours, _renamed(pulled))


class OldPykan:
    """`act_fun.L`: one row per edge, row = output * inputs + input; `biases.L.weight` (1, s).

    Grids end where the data did, without knots beyond. The edges of one input normally share their
    knots, as grids follow inputs alone; where they do not, the splines are projected onto a common
    grid and the notes say how far off that is.
    """

    format = "pykan 0.0.x"
    family = "kan"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether the first layer's coefficients lie by edge."""
        return "act_fun.0.coef" in state and state["act_fun.0.coef"].ndim == 2

    def convert(
        self,
        state: Mapping[str, Tensor],
        img_size: tuple[int, int] | None,
        settings: Settings,
    ) -> Converted:
        """Sort rows by output and input, extend the grids, fold scales in, infer the sizes.

        Raises:
            AllmlpError: as `Pykan.convert`.
        """
        pulled = Pulled(self.format, state)
        depth = count_layers(self.format, state, _LAYER)
        sizes, shapes, notes = [], [], []
        for number in range(depth):
            theirs, ours = f"act_fun.{number}.", f"layers.{number}.numeric."
            bias = pulled.take(f"biases.{number}.weight", ours + "bias", lambda b: b.reshape(-1))
            coefficients = _by_edge(pulled, theirs + "coef", ours + "spline_weight", len(bias))
            grids = _by_edge(pulled, theirs + "grid", ours + "basis.knots", len(bias))
            scale = _by_edge(pulled, theirs + "scale_sp", ours + "spline_weight", len(bias))
            base = _by_edge(pulled, theirs + "scale_base", ours + "base_weight", len(bias))
            _by_edge(pulled, theirs + "mask", ours + "mask", len(bias))
            k = coefficients.shape[2] - grids.shape[2] + 1
            knots, weight, note = _share_knots(grids, coefficients.mT, k, number)
            notes += note
            pulled.ours[ours + "basis.knots"] = knots
            pulled.ours[ours + "spline_weight"] = (weight * scale[:, None]).contiguous()
            shapes.append((base.shape[0], base.shape[1]))
            sizes.append(spline_sizes(self.format, number, knots, weight))
        same_in_all(self.format, "(grid, k)", sizes)
        symbolic = _symbolic_edges(self.format, pulled, depth, settings)
        pulled.done()
        config = KANConfig(
            widths=chain_widths(self.format, shapes),
            grid=sizes[0][0],
            k=sizes[0][1],
            base=_drop_base(pulled, depth, settings),
            bias=True,
            mask=_keep_unless(pulled, depth, {"numeric.mask": 1.0}),
            symbolic=symbolic,
            options={"outside": "zero"},
        )
        return Converted(
            self.format, self.family, config, pulled.ours, _renamed(pulled), tuple(notes)
        )


PYKAN_FORMATS = (Pykan(), OldPykan())


def _nodes(format: str, pulled: Pulled, settings: Settings) -> tuple[Any, Any]:
    """Widths and arities: as the settings say, or from the numbers of subnodes and nodes."""
    numbers = [int(key.split(".")[1]) for key in pulled.ours if key.endswith("nodes.node_scale")]
    widths: list[Any] = [pulled.ours["layers.0.numeric.base_weight"].shape[1]]
    for number in numbers:
        nodes = len(pulled.ours[f"layers.{number}.nodes.node_scale"])
        subnodes = len(pulled.ours[f"layers.{number}.nodes.subnode_scale"])
        products = subnodes - nodes  # of two factors each, unless the settings differ
        widths.append((nodes - products, products) if products else nodes)
    if "width" not in settings:
        return tuple(widths), 2
    stated = as_tuples(settings["width"])
    arity = as_tuples(settings.get("mult_arity", 2))
    stated = tuple(w if isinstance(w, int) else (w[0] if w[1] == 0 else w) for w in stated)
    if len(stated) != len(widths):
        raise AllmlpError(
            f"the settings beside this {format} file are of {len(stated) - 1} layers, the file has "
            f"{len(widths) - 1}; they belong to another network"
        )
    return stated, arity


def _symbolic_edges(
    format: str, pulled: Pulled, depth: int, settings: Settings
) -> tuple[tuple[int, int, int, str], ...]:
    """Edges whose symbolic mask is not zero, with their affine numbers; the mask is folded in."""
    edges: list[tuple[int, int, int, str]] = []
    for number in range(depth):
        theirs, ours = f"symbolic_fun.{number}.", f"layers.{number}.symbolic."
        mask = pulled.take(theirs + "mask", ours + "affine")
        affine = pulled.take(theirs + "affine", ours + "affine")
        del pulled.ours[ours + "affine"]
        where = mask.nonzero().tolist() if settings.get("symbolic_enabled", True) else []
        if not where:
            continue
        names = settings.get(f"symbolic.funs_name.{number}")
        if names is None:
            raise AllmlpError(
                f"this {format} file has {len(where)} symbolic edges in layer {number}, and does "
                "not say which functions; put pykan's NAME_config.yml beside NAME_state"
            )
        edges += [(number, i, s, str(names[s][i])) for s, i in where]
        rows = torch.stack([affine[s, i] for s, i in where])
        factor = torch.stack([mask[s, i] for s, i in where])[:, None]
        pulled.ours[ours + "affine"] = torch.cat([rows[:, :2], rows[:, 2:] * factor], dim=1)
    return tuple(edges)


def _renamed(pulled: Pulled) -> tuple[tuple[str, str], ...]:
    left_out = "left out, it changes nothing"
    return tuple((t, ours if ours in pulled.ours else left_out) for t, ours in pulled.renamed)


def _by_edge(pulled: Pulled, theirs: str, ours: str, outputs: int) -> Tensor:
    """One row per edge as (s, i, ...).

    Raises:
        AllmlpError: the number of rows is no multiple of the outputs.
    """
    rows = pulled.take(theirs, ours)
    if len(rows) % outputs:
        raise AllmlpError(
            f"{theirs} of this {pulled.format} file has {len(rows)} rows, one for each edge, but "
            f"the layer has {outputs} outputs, of which that is no multiple"
        )
    pulled.ours[ours] = rows.view(outputs, len(rows) // outputs, *rows.shape[1:])
    return pulled.ours[ours]


def _drop_base(pulled: Pulled, depth: int, settings: Settings) -> str | None:
    name = settings.get("base_fun_name", "silu")
    check_choice("base_fun_name", name, _BASES)
    if _BASES[name] is None:
        for number in range(depth):
            del pulled.ours[f"layers.{number}.numeric.base_weight"]
    return _BASES[name]


def _keep_unless(pulled: Pulled, depth: int, trivial: Mapping[str, float]) -> bool:
    """Leave tensors out if all of them, in all layers, have the value that changes nothing."""
    keys = {f"layers.{n}.{name}": v for n in range(depth) for name, v in trivial.items()}
    kept = any(bool((pulled.ours[key] != value).any()) for key, value in keys.items())
    if not kept:
        for key in keys:
            del pulled.ours[key]
    return kept


def _share_knots(
    grids: Float[Tensor, "s i points"], weight: Float[Tensor, "s m i"], k: int, layer: int
) -> tuple[Float[Tensor, "i t"], Float[Tensor, "s m i"], list[str]]:
    """One knot vector for each input instead of one for each edge."""
    if k < 1:  # `spline_sizes` will say so
        return grids[0], weight, []
    if bool((grids == grids[:1]).all()):
        return extend_knots(grids[0], k), weight, []
    exact = grids.double()
    low, high = exact[..., 0].amin(0), exact[..., -1].amax(0)
    share = torch.linspace(0, 1, grids.shape[2], dtype=torch.float64)
    knots = extend_knots(low[:, None] + share * (high - low)[:, None], k)
    columns, error, size = [], 0.0, 0.0
    for row, coefficients in zip(exact, weight.double(), strict=True):
        own = extend_knots(row, k)
        nodes, weights = quadrature(own, knots, k)
        before = _splines(own, k, nodes, coefficients)
        column = project_values(before.unsqueeze(-1), nodes, weights, knots, k)[..., 0]
        after = _splines(knots, k, nodes, column.T)
        error += float((weights * (after - before).square()).sum())
        size += float((weights * before.square()).sum())
        columns.append(column.T)
    note = (
        f"layer {layer} had grids of its own on every edge; refitted on one grid for each input, "
        f"its splines changed by {(error / size) ** 0.5:.2%} in the mean square"
    )
    return knots.to(grids), torch.stack(columns).to(weight), [note]


def _splines(
    knots: Float[Tensor, "i t"], k: int, x: Float[Tensor, "i q"], weight: Float[Tensor, "m i"]
) -> Float[Tensor, "i q"]:
    basis = bspline_basis(x.T, knots, cell_polynomials(knots, k), k=k, outside="zero")
    return torch.einsum("qmi,mi->iq", basis, weight)
