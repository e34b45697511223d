"""What every converter takes and gives."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from allmlp.errors import AllmlpError

__all__ = [
    "Converted",
    "Converter",
    "Pulled",
    "Settings",
    "State",
    "count_layers",
    "square_grid",
]

State = dict[str, Tensor]
# what a settings file beside the weights says
Settings = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Converted:
    """Our tensors, the config they fit, and what was renamed."""

    format: str  # of the file
    family: str
    config: Any  # inferred from shapes; what shapes cannot tell follows the format's own code
    state: State
    renamed: tuple[tuple[str, str], ...]  # (their key, our key)
    notes: tuple[str, ...] = ()  # what became another function, and by how much


@runtime_checkable
class Converter(Protocol):
    """One foreign format of one architecture."""

    @property
    def format(self) -> str:
        """Whose format, as printed."""
        ...

    @property
    def family(self) -> str:
        """A key of `zoo.registry.FAMILIES`."""
        ...

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether the keys are this format's."""
        ...

    def convert(
        self,
        state: Mapping[str, Tensor],
        img_size: tuple[int, int] | None,
        settings: Settings,
    ) -> Converted:
        """Rename and transpose.

        Args:
            state: foreign tensors.
            img_size: pixels; needed only where the number of tokens does not tell (no square).
            settings: of the format's own settings file, where it has one; empty without.

        Raises:
            AllmlpError: tensors are missing, left over, or of shapes that do not fit together.
        """
        ...


class Pulled:
    """A foreign state that is emptied key by key, so that nothing is forgotten.

    Args:
        format: the foreign format, for messages.
        state: foreign tensors.
    """

    def __init__(self, format: str, state: Mapping[str, Tensor]):
        self.format = format
        self.rest = dict(state)
        self.ours: State = {}
        self.renamed: list[tuple[str, str]] = []

    def take(
        self, theirs: str, ours: str, change: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """Move one tensor to our name, reshaped by `change`.

        Raises:
            AllmlpError: there is no such foreign tensor.
        """
        if theirs not in self.rest:
            raise AllmlpError(f"the file looks like {self.format} but lacks {theirs}; is it whole?")
        tensor = self.rest.pop(theirs)
        self.ours[ours] = (change(tensor) if change else tensor).contiguous()
        self.renamed.append((theirs, ours))
        return self.ours[ours]

    def done(self) -> None:
        """Require that nothing is left.

        Raises:
            AllmlpError: foreign tensors nobody asked for.
        """
        if self.rest:
            keys = ", ".join(sorted(self.rest)[:5]) + (", …" if len(self.rest) > 5 else "")
            raise AllmlpError(
                f"the file looks like {self.format} but has {len(self.rest)} tensors more than "
                f"that ({keys}); it is of another network"
            )


def count_layers(format: str, keys: Iterable[str], pattern: str, *, first: int = 0) -> int:
    r"""How many layers keys name, numbered from `first` on without a gap.

    Args:
        format: for messages.
        keys: of the state dict.
        pattern: of a key that every layer has, its number in parentheses.
        first: the number of the first layer.

    Raises:
        AllmlpError: a number is missing.

    Example:
        >>> count_layers("pykan", ["act_fun.0.coef", "act_fun.1.coef"], r"act_fun\.(\d+)\.coef")
        2
    """
    numbers = {int(m[1]) for key in keys if (m := re.fullmatch(pattern, key))}
    missing = set(range(first, first + len(numbers))) - numbers
    if missing:
        raise AllmlpError(f"this {format} file lacks layer {min(missing)}; is it whole?")
    return len(numbers)


def square_grid(
    format: str, num_tokens: int, patch_size: int, img_size: tuple[int, int] | None
) -> tuple[int, int]:
    """The image size that gives `num_tokens` patches: the stated one, or a square.

    Raises:
        AllmlpError: the stated size gives another number, or none is stated and there is no square.
    """
    if img_size is None:
        side = round(num_tokens**0.5)
        if side * side != num_tokens:
            raise AllmlpError(
                f"this {format} file mixes {num_tokens} tokens, which is no square grid; "
                "state the image size"
            )
        return side * patch_size, side * patch_size
    tokens = (img_size[0] // patch_size) * (img_size[1] // patch_size)
    if tokens != num_tokens:
        raise AllmlpError(
            f"this {format} file mixes {num_tokens} tokens, images of {img_size[0]}x{img_size[1]} "
            f"have {tokens} patches of {patch_size} pixels; state the size it was made for"
        )
    return img_size
