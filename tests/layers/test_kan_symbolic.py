import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.layers.kan_symbolic import SymbolicEdges
from allmlp.ops.symbolic import SymbolicFunction

EDGES = [(0, 1, "sin"), (2, 0, "x^2"), (1, 1, "sin"), (0, 0, "exp")]


def layer() -> SymbolicEdges:
    edges = SymbolicEdges(3, 2, EDGES).double()
    torch.nn.init.normal_(edges.affine)
    return edges


def test_against_a_loop() -> None:
    edges = layer()
    x = torch.randn(4, 5, 3, dtype=torch.float64)
    y = torch.zeros(4, 5, 2, dtype=torch.float64)
    functions = {"sin": torch.sin, "x^2": torch.square, "exp": torch.exp}
    for (i, o, name), (a, b, c, d) in zip(EDGES, edges.affine, strict=True):
        y[..., o] += c * functions[name](a * x[..., i] + b) + d
    torch.testing.assert_close(edges(x), y, rtol=1e-14, atol=1e-14)
    assert edges.edge_values(x).shape == (4, 5, 4)


def test_gradcheck() -> None:
    edges = layer()
    x = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    affine = edges.affine.detach().requires_grad_()

    def call(x: torch.Tensor, affine: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(edges, {"affine": affine}, (x,))

    assert torch.autograd.gradcheck(call, (x, affine))
    assert torch.autograd.gradgradcheck(call, (x, affine))


def test_no_edges_and_no_rows() -> None:
    assert SymbolicEdges(2, 3)(torch.ones(4, 2)).tolist() == [[0.0] * 3] * 4
    assert layer()(torch.zeros(0, 3, dtype=torch.float64)).shape == (0, 2)


def test_state_is_the_affine_alone() -> None:
    assert list(layer().state_dict()) == ["affine"]


def test_user_function_and_domain() -> None:
    half = SymbolicFunction(name="half_line", function=torch.sqrt, complexity=2, low=0.0)
    edges = SymbolicEdges(1, 1, [(0, 0, "half_line")], [half])
    x = torch.tensor([[4.0], [-1.0], [9.0], [-2.0]])
    assert edges(x)[[0, 2], 0].tolist() == [2.0, 3.0]
    assert edges.out_of_domain_fraction(x).tolist() == [0.5]


def test_bad_edges() -> None:
    with pytest.raises(AllmlpError, match="no edge from input 3 to output 0"):
        SymbolicEdges(3, 2, [(3, 0, "sin")])
    with pytest.raises(AllmlpError, match="input 1 to output 0 has two functions"):
        SymbolicEdges(3, 2, [(1, 0, "sin"), (1, 0, "cos")])
    with pytest.raises(AllmlpError, match="unknown symbolic function 'sinn'"):
        SymbolicEdges(3, 2, [(1, 0, "sinn")])


@pytest.mark.unhooked
def test_compiles_and_exports() -> None:
    edges = layer()
    x = torch.randn(5, 3, dtype=torch.float64)
    program = torch.export.export(edges, (x,))
    torch.testing.assert_close(program.module()(x), edges(x))
