import torch

from allmlp.layers.layout import show_map, show_places, show_tokens, show_vector


def test_maps_and_tokens_are_each_others_inverse() -> None:
    tokens = torch.randn(2, 6, 4)
    as_map = show_tokens(tokens, "NCHW", (2, 3))
    assert torch.equal(as_map[:, :, 1, 2], tokens[:, 5])
    assert torch.equal(show_map(as_map, "NLC"), tokens)
    assert show_tokens(tokens, "NLC", (2, 3)) is tokens
    assert show_map(as_map, "NCHW") is as_map


def test_channels_last_and_single_places() -> None:
    places = torch.randn(2, 3, 4, 5)
    assert torch.equal(show_places(places, "NCHW")[:, 4], places[..., 4])
    assert torch.equal(show_places(places, "NLC")[:, 1 * 4 + 2], places[:, 1, 2])
    vector = torch.randn(2, 4)
    assert torch.equal(show_vector(vector, "NCHW"), vector.view(2, 4, 1, 1))
    assert torch.equal(show_vector(vector, "NLC"), vector.view(2, 1, 4))
