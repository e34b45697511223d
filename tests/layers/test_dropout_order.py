from torch import nn

from allmlp.layers import dropout_before_batch_norm


def test_pairs_are_named() -> None:
    net = nn.Sequential(
        nn.BatchNorm1d(4),
        nn.Dropout(0.2),
        nn.Linear(4, 4),
        nn.BatchNorm1d(4),
        nn.AlphaDropout(0.1),
        nn.Sequential(nn.BatchNorm1d(4)),
        nn.Dropout(0.5),
    )
    assert dropout_before_batch_norm(net) == [("1", "3"), ("4", "5.0")]


def test_nothing_to_say() -> None:
    assert not dropout_before_batch_norm(nn.Sequential(nn.Dropout(0.0), nn.BatchNorm1d(2)))
    assert not dropout_before_batch_norm(nn.Sequential(nn.Dropout(0.3), nn.LayerNorm(2)))
