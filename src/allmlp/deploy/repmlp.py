"""RepMLPNet's branches into its matrices, and its batch norms into their neighbours.

Paper: Ding et al. 2022, arXiv:2112.11081, §3.3 (locality injection); the norms before and after the
channel MLP are folded beyond that.
Axes: d width, m hidden width, s share-sets, n places.
"""

import copy
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.layers.batch_norm import scale_and_shift
from allmlp.layers.share_sets import ConvNorm, ShareSetLinear, TrainingMix
from allmlp.models.repmlp import RepMLPNet, RepMLPUnit

__all__ = ["inject_locality", "merge_repmlpnet"]

Merged = tuple[Tensor, Tensor]  # weight and bias, float64


@torch.no_grad()
def inject_locality(model: RepMLPNet) -> RepMLPNet:
    """The authors' deploy form: branches in the matrices, all other batch norms as they were.

    It can be fine-tuned where `reparameterize` leaves no norm. Injecting twice is injecting once.

    Args:
        model: in eval mode; it stays as it is.

    Raises:
        AllmlpError: the model is in training mode, or has no batch norms left.
    """
    if model.config.form == "injected":
        return copy.deepcopy(model)
    if model.config.form == "deploy" or model.training:
        raise AllmlpError(
            "branches are injected from the training form, in eval mode; this model is in "
            f"{'training mode' if model.training else 'the deploy form'}"
        )
    state = {k: t for k, t in model.state_dict().items() if not _of_branches(k)}
    for name, mix in model.named_modules():
        if isinstance(mix, TrainingMix):
            state |= _named(f"{name}.places", mix.merged())
    return _rebuilt(model, "injected", state)


def merge_repmlpnet(model: RepMLPNet) -> RepMLPNet:
    """The deploy form of a model in eval mode, as `reparameterize` promises it."""
    if model.config.form == "deploy":
        return copy.deepcopy(model)
    injected = inject_locality(model)
    state: dict[str, Tensor] = {}
    for name, module in injected.named_modules():
        if isinstance(module, RepMLPUnit):
            assert isinstance(module.fc1, ConvNorm)  # the injected form
            assert isinstance(module.fc2, ConvNorm)
            assert isinstance(module.channel_norm, nn.BatchNorm2d)
            state |= _named(f"{name}.fc1", _merge_norm_before(module.channel_norm, module.fc1))
            state |= _named(f"{name}.fc2", module.fc2.merged())
        elif isinstance(module, ConvNorm) and not name.endswith((".fc1", ".fc2")):
            state |= _named(name, module.merged())
        elif isinstance(module, nn.BatchNorm2d) and (name == "norm" or "mix_norm" in name):
            state |= _named(name, scale_and_shift(module))
        elif isinstance(module, ShareSetLinear | nn.Linear):
            state |= {f"{name}.{key}": t for key, t in module.state_dict().items()}
    return _rebuilt(model, "deploy", state)


def _merge_norm_before(norm: nn.BatchNorm2d, layer: ConvNorm) -> Merged:
    """A norm, a 1 × 1 convolution and its norm: `W diag(scale)` and `W shift` beside the bias."""
    weight, bias = layer.merged()
    scale, shift = scale_and_shift(norm)
    return weight * scale[:, None, None], bias + weight[:, :, 0, 0] @ shift


def _of_branches(key: str) -> bool:
    return any(part in key for part in (".mix.norm.", ".mix.branches.", ".mix.places."))


def _named(name: str, merged: Merged) -> dict[str, Tensor]:
    return {f"{name}.weight": merged[0], f"{name}.bias": merged[1]}


def _rebuilt(
    model: RepMLPNet, form: Literal["injected", "deploy"], state: dict[str, Tensor]
) -> RepMLPNet:
    """A model of another form with these tensors, on the first one's device and in its dtype."""
    with torch.device("meta"):  # draws nothing
        rebuilt = RepMLPNet(replace(model.config, form=form))
    like = next(model.parameters())
    own = {
        key: (t.to(like) if t.is_floating_point() else t).clone(
            memory_format=torch.contiguous_format
        )
        for key, t in state.items()
    }
    rebuilt.load_state_dict(own, assign=True)
    for parameter in rebuilt.parameters():
        parameter.requires_grad_(True)
    return rebuilt.eval()
