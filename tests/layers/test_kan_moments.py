import pytest
import torch
import torch.utils._python_dispatch
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.layers import kan_moments
from allmlp.layers.kan import KANLinear
from allmlp.layers.kan_moments import Moments, layer_moments
from allmlp.layers.kan_symbolic import SymbolicEdges


def edge_values(numeric: KANLinear, symbolic: SymbolicEdges | None, x: Tensor) -> Tensor:
    """(n, s, i), each edge alone: the tensor that the moments do without."""
    columns = []
    for i in range(x.shape[1]):
        alone = torch.zeros_like(numeric.edge_weights())
        alone[:, i] = numeric.edge_weights()[:, i]
        columns.append(torch.einsum("nif,sif->ns", numeric.edge_functions(x), alone))
    values = torch.stack(columns, dim=-1)
    if symbolic is not None:
        for e, edge in enumerate(symbolic.edges):
            values[:, edge.output, edge.input] += symbolic.edge_values(x)[:, e]
    return values


def layer(**options: object) -> tuple[KANLinear, SymbolicEdges]:
    numeric = KANLinear(3, 4, mask=True, scale=True, **options).double()
    nn.init.normal_(numeric.spline_weight)
    nn.init.uniform_(numeric.scale)
    assert numeric.mask is not None
    numeric.mask[1, 2] = 0
    symbolic = SymbolicEdges(3, 4, [(2, 1, "sin"), (0, 0, "exp")]).double()
    nn.init.normal_(symbolic.affine)
    return numeric, symbolic


@pytest.mark.parametrize(
    "options", [{}, {"base": None}, {"basis": "chebyshev"}, {"grid": 2, "k": 1}]
)
def test_against_every_edge_of_its_own(options: dict[str, object]) -> None:
    numeric, symbolic = layer(**options)
    x = torch.randn(50, 3, dtype=torch.float64)
    values = edge_values(numeric, symbolic, x)
    # the sums over edges are the layer, so the edges are right
    torch.testing.assert_close(values.sum(-1), numeric(x) + symbolic(x), rtol=1e-13, atol=1e-13)
    moments = layer_moments(numeric, symbolic, x)
    found = moments.edge_std(numeric, symbolic)
    torch.testing.assert_close(found, values.std(0), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(
        moments.edge_mean(numeric, symbolic), values.mean(0), rtol=1e-12, atol=1e-13
    )
    torch.testing.assert_close(moments.sum_std(), values.sum(-1).std(0), rtol=1e-12, atol=0)
    torch.testing.assert_close(moments.input_std(), x.std(0), rtol=1e-13, atol=0)


def test_batches_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    numeric, symbolic = layer()
    # far from zero, where sums of squares would cancel
    x = torch.randn(64, 3, dtype=torch.float64) + 1e4
    whole = layer_moments(numeric, symbolic, x).edge_std(numeric, symbolic)
    monkeypatch.setattr(kan_moments, "_NUMBERS_AT_ONCE", 200)
    tiled = layer_moments(numeric, symbolic, x[:9]) + layer_moments(numeric, symbolic, x[9:])
    torch.testing.assert_close(tiled.edge_std(numeric, symbolic), whole, rtol=1e-9, atol=0)


def test_gradient_is_finite_at_edges_that_are_zero() -> None:
    numeric, _ = layer()
    assert numeric.base_weight is not None
    with torch.no_grad():
        numeric.spline_weight[2], numeric.base_weight[2] = 0, 0
    x = torch.randn(20, 3, dtype=torch.float64, requires_grad=True)
    std = layer_moments(numeric, None, x).edge_std(numeric, None)
    assert std[2].tolist() == [0, 0, 0]
    std.sum().backward()
    for gradient in (x.grad, numeric.spline_weight.grad, numeric.base_weight.grad):
        assert gradient is not None
        assert gradient.isfinite().all()
        assert gradient.abs().sum() > 0


def test_gradcheck() -> None:
    numeric, symbolic = layer()
    x = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)

    def call(x: Tensor, weight: Tensor) -> Tensor:
        del numeric.spline_weight
        numeric.spline_weight = weight  # type: ignore[assignment]
        return layer_moments(numeric, symbolic, x).edge_std(numeric, symbolic)

    weight = numeric.spline_weight.detach().requires_grad_()
    assert torch.autograd.gradcheck(call, (x, weight))


def test_memory_holds_no_tensor_of_samples_inputs_and_outputs() -> None:
    largest = 0

    class Sizes(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            if isinstance(result, Tensor):
                largest = max(largest, result.numel())
            return result

    numeric, n = KANLinear(20, 50), 3000
    with torch.no_grad(), Sizes():
        layer_moments(numeric, None, torch.randn(n, 20)).edge_std(numeric, None)
    assert largest <= n * 20 * 10  # ten functions of each input, and no outputs


def test_one_sample_and_none() -> None:
    numeric, symbolic = layer()
    one = layer_moments(numeric, symbolic, torch.zeros(1, 3, dtype=torch.float64))
    assert not one.edge_std(numeric, symbolic).any()
    with pytest.raises(AllmlpError, match="at least one sample, got none"):
        layer_moments(numeric, symbolic, torch.zeros(0, 3, dtype=torch.float64))


def test_constant_functions() -> None:
    constant = Moments.of(torch.full((5, 2, 3), 0.1, dtype=torch.float64))
    assert constant.std(torch.ones(2, 3, dtype=torch.float64)).max() < 1e-15


def test_a_network_below_float32() -> None:
    layer = KANLinear(3, 2).bfloat16()
    x = torch.rand(20, 3).bfloat16()
    moments = layer_moments(layer, None, x)
    wide = layer_moments(layer.float(), None, x.float())
    assert moments.functions.mean.dtype == torch.float32
    torch.testing.assert_close(moments.functions.mean, wide.functions.mean, rtol=0.02, atol=0.02)
