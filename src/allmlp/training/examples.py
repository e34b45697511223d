"""Examples of one's own as batches: tensors that stay on the device, or any loader.

Axes: b batch, n examples.
"""

import math
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from allmlp.data import epoch_generator
from allmlp.errors import AllmlpError

__all__ = ["Arrays", "Examples", "Loader", "Place"]

# inputs, targets and, where examples count differently, their weights
Batch = tuple[Tensor, ...]


class Place:
    """Where batches go: the model's device, floats in its dtype.

    Args:
        device: of the model.
        dtype: of its parameters. Numbers from numpy are float64 mostly, models float32: floats of
            inputs and targets are converted, integers (tokens, labels) are not.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype):
        self.device = device
        self.dtype = dtype

    def tensor(self, values: Any, name: str) -> Tensor:
        """`values` there.

        Raises:
            AllmlpError: they are neither a tensor nor a numpy array, or of another type than
                numbers.
        """
        if isinstance(values, np.ndarray):
            if values.dtype.kind not in "fiub":
                raise AllmlpError(f"{name} must be numbers, got an array of {values.dtype}")
            values = torch.from_numpy(np.ascontiguousarray(values))
        if not isinstance(values, Tensor):
            raise AllmlpError(
                f"{name} must be a tensor or a numpy array, got {type(values).__name__}"
            )
        dtype = self.dtype if values.is_floating_point() else values.dtype
        return values.detach().to(self.device, dtype)

    def batch(self, values: Any) -> Batch:
        """A pair of inputs and targets there.

        Raises:
            AllmlpError: it is no such pair, or they are of different lengths.
        """
        if not isinstance(values, tuple | list) or len(values) != 2:
            raise AllmlpError(
                f"examples are pairs of (inputs, targets), got {type(values).__name__}"
            )
        inputs, targets = self.tensor(values[0], "inputs"), self.tensor(values[1], "targets")
        counts = [len(t) if t.ndim else None for t in (inputs, targets)]
        if None in counts or counts[0] != counts[1]:
            raise AllmlpError(
                "inputs and targets need one row per example each, got shapes "
                f"{tuple(inputs.shape)} and {tuple(targets.shape)}"
            )
        if counts[0] == 0:
            raise AllmlpError("at least one example is needed, got 0")
        if targets.dtype in (torch.int8, torch.int16, torch.int32, torch.uint8):
            targets = targets.long()
        return inputs, targets

    def weights(self, values: Any, count: int) -> Tensor:
        """Weights of so many examples there, divided by their mean.

        Raises:
            AllmlpError: they are not one number for each, negative, not finite, or all zero.
        """
        # in float64: the mean of many float32 is off in the last digits
        weights = Place(self.device, torch.float64).tensor(values, "weights").double()
        if weights.shape != (count,):
            raise AllmlpError(
                f"weights must be one number for each of {count} examples, got shape "
                f"{tuple(weights.shape)}"
            )
        if not bool((weights >= 0).all() & weights.isfinite().all()) or not bool(weights.any()):
            raise AllmlpError("weights must be finite, not negative and not all zero")
        return (weights / weights.mean()).to(self.dtype)


@runtime_checkable
class Examples(Protocol):
    """Batches by epoch."""

    # batches of an epoch, if known
    length: int | None

    def first(self) -> Batch:
        """Some examples, to check before training."""
        ...

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of epoch number `epoch`, from 0."""
        ...

    def count(self) -> int:
        """Examples of an epoch, as far as known."""
        ...


class Arrays:
    """Whole tensors, indexed on their device: no row is ever touched alone.

    Args:
        batch: inputs, targets and perhaps weights, where they shall stay.
        batch_size: examples of a batch; the last one holds what remains.
        seed: with the epoch it decides the order; None keeps that of the tensors.
    """

    def __init__(self, batch: Batch, batch_size: int, seed: int | None):
        self.whole = batch
        self.batch_size = batch_size
        self.seed = seed
        self.length: int | None = math.ceil(self.count() / batch_size)

    def first(self) -> Batch:
        """All of them."""
        return self.whole

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """In an order that is a function of seed and epoch."""
        if self.length == 1:
            yield self.whole
        elif self.seed is None:
            yield from zip(*(part.split(self.batch_size) for part in self.whole), strict=True)
        else:
            order = torch.randperm(
                self.count(), generator=epoch_generator(self.seed, epoch, "order")
            )
            for rows in order.to(self.whole[0].device).split(self.batch_size):
                # half the cost of `part[rows]` on small batches
                yield tuple(part.index_select(0, rows) for part in self.whole)

    def count(self) -> int:
        """Rows."""
        return len(self.whole[0])


class Loader:
    """Any iterable of (inputs, targets) that can be iterated over again.

    Args:
        loader: a list of batches, a `DataLoader`, …
        place: where its batches go.

    Raises:
        AllmlpError: it is no iterable, can be iterated over only once, or is empty.
    """

    def __init__(self, loader: Iterable[Any], place: Place):
        if not hasattr(loader, "__iter__"):
            raise AllmlpError(
                f"examples are tensors or an iterable of batches, got {type(loader).__name__}"
            )
        if isinstance(loader, Iterator):
            raise AllmlpError(
                "a loader is iterated over once per epoch, and an iterator or generator has but "
                "one; pass a list or a DataLoader"
            )
        self.loader = loader
        self.place = place
        try:
            self.length: int | None = len(cast(Any, loader))
        except TypeError:
            self.length = None
        self._seen = 0
        # the beginning of the first epoch, which is not to be drawn twice
        self._begun: tuple[Batch, Iterator[Any]] | None = None

    def first(self) -> Batch:
        """The first batch; the first epoch will start with it."""
        if self._begun is None:
            rest = iter(self.loader)
            head = next(rest, None)
            if head is None:
                raise AllmlpError("the loader has no batches")
            self._begun = self.place.batch(head), rest
        return self._begun[0]

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """As the loader has them."""
        if self._begun is not None:
            (head, rest), self._begun = self._begun, None
            batches = chain([head], map(self.place.batch, rest))
        else:
            batches = chain([], map(self.place.batch, self.loader))
        self._seen = 0
        for batch in batches:
            self._seen += len(batch[0])
            yield batch
        if self._seen == 0:
            raise AllmlpError(f"the loader has no batches in epoch {epoch + 1}")

    def count(self) -> int:
        """Examples of the last epoch iterated over."""
        return self._seen
