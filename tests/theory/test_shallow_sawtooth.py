import pytest

from allmlp.errors import AllmlpError
from allmlp.theory import (
    best_piecewise_linear,
    graph,
    l1_distance,
    relu_interpolant,
    sawtooth,
    shallow_l1_bound,
)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_best_shallow_functions_lie_above_the_bound_and_reach_zero_only_at_the_end(
    n: int,
) -> None:
    target = graph(sawtooth(n))
    best = best_piecewise_linear(n, 2**n)
    errors = [l1_distance(target, g) for g in best]
    for pieces, (g, error) in enumerate(zip(best, errors, strict=True), start=1):
        assert g.num_pieces <= pieces
        assert error >= shallow_l1_bound(n, pieces)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0 < errors[-2]
    assert errors[0] == l1_distance(
        target, graph(relu_interpolant([0, 1], [best[0].values[0]] * 2))
    )


def test_the_search_is_bounded() -> None:
    with pytest.raises(AllmlpError, match="1 to 5"):
        best_piecewise_linear(6, 3)
    with pytest.raises(AllmlpError, match=r"2\^n pieces"):
        best_piecewise_linear(2, 5)
