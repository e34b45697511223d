"""An optimizer's running means, carried to a KAN on other grids.

A model with other coefficients needs a new optimizer; a new one has forgotten everything. Either is
right: resetting is what a new optimizer does, carrying over is what this module does.
"""

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from allmlp.errors import AllmlpError
from allmlp.layers.bspline import BSplineBasis
from allmlp.layers.kan import KANLinear
from allmlp.layers.kan_grid import change_matrix
from allmlp.ops.spline_transfer import carry_gradient

__all__ = ["carry_moments"]

# what Adam, AdamW, RAdam, NAdam, Adamax (its infinity norm left out) and SGD keep of a gradient
_MEANS = {"exp_avg": 1, "momentum_buffer": 1, "exp_avg_sq": 2, "max_exp_avg_sq": 2}
_COUNTS = {"step", "mu_product"}


def carry_moments(
    old_optimizer: Optimizer, new_optimizer: Optimizer, old: nn.Module, new: nn.Module
) -> None:
    """Give a new optimizer what the old one remembers, in terms of the new coefficients.

    Parameters are matched by their names. Those of splines on another grid get their means as
    gradients by the new coefficients (`ops.spline_transfer.carry_gradient`), others of equal shape
    as they are, and all further ones start afresh.

    Args:
        old_optimizer: over parameters of `old`.
        new_optimizer: over parameters of `new`; what it remembers of them is replaced.
        old: a model with KAN layers.
        new: what `refine` or `update_grid` made of it.

    Raises:
        AllmlpError: the optimizer remembers something else than running means (LBFGS its old
            directions): start it afresh.

    Example:
        >>> import torch
        >>> from allmlp.models.kan import KAN
        >>> model = KAN([2, 3, 1])
        >>> adam = torch.optim.Adam(model.parameters())
        >>> refined = model.refine(10)
        >>> new_adam = torch.optim.Adam(refined.parameters())
        >>> carry_moments(adam, new_adam, model, refined)
    """
    splines = _moved_splines(old, new)
    held = {id(p) for group in new_optimizer.param_groups for p in group["params"]}
    theirs = dict(old.named_parameters())
    for name, parameter in new.named_parameters():
        if name not in theirs or id(parameter) not in held:
            continue
        state = old_optimizer.state.get(theirs[name], {})
        if not state:
            continue
        change = splines.get(name)
        if change is None and theirs[name].shape != parameter.shape:
            continue
        new_optimizer.state[parameter] = {
            key: _carried(key, value, change) for key, value in state.items()
        }


def _moved_splines(old: nn.Module, new: nn.Module) -> dict[str, tuple[BSplineBasis, BSplineBasis]]:
    """Names of spline weights whose knots differ, with both bases."""
    layers = dict(old.named_modules())
    moved = {}
    for name, layer in new.named_modules():
        before = layers.get(name)
        if not (isinstance(layer, KANLinear) and isinstance(before, KANLinear)):
            continue
        mine, theirs = layer.basis, before.basis
        if not (isinstance(mine, BSplineBasis) and isinstance(theirs, BSplineBasis)):
            continue
        if not torch.equal(mine.knots, theirs.knots):
            moved[f"{name}.spline_weight".lstrip(".")] = (theirs, mine)
    return moved


def _carried(key: str, value: object, change: tuple[BSplineBasis, BSplineBasis] | None) -> object:
    if key in _COUNTS or (key in _MEANS and value is None):
        return value.clone() if isinstance(value, Tensor) else value
    if key not in _MEANS or not isinstance(value, Tensor):
        raise AllmlpError(
            f"only running means of gradients can be carried over, this optimizer keeps {key!r}; "
            "start it afresh"
        )
    if change is None:
        return value.clone()
    old, new = change
    carried = carry_gradient(
        value.double().permute(2, 1, 0),  # (o, m, i) to (i, m, o)
        change_matrix(old, new),
        old.knots.double(),
        new.knots.double(),
        new.k,
        power=_MEANS[key],
    )
    return carried.permute(2, 1, 0).to(value).contiguous()
