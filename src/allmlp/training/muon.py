"""Muon for the matrices between layers, AdamW for everything else, as one optimizer.

Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; the common learning rate is Liu et
al.'s (Muon is scalable for LLM training, 2025, arXiv:2502.16982): steps of AdamW's usual size.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Muon, Optimizer

from allmlp.errors import AllmlpError
from allmlp.training.layer_decay import layer_depths

__all__ = ["MuonAdamW", "hidden_matrices"]


class MuonAdamW(Optimizer):
    """`torch.optim.Muon` and `torch.optim.AdamW` with one set of groups and one state.

    Schedulers and checkpoints see an ordinary optimizer. Muon's steps are scaled by 0.2
    sqrt(max(rows, columns)), which makes them as large as AdamW's: one learning rate and one decay
    serve both.

    Args:
        params: groups; those that Muon updates have `"muon": True`.
        lr: of both.
        weight_decay: of both, decoupled, per unit of learning rate.
        momentum: of Muon, with Nesterov's look-ahead.
        ns_steps: Newton-Schulz steps that make Muon's update nearly orthogonal.
        betas: of AdamW.
        eps: of AdamW.

    Raises:
        AllmlpError: nothing for Muon to update.
        ValueError: a setting that torch's optimizers refuse.
    """

    def __init__(
        self,
        params: Sequence[dict[str, Any]],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ):
        matrices = [group for group in params if group.get("muon")]
        others = [{**group, "muon": False} for group in params if not group.get("muon")]
        if not matrices:
            raise AllmlpError(
                "Muon needs matrices between the first layer and the head that are trained, got "
                "none; use adamw"
            )
        self._muon = Muon(
            matrices,
            lr=lr,
            weight_decay=weight_decay,
            momentum=momentum,
            ns_steps=ns_steps,
            adjust_lr_fn="match_rms_adamw",
        )
        groups = self._muon.param_groups
        self._adamw = None
        if others:
            self._adamw = AdamW(others, lr=lr, weight_decay=weight_decay, betas=betas, eps=eps)
            groups = groups + self._adamw.param_groups
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step of both.

        Args:
            closure: evaluates the loss again.

        Returns:
            What the closure does.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for optimizer, muon in ((self._muon, True), (self._adamw, False)):
            if optimizer is not None:
                # loading a state replaces both, hence anew at every step
                optimizer.param_groups = [g for g in self.param_groups if g["muon"] is muon]
                optimizer.state = self.state
                optimizer.step()
        return loss


def hidden_matrices(model: nn.Module) -> set[str]:
    """Names of the parameters that Muon is for.

    Trained matrices (two axes) between the first layer and the last: no embedding tables, and
    nothing that the model exempts from decay, whose two axes are no linear map. Layers are those of
    `model.group_matcher()`; without one, the first and the last matrix in order of definition are
    left out.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(2, 9), nn.Linear(9, 9), nn.LayerNorm(9), nn.Linear(9, 3))
        >>> hidden_matrices(net)
        {'1.weight'}
    """
    exempt = set(model.no_weight_decay()) if hasattr(model, "no_weight_decay") else set()
    exempt |= {
        f"{name}.weight".lstrip(".")
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding | nn.EmbeddingBag)
    }
    names = [n for n, p in model.named_parameters() if p.ndim == 2 and n not in exempt]
    if hasattr(model, "group_matcher"):
        depths = layer_depths(model)
        inner = {n for n in names if 0 < depths[n] < max(depths.values())}
    else:
        inner = set(names[1:-1])
    return {n for n, p in model.named_parameters() if n in inner and p.requires_grad}
