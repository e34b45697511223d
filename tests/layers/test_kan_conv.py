import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from allmlp.errors import AllmlpError
from allmlp.layers import KANConv1d, KANConv2d, KANConv3d, KANLinear
from allmlp.ops import basis_convolution
from allmlp.ops.tiles import SplineTiles, kernels

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


def test_holds_its_input_alone() -> None:
    conv = KANConv2d(4, 4, 3)
    x = torch.randn(2, 4, 8, 8, requires_grad=True)
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        conv(x)
    state = sum(t.nbytes for t in conv.state_dict().values())
    assert sum(kept.values()) <= x.nbytes + state


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("pad", ["input", "basis"])
def test_tiles_of_images_change_nothing(
    groups: int, pad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"stride": 2, "padding": 1, "groups": groups, "bias": True}
    conv = KANConv2d(4, 6, 3, pad=pad, **options).double()
    x = torch.randn(5, 4, 6, 7, dtype=F64).transpose(2, 3).requires_grad_()
    inputs = [x, *conv.parameters()]

    def whole() -> Tensor:  # as torch would do it
        padded = F.pad(x, (1, 1, 1, 1)) if pad == "input" else x
        values = conv.basis(padded.movedim(1, -1))  # (b, h, w, m, c)
        grouped = values.unflatten(-1, (groups, -1)).movedim(-2, -3).flatten(-3).movedim(-1, 1)
        border = 0 if pad == "input" else 1
        y = F.conv2d(grouped, conv.spline_weight, conv.bias, 2, border, 1, groups)
        return y + F.conv2d(F.silu(padded), conv.base_weight, None, 2, border, 1, groups)

    fills = []
    fill = SplineTiles.fill

    def counted(self: SplineTiles, basis: Tensor, rows: slice, s: Tensor | None) -> None:
        fills.append(basis.numel())
        fill(self, basis, rows, s)

    monkeypatch.setattr(SplineTiles, "fill", counted)
    monkeypatch.setattr(
        basis_convolution, "TILE", 2 * 32 * (72 if pad == "input" else 42)
    )  # images
    ours, expected = conv(x), whole()
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    pairs = zip(
        torch.autograd.grad(ours.square().sum(), inputs),
        torch.autograd.grad(expected.square().sum(), inputs),
        strict=True,
    )
    for mine, its in pairs:
        torch.testing.assert_close(mine, its, rtol=1e-11, atol=1e-11)
    if kernels() is not None:
        assert len(fills) == 2 * 3  # there and back, five images by two
        assert max(fills) <= basis_convolution.TILE


def test_batches_of_one_and_none_and_many_cotangents() -> None:
    conv = KANConv1d(2, 3, 2).double()
    x = torch.randn(3, 2, 4, dtype=F64, requires_grad=True)
    assert conv(x[:0]).shape == (0, 3, 3)
    torch.testing.assert_close(conv(x)[1:2], conv(x[1:2]))
    rows = torch.autograd.functional.jacobian(conv, x, vectorize=True)
    torch.testing.assert_close(rows, torch.autograd.functional.jacobian(conv, x))


def test_autocast_gives_its_dtype_and_gradients_of_the_weights() -> None:
    conv = KANConv2d(4, 6, 3)
    x = torch.randn(2, 4, 5, 5, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = conv(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), conv(x), rtol=0, atol=0.1)
    y.float().square().sum().backward()
    low = conv.spline_weight.grad
    (exact,) = torch.autograd.grad(conv(x).square().sum(), conv.spline_weight)
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, exact, rtol=0, atol=0.05 * exact.abs().max().item())


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
