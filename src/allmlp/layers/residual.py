"""How a branch comes back to the stream it left, by name.

A model takes a factory from its width to a module of two arguments, stream and branch, and knows
nothing else about it. `layers.LayerScale` is a third kind, with parameters.
"""

from collections.abc import Callable, Iterable, Mapping

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_choice

__all__ = ["RESIDUALS", "NoResidual", "Residual", "check_residual"]


class Residual(nn.Module):
    """The sum of two tensors of one shape."""

    def forward(
        self, x: Float[Tensor, "..."], branch: Float[Tensor, "..."]
    ) -> Float[Tensor, "..."]:
        return x + branch


class NoResidual(nn.Module):
    """The branch alone, to see what the sum is worth."""

    def forward(
        self, x: Float[Tensor, "..."], branch: Float[Tensor, "..."]
    ) -> Float[Tensor, "..."]:
        return branch


RESIDUALS: Mapping[str, Callable[[int], nn.Module]] = {
    "sum": lambda width: Residual(),
    "none": lambda width: NoResidual(),
}


def check_residual(
    owner: str, kind: str, drop_path_rate: float, known: Iterable[str] = RESIDUALS
) -> None:
    """Require a known kind, and a stream where branches may be dropped.

    Raises:
        AllmlpError: an unknown kind; or `none` with stochastic depth, which would leave zeros.
    """
    check_choice("residual", kind, known)
    if kind == "none" and drop_path_rate > 0:
        raise AllmlpError(
            f"{owner} without residuals has no path around a dropped branch, got "
            f"drop_path_rate={drop_path_rate}; set it to 0"
        )
