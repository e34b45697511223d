"""A network that folds space: Montúfar's lower bound, attained.

Source: Montúfar, Pascanu, Cho & Bengio 2014, arXiv:1402.1869, section 3.2.
"""

from collections.abc import Sequence
from fractions import Fraction

from allmlp.errors import AllmlpError
from allmlp.theory.certificate import Claim, Theorem
from allmlp.theory.exact_net import ExactNet, Layer, Rational
from allmlp.theory.region_bounds import montufar_lower, serra_upper

__all__ = ["folding_net"]

_THEOREM = Theorem(
    "Folding: as many regions as Montúfar's lower bound", "Montúfar et al. 2014, arXiv:1402.1869"
)


def folding_net(inputs: int, widths: Sequence[int]) -> ExactNet:
    """A rational network with exactly `montufar_lower` activation regions on [0, 1]^n_0.

    Every layer but the last folds the cube: with p = floor(n_l / n_0) units per coordinate it is
    the zigzag of p teeth, `Σ_j c_j relu(p x - j)` with c = 1, -2, 2, -2, …; what the zigzags share
    out to p^{n_0} copies of the cube is cut by the last layer's hyperplanes, in general position
    with all meeting points near the middle. Units left over are zero.

    Args:
        inputs: n_0.
        widths: n_1 … n_L, all but the last at least n_0.

    Raises:
        AllmlpError: a hidden layer before the last is narrower than the input.

    Example:
        >>> from allmlp.theory import count_regions, montufar_lower
        >>> count_regions(folding_net(2, (4, 5)), (0, 1)).count, montufar_lower(2, (4, 5))
        (64, 64)
    """
    promised = montufar_lower(inputs, widths)
    # x_i as a combination of what the layer before gives
    reading: list[list[Rational]] = [[int(i == j) for j in range(inputs)] for i in range(inputs)]
    layers: list[Layer] = []
    for n in widths[:-1]:
        teeth = n // inputs
        rows = [[teeth * v for v in reading[i]] for i in range(inputs) for _ in range(teeth)]
        bias: list[Rational] = [-j for _ in range(inputs) for j in range(teeth)]
        spare = n - len(rows)
        layers.append(([*rows, *([0] * len(reading[0]) for _ in range(spare))], bias + [0] * spare))
        reading = [
            [
                0 if unit // teeth != i else 1 if unit % teeth == 0 else 2 * (-1) ** (unit % teeth)
                for unit in range(len(rows))
            ]
            + [0] * spare
            for i in range(inputs)
        ]
    normals, offsets = _general_position(inputs, widths[-1])
    rows = [
        [sum((a * r for a, r in zip(normal, column, strict=True)), Fraction(0))
         for column in zip(*reading, strict=True)]
        for normal in normals
    ]  # fmt: skip
    layers.append((rows, offsets))
    layers.append(([[1] * widths[-1]], [0]))

    def checks(net: ExactNet) -> list[Claim]:
        # counting imports the rest of the room, which reads ExactNet
        from allmlp.theory.regions import count_regions

        found = count_regions(net, (0, 1)).count
        return [
            Claim("activation regions", found, promised, relation="=="),
            Claim("no network has more", serra_upper(inputs, widths), found, relation=">="),
        ]

    return ExactNet(layers, theorem=_THEOREM, checks=[checks], notes=["counted on [0, 1]^n_0"])


def _general_position(dim: int, count: int) -> tuple[list[list[Fraction]], list[Fraction]]:
    """Hyperplanes of R^dim any dim of which meet in one point of (0, 1)^dim, different ones.

    Normals on the moment curve, `(1, t, t², …)` with different t: independent by Vandermonde. At
    `x = c + y` with the centre c they read `Σ t^i y_i = ε t^dim`. Where dim of them meet,
    Π (t - t_k) gives the y_i as ε times elementary symmetric functions of the t in [-1, 1]: below
    ε 2^dim. One more hyperplane through that point would need `Π (t - t_k) = 0`.
    """
    if count < 1:
        raise AllmlpError(f"a layer needs at least one unit, but got {count}; widen it")
    epsilon = Fraction(1, 2 ** (dim + 2))
    half = Fraction(1, 2)
    normals, offsets = [], []
    for k in range(count):
        t = Fraction(2 * k + 1, count) - 1
        normal = [t**i for i in range(dim)]
        normals.append(normal)
        offsets.append(-half * sum(normal) - epsilon * t**dim)
    return normals, offsets
