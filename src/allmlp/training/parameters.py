"""Which parameters decay."""

from typing import Any

from torch import nn

__all__ = ["decay_groups"]


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two parameter groups: matrices decay; biases, norms and scales do not.

    Decay pulls towards zero. That regularises a linear map, but would merely detune a bias or the
    gain of a norm, so everything with fewer than two axes is exempt, and whatever the model or a
    part of it names in `no_weight_decay()`. Frozen parameters are left out, shared ones
    counted once.

    Args:
        model: any module.
        weight_decay: decoupled, per unit of learning rate (AdamW's).

    Returns:
        Groups for a torch optimizer; an empty one is left out.
    """
    exempt_names = {
        f"{path}.{name}" if path else name
        for path, part in model.named_modules()
        if hasattr(part, "no_weight_decay")
        for name in part.no_weight_decay()
    }
    decayed: list[nn.Parameter] = []
    exempt: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            spared = parameter.ndim < 2 or name in exempt_names
            (exempt if spared else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": exempt, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
