"""Dropout before batch norm: a pair that behaves differently in training and in evaluation.

Dropout raises the mean square of what it lets through by 1 / (1 - rate), in training alone. A batch
norm behind it learns that variance and applies it in evaluation, where it is wrong: the variance
shift of Li et al. 2019, arXiv:1801.05134.
"""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["dropout_before_batch_norm"]

_DROPOUTS = (
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout,
)  # fmt: skip


def dropout_before_batch_norm(model: nn.Module) -> list[tuple[str, str]]:
    """Each batch norm with dropout somewhere before it, and the nearest such dropout.

    Order is that of definition, which is that of execution in a chain. Dropouts of rate 0 do not
    count.

    Returns:
        (dropout, batch norm) by name, in the order of the norms.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.1), nn.BatchNorm1d(3))
        >>> dropout_before_batch_norm(net)
        [('1', '2')]
    """
    pairs = []
    last = None
    for name, module in model.named_modules():
        if isinstance(module, _DROPOUTS) and module.p > 0:
            last = name
        elif isinstance(module, _BatchNorm) and last is not None:
            pairs.append((last, name))
    return pairs
