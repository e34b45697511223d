"""What `data.TableEncoder` does, as a module: columns as they are to rows for a network.

Axes: n rows, f numbers, c texts.
"""

import numpy as np
import torch
from torch import Tensor, nn

from allmlp.data.table_encoder import FAR, TAIL, NumberColumn, TableEncoder

__all__ = ["EncodeTable", "normal_quantile"]

# Wichura 1988, algorithm AS 241 (PPND16): numerators and denominators, highest power first, around
# the middle and in the tails as far as 1e-11
_MIDDLE = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4,
     4.5921953931549871457e4, 1.3731693765509461125e4, 1.9715909503065514427e3,
     1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4,
     2.1213794301586595867e4, 5.3941960214247511077e3, 6.8718700749205790830e2,
     4.2313330701600911252e1, 1.0),
)  # fmt: skip
_TAILS = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
     1.27045825245236838258e0, 3.64784832476320460504e0, 5.76949722146069140550e0,
     4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
     1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e0,
     2.05319162663775882187e0, 1.0),
)  # fmt: skip


class EncodeTable(nn.Module):
    """Numbers, NaN where they are missing, and codes of texts, to the rows of `encoder.encode`.

    The encoder's errors and warnings are not kept: an infinite number is one far away.

    Args:
        encoder: of the training.

    Shape:
        (n, f) float64 and (n, c) int64, as `encoder.columns` gives them, -> (n, width). Of what the
        table has no columns, there is no input.
    """

    medians: Tensor
    flagged: Tensor
    order: Tensor

    def __init__(self, encoder: TableEncoder):
        super().__init__()
        self.dtype = getattr(torch, encoder.dtype)
        self.has_numbers = bool(encoder.numbers)
        self.scalings = nn.ModuleList()
        places: list[int] = []
        for kind in ("quantile", "standard", "robust"):
            chosen = [i for i, column in enumerate(encoder.numbers) if column.kind == kind]
            if chosen:
                scaling = _Quantile if kind == "quantile" else _Affine
                self.scalings.append(scaling(chosen, [encoder.numbers[i] for i in chosen]))
                places += chosen
        # from one kind after the other back to the order of the columns
        self.register_buffer("order", torch.tensor(places, dtype=torch.int64).argsort())
        medians = [column.median for column in encoder.numbers]
        self.register_buffer("medians", torch.tensor(medians, dtype=torch.float64))
        flagged = [i for i, column in enumerate(encoder.numbers) if column.flagged]
        self.register_buffer("flagged", torch.tensor(flagged, dtype=torch.int64))

    def forward(self, *inputs: Tensor) -> Tensor:
        parts = []
        if self.has_numbers:
            missing = inputs[0].isnan()
            numbers = torch.where(missing, self.medians, inputs[0])
            scaled = torch.cat([scaling(numbers) for scaling in self.scalings], dim=1)
            parts = [scaled[:, self.order], missing[:, self.flagged]]
        if len(inputs) > self.has_numbers:
            parts.append(inputs[-1])
        return torch.cat([part.to(self.dtype) for part in parts], dim=1)


class _Affine(nn.Module):
    """`standard` and `robust` of `NumberColumn.scaled`, for the columns at some places."""

    places: Tensor
    numbers: Tensor

    def __init__(self, places: list[int], columns: list[NumberColumn]):
        super().__init__()
        self.bends = columns[0].kind == "robust"
        self.register_buffer("places", torch.tensor(places))
        self.register_buffer("numbers", torch.from_numpy(np.stack([c.numbers for c in columns])).T)

    def forward(self, numbers: Tensor) -> Tensor:
        centres, divisors = self.numbers
        scaled = ((numbers[:, self.places] - centres) / divisors).clamp(-FAR, FAR)
        return scaled / (1 + scaled * scaled / 9).sqrt() if self.bends else scaled


class _Quantile(nn.Module):
    """`quantile` of `NumberColumn.scaled`, for the columns at some places."""

    places: Tensor
    starts: Tensor
    last: Tensor
    quantiles: Tensor
    counts_equal: Tensor

    def __init__(self, places: list[int], columns: list[NumberColumn]):
        super().__init__()
        sizes = torch.tensor([len(column.numbers) for column in columns])
        # a column's quantiles are searched in halves: infinity fills them up to a power of two
        self.steps = int(sizes.max()).bit_length()
        table = torch.full((len(columns), 2**self.steps), torch.inf, dtype=torch.float64)
        for row, column in zip(table, columns, strict=True):
            row[: len(column.numbers)] = torch.from_numpy(column.numbers)
        self.register_buffer("places", torch.tensor(places))
        self.register_buffer("starts", torch.arange(len(columns)) * 2**self.steps)
        self.register_buffer("last", sizes - 1)
        self.register_buffer("quantiles", table.flatten())
        self.register_buffer("counts_equal", torch.tensor([True, False]))

    def forward(self, numbers: Tensor) -> Tensor:
        values = numbers[:, self.places]
        # the interval of a value, and where in it
        reached, below = self._count(values).unbind(-1)
        at = reached - 1
        low = torch.minimum(at.clamp(min=0), self.last - 1)
        floor, ceiling = self._quantile(low), self._quantile(low + 1)
        share = ((values - floor) / (ceiling - floor)).clamp(0, 1)
        upper = torch.where(at >= self.last, self.last.to(share), low + share)
        # a value that is there many times has many ranks: the first of them and the last
        first = torch.minimum(below, self.last)
        lower = torch.where(self._quantile(first) == values, first.to(share), upper)
        return normal_quantile((upper + lower) / (2 * self.last))

    def _quantile(self, place: Tensor) -> Tensor:
        return self.quantiles[self.starts + place]

    def _count(self, values: Tensor) -> Tensor:
        """How many quantiles a value (n, f) has reached, and how many are below it: (n, f, 2)."""
        values, starts = values[..., None], self.starts[:, None]
        place = starts.expand(values.shape[0], -1, 2)  # `len` would fix the size of a batch
        for step in (2**power for power in reversed(range(self.steps))):
            met = self.quantiles[place + (step - 1)]
            passed = (met < values) | (self.counts_equal & (met == values))
            place = torch.where(passed, place + step, place)
        return place - starts


def normal_quantile(p: Tensor) -> Tensor:
    """The inverse of the normal distribution, by operations that every runtime has.

    Args:
        p: float64; what is less than `TAIL` from 0 or 1 is taken to be there.

    Returns:
        As `torch.special.ndtri`, to 1e-15.
    """

    # tensors throughout: torch's exporter rounds some of Python's numbers to float32
    def constant(value: object) -> Tensor:
        return torch.tensor(value, dtype=torch.float64)

    def ratio(coefficients: tuple[tuple[float, ...], ...], x: Tensor) -> Tensor:
        first, *others = constant(coefficients).T
        above, below = first
        for top, bottom in others:
            above, below = above * x + top, below * x + bottom
        return above / below

    p = torch.minimum(torch.maximum(p, constant(TAIL)), constant(1 - TAIL))
    centred = p - constant(0.5)
    middle = centred * ratio(_MIDDLE, constant(0.180625) - centred * centred)
    far = (-torch.minimum(p, constant(1) - p).log()).sqrt()
    tail = ratio(_TAILS, far - constant(1.6))
    tail = torch.where(centred < 0, -tail, tail)
    return torch.where(centred.abs() <= constant(0.425), middle, tail)
