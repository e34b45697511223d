"""The maximal update parametrisation: one learning rate for every width.

Paper: Yang et al. 2022, Tensor Programs V, arXiv:2203.03466, table 3 (no multipliers in the forward
pass: the net stays an ordinary one).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_choice, listing
from allmlp.layers import MemberScale

__all__ = ["MupRule", "mup_groups", "mup_rules"]

Kind = Literal["input", "hidden", "output", "fixed"]


@dataclass(frozen=True)
class MupRule:
    """How one parameter scales with the width.

    Args:
        kind: `input`, if the outputs alone grow with the width: first layers, biases, norms.
            `hidden`: outputs and inputs; `output`: the inputs alone; `fixed`: neither.
        fan_in: inputs over those of the base; 1 if they do not grow.
        fan_out: outputs over those of the base.
    """

    kind: Kind
    fan_in: float
    fan_out: float

    def lr_factor(self, optimizer: Literal["adam", "sgd"]) -> float:
        """The learning rate over that of the base."""
        if optimizer == "adam":
            return 1 / self.fan_in
        return self.fan_out if self.kind == "input" else 1 / self.fan_in * self.fan_out


def mup_rules(model: nn.Module, base: nn.Module) -> dict[str, MupRule]:
    """The rule of every trained parameter, by comparing shapes with a narrower model.

    Args:
        model: as it is trained.
        base: the same net at the base width; the `meta` device will do, its weights are not read.

    Raises:
        AllmlpError: the two differ in more than sizes.

    Example:
        >>> def net(width: int) -> nn.Module:
        ...     return nn.Sequential(nn.Linear(9, width), nn.Linear(width, width))
        >>> rule = mup_rules(net(256), net(64))["1.weight"]
        >>> rule.kind, rule.lr_factor("adam")
        ('hidden', 0.25)
    """
    small: Mapping[str, Tensor] = dict(base.named_parameters())
    large = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if dict(model.named_parameters()).keys() != small.keys():
        differ = sorted(dict(model.named_parameters()).keys() ^ small.keys())
        raise AllmlpError(
            f"model and base must have the same parameters, but differ in {listing(differ)}; "
            "build both by one function of the width"
        )
    tables = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding | nn.EmbeddingBag)
    }
    scales = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, MemberScale)
    }
    rules = {}
    for name, p in large.items():
        shapes = tuple(p.shape), tuple(small[name].shape)
        if name in tables:  # (levels, width): a matrix that is multiplied from the other side
            shapes = shapes[0][::-1], shapes[1][::-1]
        elif name in scales:  # (members, width): a vector for each member, that multiplies entries
            shapes = shapes[0][1:], shapes[1][1:]
        rules[name] = _rule(name, *shapes)
    return rules


def _rule(name: str, shape: tuple[int, ...], base: tuple[int, ...]) -> MupRule:
    if len(shape) != len(base):
        raise AllmlpError(
            f"{name} must have as many axes in model and base, got {shape} and {base}"
        )
    # (out, in, ...): what lies behind the second axis is no width
    fan_out = shape[0] / base[0] if len(shape) else 1.0
    fan_in = math.prod(shape[1:]) / math.prod(base[1:]) if len(shape) > 1 else 1.0
    kinds: dict[tuple[bool, bool], Kind] = {
        (False, False): "fixed",
        (False, True): "input",
        (True, False): "output",
        (True, True): "hidden",
    }
    return MupRule(kinds[fan_in != 1, fan_out != 1], fan_in, fan_out)


def mup_groups(
    groups: Sequence[dict[str, Any]],
    model: nn.Module,
    base: nn.Module,
    lr: float,
    *,
    optimizer: Literal["adam", "sgd"] = "adam",
) -> list[dict[str, Any]]:
    """Split parameter groups by what width does to them, each with its learning rate.

    With Adam and its like hidden and output weights learn at lr over the growth of their inputs,
    all others at lr. With SGD hidden weights learn at lr, first layers and vectors at lr times the
    growth of their outputs, output weights at lr over that of their inputs. Decoupled decay is kept
    constant per step: a group's `weight_decay` grows as its learning rate shrinks.

    The start belongs to it: weights of variance 1 / fan_in (times a gain), the last layer at zero
    (`MLP(..., init="mup")`), and the learning rate found at the base width.

    Args:
        groups: for a torch optimizer, of the model's parameters (`decay_groups`); a group's own
            `lr` is scaled instead of `lr`.
        model: as it is trained.
        base: the same net at the base width, on the `meta` device for example.
        lr: at the base width.
        optimizer: `adam` for all whose steps do not grow with the gradient (AdamW, Lion), or `sgd`.
            Muon's steps have another scale and need no such rule.

    Raises:
        AllmlpError: the two models differ in more than sizes, or a group holds something else.

    Example:
        >>> import torch
        >>> from torch.optim import AdamW
        >>> from allmlp import MLP
        >>> from allmlp.training import decay_groups
        >>> with torch.device("meta"):
        ...     base = MLP(9, 1, (64, 64), init="mup")
        >>> net = MLP(9, 1, (256, 256), init="mup")
        >>> tuned = AdamW(mup_groups(decay_groups(net, 0.1), net, base, lr=0.01))
        >>> [(group["lr"], group["weight_decay"]) for group in tuned.param_groups]
        [(0.01, 0.1), (0.0025, 0.4), (0.01, 0.0)]
    """
    check_choice("optimizer", optimizer, ("adam", "sgd"))
    factors = {name: rule.lr_factor(optimizer) for name, rule in mup_rules(model, base).items()}
    # what is frozen has no rule and needs none
    of_parameter = {id(p): factors.get(name, 1.0) for name, p in model.named_parameters()}
    split = []
    for group in groups:
        shared: dict[float, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            if id(parameter) not in of_parameter:
                raise AllmlpError(
                    f"groups must hold parameters of the model, got another of shape "
                    f"{tuple(parameter.shape)}; make the groups of this model"
                )
            shared.setdefault(of_parameter[id(parameter)], []).append(parameter)
        for factor, parameters in shared.items():
            scaled = {**group, "params": parameters, "lr": group.get("lr", lr) * factor}
            if "weight_decay" in group:
                scaled["weight_decay"] = group["weight_decay"] / factor
            split.append(scaled)
    return split
