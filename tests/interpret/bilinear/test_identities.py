"""The identities that the decompositions rest on, in float64.

The oracle is the dense tensor, summed from its definition (`tensor_of`); 1e-10 leaves room for the
rounding of sums over some hundred products.
"""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from allmlp import BilinearMLP
from allmlp.interpret.bilinear import (
    adversarial_masks,
    eigenfeatures,
    explain,
    gram,
    hosvd,
    interaction_matrix,
    interaction_tensor,
    nested,
    similarity,
    truncate,
)
from allmlp.interpret.bilinear.quadratic import Quadratic, read_single
from allmlp.interpret.bilinear.spectrum import dense_spectrum, thin_spectrum
from allmlp.layers import GatedLinear, GatedMlp

N, K = 7, 3  # inputs, outputs

MODELS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: BilinearMLP(N, K, hidden=5),
    "narrow": lambda: BilinearMLP(N, K, hidden=2),  # thin: 2 a < d
    "wide": lambda: BilinearMLP(N, K, hidden=11),
    "embedded": lambda: BilinearMLP(N, K, hidden=5, embed=5),
    "biased": lambda: BilinearMLP(N, K, hidden=5, embed=4, bias=True),
    "residual": lambda: BilinearMLP(N, K, hidden=5, embed=5, residual=True),
    "biased residual": lambda: BilinearMLP(N, K, hidden=7, bias=True, residual=True),
    "gated mlp": lambda: GatedMlp(N, 4),
    "gated mlp without bias": lambda: GatedMlp(N, 4, bias=False),
    "gated linear": lambda: GatedLinear(N, 4),
}
NO_BIAS = [name for name in MODELS if name in ("plain", "narrow", "wide", "embedded")]
every = pytest.mark.parametrize("name", MODELS)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def make(name: str) -> nn.Module:
    return MODELS[name]().double()


def make_mlp(name: str) -> BilinearMLP:
    model = make(name)
    assert isinstance(model, BilinearMLP)
    return model


def inputs(count: int = 20) -> Tensor:
    return torch.randn(count, N, dtype=torch.float64)


def tensor_of(model: BilinearMLP) -> Tensor:
    """B by its definition, in the space of the input; one layer without biases."""
    embed = model.embed.weight if isinstance(model.embed, nn.Linear) else torch.eye(N).double()
    left, right = (w @ embed for w in (model.blocks[0].left.weight, model.blocks[0].right.weight))
    b = torch.einsum("ca,ai,aj->cij", model.head.weight, left, right)
    return ((b + b.mT) / 2).detach()


@every
def test_full_spectrum_is_the_forward_pass(name: str) -> None:
    model, x = make(name), inputs()
    for space in ("hidden", "input"):
        features = eigenfeatures(model, space=space)
        close(features.logits(x), model(x).detach())
        assert not features.tail.any()
    one = eigenfeatures(model, 1)
    close(one.logits(x), model(x)[:, 1].detach())
    weights = torch.randn(len(eigenfeatures(model).values), dtype=torch.float64)
    close(eigenfeatures(model, weights).logits(x), (model(x) @ weights).detach())


@every
def test_the_matrix_is_symmetric_and_gives_the_logit(name: str) -> None:
    model, x = make(name), inputs()
    q = interaction_matrix(model, 2, space="input")
    z = torch.cat([x, torch.ones(len(x), 1)], dim=1) if len(q) > N else x
    assert torch.equal(q, q.mT)
    close(torch.einsum("bi,ij,bj->b", z, q, z), model(x)[:, 2].detach())


@pytest.mark.parametrize("name", NO_BIAS)
def test_the_tensor_is_its_definition(name: str) -> None:
    model = make_mlp(name)
    close(interaction_tensor(model, space="input"), tensor_of(model))


def test_the_antisymmetric_part_is_silent() -> None:
    model, x = make_mlp("plain"), inputs()
    block = model.blocks[0]
    b = torch.einsum("ca,ai,aj->cij", model.head.weight, block.left.weight, block.right.weight)
    odd = (b - b.mT) / 2
    assert odd.abs().max() > 0.01
    close(torch.einsum("bi,cij,bj->bc", x, odd, x), torch.zeros(len(x), K).double())


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(0, 10**6))
def test_one_neuron_has_two_eigenvalues(size: int, seed: int) -> None:
    w, v = torch.randn(2, 1, size, generator=torch.Generator().manual_seed(seed)).double()
    forms = Quadratic(w, v, torch.ones(1, 1).double())
    values, _ = dense_spectrum(forms, torch.ones(1).double())
    inner, norms = (w * v).sum(), w.norm() * v.norm()
    expected = torch.stack([inner + norms, inner - norms]) / 2
    close(values[:2].sort().values, expected.sort().values)
    close(values[2:], torch.zeros(size - 2).double())


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(13, 30), st.integers(0, 10**6))
def test_thin_and_dense_agree(neurons: int, size: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    left, right = torch.randn(2, neurons, size, generator=generator).double()
    forms = Quadratic(left, right, torch.randn(3, neurons, generator=generator).double())
    u = torch.randn(3, generator=generator).double()
    thin, dense = thin_spectrum(forms, u), dense_spectrum(forms, u)
    assert len(thin[0]) == 2 * neurons
    close(thin[0], dense[0][: 2 * neurons])
    close(thin[1] @ thin[1].mT, torch.eye(2 * neurons).double())
    # vectors of equal eigenvalues are arbitrary; the matrix is not
    close(thin[1].mT @ torch.diag(thin[0]) @ thin[1], forms.matrix(u))
    assert (thin[1].gather(1, thin[1].abs().argmax(1, keepdim=True)) > 0).all()


@every
@pytest.mark.parametrize("k", [0, 1, 3])
def test_truncation_keeps_its_bound(name: str, k: int) -> None:
    model, x = make(name), inputs(200)
    features = eigenfeatures(model, None, k)
    forms, embed = read_single(model)
    z = forms.lift(x if embed is None else x @ embed.mT)
    error = (features.logits(x) - model(x)).abs().detach()
    bound = features.tail * z.square().sum(-1, keepdim=True)
    assert (error <= bound + 1e-12).all()  # rounding, where the bound is 0
    moduli = eigenfeatures(model).values.abs()
    close(features.values.abs(), moduli[:, :k])
    close(features.tail, moduli[:, k])  # of the first vector left out, on which it is attained


@every
def test_a_truncated_module_is_the_truncated_sum(name: str) -> None:
    model, x = make(name), inputs()
    for k in (1, 3, 100):
        small = truncate(model, k)
        assert not small.training
        close(small(x).detach(), eigenfeatures(model, None, k).logits(x))
    close(small(x).detach(), model(x).detach())


@every
def test_gram_is_that_of_the_dense_tensor(name: str) -> None:
    model = make(name)
    b = interaction_tensor(model, space="input").flatten(1)
    close(gram(model), b @ b.mT)


@every
def test_hosvd_is_the_svd_of_the_dense_tensor(name: str) -> None:
    model, x = make(name), inputs()
    found = hosvd(model)
    _, values, right = torch.linalg.svd(
        interaction_tensor(model, space="input").flatten(1), full_matrices=False
    )
    # squares of singular values, so the smallest ones have half the digits
    torch.testing.assert_close(found.values, values[: len(found.values)], rtol=1e-7, atol=1e-7)
    close(found.outputs @ found.outputs.mT, torch.eye(len(found.values)).double())
    close(found.logits(x), model(x).detach())
    # Q_1 up to sign, from its own eigenfeatures
    features = found.features
    rows = torch.cat([features.directions[0], features.offsets[0, :, None]], dim=1)
    rows = rows[:, : round(right.shape[1] ** 0.5)]
    q = torch.einsum("r,ri,rj->ij", features.values[0], rows, rows).flatten()
    close((q @ right[0]).abs(), torch.ones(()).double())


def test_hosvd_of_lower_rank_is_the_best() -> None:
    model = make_mlp("plain")
    b = tensor_of(model).flatten(1)
    u, s, v = torch.linalg.svd(b, full_matrices=False)
    best = (u[:, :2] * s[:2]) @ v[:2]
    x = inputs()
    expected = torch.einsum("bi,cij,bj->bc", x, best.unflatten(1, (N, N)), x)
    close(hosvd(model, 2).logits(x), expected)


@every
@pytest.mark.parametrize("count", [1, 2])
def test_masks_are_dual_to_features(name: str, count: int) -> None:
    model = make(name)
    features = eigenfeatures(model, 1)
    rows = features.directions[features.values > 1e-12][:count]
    masks = adversarial_masks(model, 1, count)
    close(rows @ masks.mT, torch.eye(len(rows)).double())


def test_masks_leave_rivals_alone_within_their_support() -> None:
    model = BilinearMLP(40, 3, hidden=30, embed=20).double()
    support = torch.arange(40) % 3 != 0
    masks = adversarial_masks(model, 0, 4, rivals=(1, 2), support=support)
    assert masks.shape == (4, 40)
    assert not masks[:, ~support].any()
    for cls, expected in ((0, torch.eye(4).double()), (1, torch.zeros(4, 4).double())):
        features = eigenfeatures(model, cls)
        close(features.directions[features.values > 0][:4] @ masks.mT, expected)
    x = torch.randn(40, dtype=torch.float64)
    features = eigenfeatures(model, 0, space="hidden")
    first = int((features.values > 0).nonzero()[0])
    a = features.directions[first] @ x
    gained = features.contributions(x + 3 * masks[0]) - features.contributions(x)
    close(gained[first], features.values[first] * (2 * 3 * a + 9))


@pytest.mark.parametrize("name", [*NO_BIAS, "biased", "residual"])
def test_swapped_and_rescaled_factors_change_nothing(name: str) -> None:
    model, other = make_mlp(name), make_mlp(name)
    state = model.state_dict()
    block = other.blocks[0]
    with torch.no_grad():
        other.load_state_dict(state)
        block.left.load_state_dict(model.blocks[0].right.state_dict())
        block.right.load_state_dict(model.blocks[0].left.state_dict())
        if name in NO_BIAS:  # W s, V t, P / (s t)
            s, t = torch.rand(2, model.config.hidden, dtype=torch.float64) + 0.5
            block.left.weight.mul_(s[:, None])
            block.right.weight.mul_(-t[:, None])
            other.head.weight.div_(-(s * t))
    x = inputs()
    close(other(x), model(x))
    close(similarity(model, other), torch.ones(K).double())
    close(interaction_tensor(other), interaction_tensor(model))
    ours, theirs = eigenfeatures(model), eigenfeatures(other)
    close(theirs.values, ours.values)
    close(theirs.contributions(x), ours.contributions(x))
    assert (similarity(model, make(name)).abs() < 0.99).all()


def test_similarity_across_sizes_and_biases() -> None:
    model = make("embedded")
    close(similarity(model, truncate(model, 10)), torch.ones(K).double())
    biased = BilinearMLP(N, K, hidden=5, bias=True).double()
    dense = interaction_tensor(biased)
    plain = make_mlp("plain")
    b = tensor_of(plain)
    expected = (dense[:, :-1, :-1] * b).sum((1, 2)) / (dense.norm(dim=(1, 2)) * b.norm(dim=(1, 2)))
    close(similarity(biased, plain), expected)


@pytest.mark.parametrize(("bias", "residual"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_nested_features_are_the_forward_pass(depth: int, bias: bool, residual: bool) -> None:
    model = BilinearMLP(4, K, hidden=4, depth=depth, bias=bias, residual=residual).double()
    x = torch.randn(9, 4, dtype=torch.float64)
    for cls in range(K):
        found = nested(model, cls)
        assert found.exact
        assert len(found.levels) == depth
        close(found.logits(x), model(x)[:, cls].detach())


def test_two_layers_by_the_formula() -> None:
    model = BilinearMLP(N, K, hidden=4, embed=5, depth=2).double()
    x = inputs()
    found = nested(model, 1)
    upper, lower = found.levels
    total = torch.zeros(len(x), dtype=torch.float64)
    for k, value in enumerate(upper.values):
        inner = torch.zeros(len(x), dtype=torch.float64)
        for j in range(len(lower.values)):
            if lower.parents[j] == k:
                inner += lower.values[j] * (x @ found.directions[j]).square()
        total += value * inner.square()
        close(lower.scores[lower.parents == k], value.abs() * lower.values[lower.parents == k] ** 2)
    close(total, model(x)[:, 1].detach())


def test_a_beam_keeps_the_paths_of_highest_score() -> None:
    model = BilinearMLP(6, K, hidden=6, depth=3, bias=True).double()
    x = torch.randn(200, 6, dtype=torch.float64)
    full = nested(model, 0)
    errors = []
    for beam in (4, 16, 64, 200):
        cut = nested(model, 0, beam)
        assert not cut.exact
        assert all(len(level.values) <= beam for level in cut.levels)
        errors.append((cut.logits(x) - full.logits(x)).norm().item())
    assert errors[-1] < 0.2 * errors[0]
    # wide enough for the two upper levels, the beam chooses among all leaves
    cut = nested(model, 0, 100)
    close(cut.levels[-1].scores, full.levels[-1].scores.topk(100).values)
    assert nested(model, 0, 10**4).exact


@every
def test_explanations_add_up(name: str) -> None:
    model, x = make(name), inputs(1)[0]
    found = explain(model, x)
    close(found.logits, model(x).detach())
    close(found.contributions.sum(-1), found.logits)
    close(found.pair_matrix(1).sum(), found.logits[1])
    supports, opposes = found.speaks(1, 2)
    assert found.contributions[1].argmax() == supports[0]
    assert found.contributions[1].argmin() == opposes[0]
    everything = [p for side in found.pairs(1, 1000) for p in side]
    constant = found.pair_matrix(1)[-1, -1] if len(found.pair_matrix(1)) > N else 0.0
    total = sum(p.contribution for p in everything) + constant
    close(torch.as_tensor(total, dtype=torch.float64), found.logits[1])
