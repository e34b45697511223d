"""Stacks of ChebyKAN's and FourierKAN's layers, under whatever names their owner gave them.

Both repositories (SynodicMonth/ChebyKAN, GistNoesis/FourierKAN) publish a layer, not a network. A
file is read if it holds such layers alone, in the order of the file or of their names.
Axes: i inputs, o outputs, d degree, g harmonics.
"""

import re
from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.models.kan_config import KANConfig
from allmlp.zoo.convert.format import Converted, Pulled, Settings
from allmlp.zoo.convert.kan_layers import chain_widths, same_in_all

__all__ = ["SERIES_FORMATS", "ChebyKAN", "FourierKAN"]


class ChebyKAN:
    """`cheby_coeffs` (i, o, d + 1): Chebyshev polynomials of tanh x, nothing else."""

    format = "ChebyKAN"
    family = "kan"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether a layer bears this name."""
        return any(_is(key, "cheby_coeffs") for key in state)

    def convert(
        self,
        state: Mapping[str, Tensor],
        img_size: tuple[int, int] | None,
        settings: Settings,
    ) -> Converted:
        """Put the layers in order, transpose, infer the sizes.

        Raises:
            AllmlpError: other tensors as well (LayerNorms between the layers, say), or layers that
                do not fit one behind the other.
        """
        pulled = Pulled(self.format, state)
        shapes, degrees = [], []
        layers = _in_order(self.format, state, "cheby_coeffs", 3, outputs=1, inputs=0)
        for number, prefix in enumerate(layers):
            weight = pulled.take(
                f"{prefix}cheby_coeffs",
                f"layers.{number}.numeric.spline_weight",
                lambda c: c.permute(1, 2, 0),
            )
            pulled.rest.pop(f"{prefix}arange", None)  # 0 to d, a buffer
            shapes.append((weight.shape[0], weight.shape[2]))
            degrees.append(weight.shape[1] - 1)
        pulled.done()
        same_in_all(self.format, "degree", degrees)
        config = KANConfig(
            widths=chain_widths(self.format, shapes),
            basis="chebyshev",
            base=None,
            options={"degree": degrees[0]},
        )
        return Converted(self.format, self.family, config, pulled.ours, tuple(pulled.renamed))


class FourierKAN:
    """`fouriercoeffs` (2, o, i, g): cosines, then sines; `bias` (1, o) in all layers or in none."""

    format = "FourierKAN"
    family = "kan"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether a layer bears this name."""
        return any(_is(key, "fouriercoeffs") for key in state)

    def convert(
        self,
        state: Mapping[str, Tensor],
        img_size: tuple[int, int] | None,
        settings: Settings,
    ) -> Converted:
        """Put the layers in order, transpose, infer the sizes.

        Raises:
            AllmlpError: other tensors as well, or layers that do not fit one behind the other.
        """
        pulled = Pulled(self.format, state)
        shapes, frequencies = [], []
        layers = _in_order(self.format, state, "fouriercoeffs", 4, outputs=1, inputs=2)
        bias = f"{layers[0]}bias" in state
        for number, prefix in enumerate(layers):
            ours = f"layers.{number}.numeric."
            weight = pulled.take(
                f"{prefix}fouriercoeffs",
                ours + "spline_weight",
                lambda c: torch.cat([c[0], c[1]], dim=2).mT,
            )
            if bias:
                pulled.take(f"{prefix}bias", ours + "bias", lambda b: b.reshape(-1))
            shapes.append((weight.shape[0], weight.shape[2]))
            frequencies.append(weight.shape[1] // 2)
        pulled.done()
        same_in_all(self.format, "gridsize", frequencies)
        config = KANConfig(
            widths=chain_widths(self.format, shapes),
            basis="fourier",
            base=None,
            bias=bias,
            options={"frequencies": frequencies[0]},
        )
        return Converted(self.format, self.family, config, pulled.ours, tuple(pulled.renamed))


SERIES_FORMATS = (ChebyKAN(), FourierKAN())


def _is(key: str, name: str) -> bool:
    return key == name or key.endswith("." + name)


def _in_order(
    format: str, state: Mapping[str, Tensor], name: str, ndim: int, *, outputs: int, inputs: int
) -> list[str]:
    """Prefixes of the layers such that each takes what the one before it gives."""
    found = [key for key in state if _is(key, name)]
    for key in found:
        if state[key].ndim != ndim:
            raise AllmlpError(
                f"{name} of {format} has {ndim} axes, {key} has {state[key].ndim}; the file is of "
                "another code"
            )
    # safetensors forgets the order of the file; then the names may know it: fc2 before fc10
    for order in (found, sorted(found, key=_naturally)):
        shapes = [state[key].shape for key in order]
        if all(a[outputs] == b[inputs] for a, b in pairwise(shapes)):
            return [key.removesuffix(name) for key in order]
    raise AllmlpError(
        f"the layers of this {format} file ({', '.join(found)}) do not fit one behind the other"
    )


def _naturally(key: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", key)]
