import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from allmlp.errors import AllmlpError
from allmlp.layers import KANConv1d, KANConv2d, KANConv3d, KANLinear

F64 = torch.float64


def test_is_a_kan_layer_on_patches() -> None:
    conv = KANConv2d(2, 3, 3, stride=2, padding=1, dilation=1, grid=4).double()
    x = torch.randn(2, 2, 7, 6, dtype=F64)
    # the same layer on unfolded patches: padded zeros are inputs like any other
    patches = F.unfold(x, 3, padding=1, stride=2).mT
    layer = KANLinear(18, 3, grid=4).double()
    spline = conv.spline_weight.unflatten(1, (-1, 2)).flatten(2)
    layer.load_state_dict(
        {
            "spline_weight": spline,
            "base_weight": conv.base_weight.flatten(1),
            "basis.knots": layer.basis.knots,
        }
    )
    expected = layer(patches).mT.unflatten(2, (4, 3))
    torch.testing.assert_close(conv(x), expected, rtol=1e-12, atol=1e-12)


def test_the_order_of_the_peers_lets_padding_contribute_nothing() -> None:
    ours = KANConv1d(1, 1, 3, padding=1).double()
    theirs = KANConv1d(1, 1, 3, padding=1, pad="basis").double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(1, 1, 5, dtype=F64)
    difference = (ours(x) - theirs(x))[0, 0]
    assert not difference[1:-1].any()
    at_zero = ours.basis(torch.zeros(1, 1, dtype=F64))[0, :, 0]
    # phi(0) of the first and of the last position; silu(0) = 0
    torch.testing.assert_close(difference[0], at_zero @ ours.spline_weight[0, :, 0])
    torch.testing.assert_close(difference[-1], at_zero @ ours.spline_weight[0, :, 2])


@pytest.mark.parametrize("kind", [KANConv1d, KANConv2d, KANConv3d])
def test_groups_are_convolutions_of_their_own(kind: type[nn.Module]) -> None:
    axes = kind.axes
    whole = kind(4, 6, 2, groups=2).double()
    parts = [kind(2, 3, 2).double() for _ in range(2)]
    state = whole.state_dict()
    for n, part in enumerate(parts):
        rows = {name: state[name][3 * n : 3 * n + 3] for name in ("spline_weight", "base_weight")}
        part.load_state_dict({**part.state_dict(), **rows})
    x = torch.randn(2, 4, *(4,) * axes, dtype=F64)
    expected = torch.cat([part(x[:, 2 * n : 2 * n + 2]) for n, part in enumerate(parts)], dim=1)
    torch.testing.assert_close(whole(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("basis", ["bspline", "chebyshev"])
def test_derivatives(basis: str) -> None:
    conv = KANConv1d(2, 2, 2, basis=basis, bias=True).double()
    x = torch.randn(1, 2, 4, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(conv, x)
    assert torch.autograd.gradgradcheck(conv, x, fast_mode=True)


def test_start_has_the_spread_of_a_layer_of_equal_fan_in() -> None:
    x = 2 * torch.rand(20, 8, 12, 12) - 1
    for groups in (1, 4):
        conv = KANConv2d(8, 64, 3, base=None, groups=groups)
        assert conv(x).std().item() == pytest.approx(1, rel=0.12)


def test_holds_the_values_of_the_basis_and_no_more() -> None:
    conv = KANConv2d(4, 4, 3, base=None)
    x = torch.randn(2, 4, 8, 8, requires_grad=True)
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        conv(x)
    state = conv.spline_weight.nbytes + conv.basis.knots.nbytes
    assert sum(kept.values()) <= x.nbytes * (1 + conv.basis.size) + state


def test_mistakes_are_answered() -> None:
    with pytest.raises(AllmlpError, match="divisible by groups=3, got 4 in and 6 out"):
        KANConv2d(4, 6, 3, groups=3)
    with pytest.raises(AllmlpError, match=r"one kernel_size or 2, got \(3, 3, 3\)"):
        KANConv2d(4, 6, (3, 3, 3))
    with pytest.raises(AllmlpError, match="integer stride of at least 1, got 0"):
        KANConv2d(4, 6, 3, stride=0)
    with pytest.raises(AllmlpError, match=r"\(batch, 4, 2 spatial axes\) but got \(1, 3, 5, 5\)"):
        KANConv2d(4, 6, 3)(torch.zeros(1, 3, 5, 5))
    with pytest.raises(AllmlpError, match="unknown pad 'zeros'"):
        KANConv2d(4, 6, 3, pad="zeros")
