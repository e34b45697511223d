import numpy as np
import pytest

from allmlp.errors import AllmlpError
from allmlp.theory import barron_greedy, gaussian_barron_constant


def test_the_constant_is_the_mean_length_of_a_normal_vector() -> None:
    rng = np.random.default_rng(0)
    for dim in (1, 3, 10):
        lengths = np.linalg.norm(rng.standard_normal((200_000, dim)), axis=1)
        # five standard errors of the mean
        assert (
            abs(lengths.mean() - gaussian_barron_constant(dim)) < 5 * lengths.std() / 200_000**0.5
        )


@pytest.mark.parametrize("dim", [2, 10])
def test_the_error_stays_below_barrons_bound_and_falls(dim: int) -> None:
    run = barron_greedy(dim, 60)
    assert (run.errors <= run.bounds).all()
    assert run.net.width == 60
    assert run.net.certificate()["mean square error"].evidence == "statistical"
    if dim == 2:
        assert run.errors[-1] < run.errors[0] / 20


def test_the_same_seed_gives_the_same_run_and_leaves_numpy_alone() -> None:
    before = np.random.get_state(legacy=False)  # noqa: NPY002 - the global state is checked
    first, second = (barron_greedy(3, 5, seed=1, samples=500) for _ in range(2))
    assert (first.errors == second.errors).all()
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    assert str(before) == str(after)


def test_bad_sizes() -> None:
    with pytest.raises(AllmlpError, match="integer units of at least 1"):
        barron_greedy(2, 0)
