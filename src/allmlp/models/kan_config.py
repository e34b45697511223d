"""What a KAN is built from.

Axes: i columns of the input, s subnodes, n nodes, m functions per edge.
"""

from collections.abc import Sized
from dataclasses import dataclass, field, fields
from numbers import Integral
from typing import Any

import torch

from allmlp.errors import AllmlpError, check_choice, check_integers
from allmlp.layers.bases import BASES, make_basis, option_names
from allmlp.ops.activation import ACTIVATIONS

__all__ = ["KANConfig", "as_tuples"]

Width = int | tuple[int, int]
# of B-splines; other bases take those of them that their classes name
_GRID_OPTIONS = ("grid", "k", "grid_range")


@dataclass(frozen=True, kw_only=True)
class KANConfig:
    """Everything a KAN is built from, but for its weights and functions of one's own.

    Raises:
        AllmlpError: sizes that are no positive integers, an unknown name, or an option that the
            basis does not have.
    """

    widths: tuple[Width, ...]  #: nodes, inputs first; (sums, products) where nodes multiply
    grid: int = 5  #: intervals, G
    k: int = 3  #: degree of the splines
    grid_range: tuple[float, float] = (-1.0, 1.0)
    basis: str = "bspline"
    base: str | None = "silu"  #: of the base branch; None leaves it out
    norm: bool = False  #: LayerNorm before each layer's basis, as in FastKAN
    bias: bool = False
    scale: bool = False  #: a trainable factor per edge before the splines
    mask: bool = False  #: a fixed factor per edge, for pruning
    affine: bool = False  #: at subnodes and nodes, as in pykan
    # factors of a product node: of all, or of each product node of each entry of widths
    mult_arity: int | tuple[tuple[int, ...], ...] = 2
    # symbolic edges: layer, input, output, name of the function
    symbolic: tuple[tuple[int, int, int, str], ...] = ()
    in_features: int | None = None  #: columns of the input, where it reads but some of them
    scaled: bool = False  #: an affine map of the columns stands before everything
    init: str = "normal"
    options: dict[str, Any] = field(default_factory=dict)  #: further ones of the basis

    def __post_init__(self) -> None:
        check_choice("basis", self.basis, BASES)
        if self.base is not None:
            check_choice("base", self.base, ACTIVATIONS)
        if not isinstance(self.widths, tuple):
            raise AllmlpError(f"KAN needs widths as a list of integers, got {self.widths!r}")
        if len(self.widths) < 2:
            raise AllmlpError(f"KAN needs widths of inputs and outputs at least, got {self.widths}")
        check_integers("KAN", minimum=1, inputs=self.widths[0])
        for place in range(1, len(self.widths)):
            sums, products = self.sums_and_products(place)
            check_integers("KAN", minimum=0, sums=sums, products=products)
            check_integers("KAN", minimum=1, width=sums + products)
        if self.norm and any(self.width(place) == 1 for place in range(self.depth)):
            raise AllmlpError(
                "norm=True makes a layer of one input constant: LayerNorm of one number is zero; "
                f"leave norm out for widths {self.widths}"
            )
        if isinstance(self.mult_arity, int):
            check_integers("KAN", minimum=2, mult_arity=self.mult_arity)
        for place in range(1, len(self.widths)):
            self.arities(place)
        for layer, *_ in self.symbolic:
            if not 0 <= layer < self.depth:
                raise AllmlpError(f"a KAN of {self.depth} layers has no symbolic edge in {layer}")
        if self.in_features is not None:
            check_integers("KAN", minimum=self.width(0), in_features=self.in_features)
        self.basis_options()

    @property
    def depth(self) -> int:
        """Layers of edges."""
        return len(self.widths) - 1

    def sums_and_products(self, place: int) -> tuple[int, int]:
        """How many nodes of an entry of `widths` are sums, and how many products."""
        entry = self.widths[place]
        if isinstance(entry, Integral):
            return int(entry), 0
        if not isinstance(entry, Sized) or len(entry) != 2:
            raise AllmlpError(f"an entry of widths is a number or (sums, products), got {entry}")
        return entry

    def width(self, place: int) -> int:
        """Nodes of an entry of `widths`."""
        return sum(self.sums_and_products(place))

    def arities(self, place: int) -> tuple[int, ...]:
        """Factors of each product node of an entry of `widths`.

        Raises:
            AllmlpError: `mult_arity` lists another number of product nodes.
        """
        products = self.sums_and_products(place)[1]
        if isinstance(self.mult_arity, int):
            return (self.mult_arity,) * products
        listed = self.mult_arity[place] if place < len(self.mult_arity) else ()
        if len(listed) != products:
            raise AllmlpError(
                f"mult_arity lists {len(listed)} product nodes for entry {place} of widths, which "
                f"has {products}; give one number, or a list for every entry"
            )
        return listed

    def subnodes(self, place: int) -> int:
        """Sums over edges that make the nodes of an entry of `widths`."""
        return self.sums_and_products(place)[0] + sum(self.arities(place))

    def basis_options(self) -> dict[str, Any]:
        """What the basis is built with.

        Raises:
            AllmlpError: the basis lacks an option; one of grid, k and grid_range that it lacks may
                stay at its default.
        """
        known = option_names(self.basis)
        chosen = dict(self.options)
        defaults = {f.name: f.default for f in fields(self)}
        for name in _GRID_OPTIONS:
            if name in known:
                chosen[name] = getattr(self, name)
            elif getattr(self, name) != defaults[name]:
                raise AllmlpError(
                    f"the basis {self.basis!r} has no {name}; its options are {', '.join(known)}"
                )
        return chosen

    def count_parameters(self) -> int:
        """Trainable parameters, by formula.

        A layer of i inputs and s subnodes making n nodes has s i (m + base + scale) numbers on its
        edges, with m functions in the basis; s more with `bias`, 2 (s + n) with `affine`, 2 i with
        `norm`, 4 for every symbolic edge, and what the basis itself trains.
        """
        total = 4 * len(self.symbolic)
        for place in range(self.depth):
            i, s, n = self.width(place), self.subnodes(place + 1), self.width(place + 1)
            with torch.device("meta"):
                basis = make_basis(self.basis, i, **self.basis_options())
            total += s * i * (basis.size + (self.base is not None) + self.scale)
            total += self.bias * s + self.affine * 2 * (s + n) + self.norm * 2 * i
            total += sum(p.numel() for p in basis.parameters())
        return total


def as_tuples(value: Any) -> Any:
    """Nested lists, as people, JSON and YAML write them, as the tuples that a config holds."""
    if isinstance(value, dict):
        return {key: as_tuples(item) for key, item in value.items()}
    return tuple(map(as_tuples, value)) if isinstance(value, list | tuple) else value
