import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from allmlp.ops import rational
from allmlp.ops.machine_code import kernels
from allmlp.ops.rational import DENOMINATORS, rational_activation, rational_function

F64 = torch.float64
ROWS = 256
compiled = pytest.mark.skipif(kernels("rational_kernels") is None, reason="no numba")


def problem(groups: int = 3, shared: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    x = torch.randn(4, 6, dtype=F64, requires_grad=True)
    numerator = torch.randn(1 if shared else groups, 6, dtype=F64, requires_grad=True)
    denominator = torch.randn(groups, 4, dtype=F64, requires_grad=True)
    return x, numerator, denominator


@pytest.mark.parametrize("form", DENOMINATORS)
def test_is_the_quotient(form: str) -> None:
    x, a, b = problem()
    for c in range(6):
        powers = torch.stack([x[:, c] ** n for n in range(6)])
        below = b[c // 2, :, None] * powers[1:5]
        q = 1 + (below.sum(0).abs() if form == "abs_sum" else below.abs().sum(0))
        y = rational_function(x, a, b, form=form)[:, c]
        torch.testing.assert_close(y, a[0] @ powers / q, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("form", DENOMINATORS)
@pytest.mark.parametrize("shared", [True, False])
def test_derivatives(form: str, shared: bool) -> None:
    def function(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return rational_activation(x, a, b, form=form)

    inputs = problem(shared=shared)
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)
    x, a, b = inputs
    for order in range(1, 5):
        below = rational_function(x, a, b, form=form, order=order - 1)
        (exact,) = torch.autograd.grad(below.sum(), x)
        ours = rational_function(x, a, b, form=form, order=order)
        torch.testing.assert_close(ours, exact, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("form", DENOMINATORS)
def test_denominators_that_start_at_zero_learn(form: str) -> None:
    x, a, _ = problem()
    b = torch.zeros(3, 4, dtype=F64, requires_grad=True)
    for function in (rational_activation, rational_function):
        (slope,) = torch.autograd.grad(function(x, a, b, form=form).square().sum(), b)
        assert slope.all()


@pytest.mark.parametrize("form", DENOMINATORS)
def test_transforms(form: str) -> None:
    x, a, b = (t.detach() for t in problem())
    function = lambda x: rational_activation(x, a, b, form=form)  # noqa: E731
    slope = rational_function(x, a, b, form=form, order=1)
    rows = torch.func.vmap(torch.func.jacrev(function))(x)
    torch.testing.assert_close(rows.diagonal(dim1=1, dim2=2), slope)
    vectorized = torch.autograd.functional.jacobian(function, x, vectorize=True)
    torch.testing.assert_close(vectorized.flatten(2).flatten(0, 1).diagonal(), slope.flatten())


def with_gradients(x: Tensor, a: Tensor, b: Tensor, form: str) -> tuple[Tensor, ...]:
    x, a, b = (t.detach().requires_grad_() for t in (x, a, b))
    y = rational_activation(x, a, b, form=form)
    weights = torch.linspace(0.5, 1, y.numel(), dtype=y.dtype).view(y.shape)
    return (y.detach(), *torch.autograd.grad((y * weights).sum(), (x, a, b)))


@compiled
@settings(max_examples=50)
@given(
    form=st.sampled_from(DENOMINATORS),
    kind=st.sampled_from([(torch.float32, 6, 4), (F64, 6, 4), (F64, 2, 3)]),  # each is compiled
    rows=st.sampled_from([(0,), (1,), (3, 2), (ROWS - 1,), (ROWS,), (2 * ROWS + 3,)]),
    groups=st.integers(1, 3),
    each=st.sampled_from([1, 3, 16, 300]),
    shared=st.booleans(),
    strided=st.booleans(),
)
def test_machine_code_equals_the_formula(
    form: str,
    kind: tuple[torch.dtype, int, int],
    rows: tuple[int, ...],
    groups: int,
    each: int,
    shared: bool,
    strided: bool,
) -> None:
    dtype, above, below = kind
    x = torch.randn(*rows, groups * each, dtype=dtype)
    if strided:
        x = torch.randn(groups * each, *rows, dtype=dtype).movedim(0, -1)
    x[..., 0] = 0
    a = torch.randn(1 if shared else groups, above, dtype=dtype)
    b = torch.randn(groups, below, dtype=dtype)
    ours = with_gradients(x, a, b, form)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rational, "kernels", lambda name: None)
        formula = with_gradients(x, a, b, form)
    for mine, its in zip(ours, formula, strict=True):
        assert mine.shape == its.shape
        assert mine.dtype == its.dtype
        # a sum of terms of both signs is as exact as its largest partial sum
        size = its.abs().max().item() if its.numel() else 0.0
        torch.testing.assert_close(mine, its, rtol=0, atol=1e3 * torch.finfo(dtype).eps * size)


@compiled
@pytest.mark.parametrize("form", DENOMINATORS)
def test_gradients_repeat_bit_for_bit_whatever_the_threads(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rational, "LEAST", 1)
    x, a, b = torch.randn(5 * ROWS + 7, 24), torch.randn(1, 6), torch.randn(8, 4)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 2):
            torch.set_num_threads(threads)
            results.append(with_gradients(x, a, b, form))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        for first, second in zip(results[0], other, strict=True):
            assert first.equal(second)


@compiled
def test_sums_of_many_terms_stay_exact() -> None:
    # a million terms of one sign: added up one by one in float32, the last ones would hardly count
    x = torch.rand(2**17, 8) + 0.5
    a, b = torch.rand(1, 6), torch.rand(8, 4)
    _, _, *single = with_gradients(x, a, b, "sum_abs")
    _, _, *double = with_gradients(x.double(), a.double(), b.double(), "sum_abs")
    for ours, exact in zip(single, double, strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=2e-6, atol=0)


@compiled
def test_a_step_makes_two_tensors_of_the_size_of_its_input() -> None:
    made: dict[int, Tensor] = {}

    class Made(TorchDispatchMode):
        def __torch_dispatch__(  # type: ignore[no-untyped-def]
            self, function, types, arguments=(), keywords=None
        ):
            result = function(*arguments, **(keywords or {}))
            if isinstance(result, Tensor):
                made[result.untyped_storage().data_ptr()] = result
            return result

    x = torch.randn(700, 48, requires_grad=True)
    a, b = torch.randn(1, 6, requires_grad=True), torch.randn(8, 4, requires_grad=True)
    cotangent = torch.ones_like(x)
    with Made():
        y = rational_activation(x, a, b, form="sum_abs")
        y.backward(cotangent)
    known = {t.untyped_storage().data_ptr() for t in (x, a, b, cotangent)}
    numbers = [t.untyped_storage().nbytes() // 4 for p, t in made.items() if p not in known]
    assert sum(numbers) <= 2 * x.numel() + 500  # y and the gradient of x


@compiled
def test_nan_stays_with_its_number() -> None:
    x = torch.randn(5, 6)
    x[2, 3] = torch.nan
    for form in DENOMINATORS:
        y, slopes, above, below = with_gradients(x, torch.ones(3, 6), torch.ones(3, 4), form)
        for values in (y, slopes):
            assert values.isnan().nonzero().tolist() == [[2, 3]]
        for sums in (above, below):
            assert sums[1].isnan().all()
            assert not sums[[0, 2]].isnan().any()
