"""One neuron at a time around an identity: residual networks fold where plain ones cannot."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_integers
from allmlp.theory.certificate import Certificate, Claim, Theorem
from allmlp.theory.exact_net import ExactNet, Rational, common_denominator, random_points

__all__ = ["ResidualNet", "residual_sawtooth", "shallow_to_residual"]

_THEOREM = Theorem(
    "Residual blocks of one neuron are dense in L1; plain layers of one neuron are monotone",
    "Lin & Jegelka 2018, arXiv:1806.10909; folds: allmlp, docs/theory/depth.md",
)

# v, u and b of `x + v relu(u·x + b)`
Block = tuple[Sequence[Rational], Sequence[Rational], Rational]
Check = Callable[["ResidualNet"], Sequence[Claim]]


class ResidualNet:
    """`x ← x + v relu(u·x + b)`, block after block, and an affine read-out.

    Args:
        in_features: inputs; the state may have further coordinates, which start at 0.
        blocks: v, u, b of each block, v and u of the state's length.
        readout: weights of the output, of the state's length.
        constant: added to the output.
        checks: each returns claims about the network; `certificate` runs them.

    Raises:
        AllmlpError: v or u of a block, or the read-out, of another length than the state.

    Example:
        >>> fold = ResidualNet(1, [([-2], [1], Fraction(-1, 2))], [1], 0)
        >>> fold([0.25, 0.75, 1.0])
        array([0.25, 0.25, 0.  ])
    """

    def __init__(
        self,
        in_features: int,
        blocks: Sequence[Block],
        readout: Sequence[Rational],
        constant: Rational = 0,
        *,
        checks: Sequence[Check] = (),
    ):
        size = len(readout)
        if size < in_features or any(len(v) != size or len(u) != size for v, u, _ in blocks):
            raise AllmlpError(
                f"blocks and read-out must have the state's length, at least {in_features}, but "
                f"the read-out has {size}; give v and u of every block that length"
            )
        self.in_features = in_features
        self.blocks = tuple(blocks)
        self.readout = tuple(readout)
        self.constant = constant
        self.checks = tuple(checks)

    @property
    def parameters(self) -> int:
        """Of the blocks (v, u, b) and the read-out."""
        size = len(self.readout)
        return len(self.blocks) * (2 * size + 1) + size + 1

    def exact(self, X: ArrayLike | Sequence[Any]) -> NDArray[np.object_]:
        """The outputs as Fractions. Shapes as in `ExactNet.exact`."""
        columns, denominator = common_denominator(X, self.in_features)
        state = [[Fraction(int(v), denominator) for v in column] for column in columns]
        state += [[Fraction(0)] * len(state[0])] * (len(self.readout) - self.in_features)
        points = [list(point) for point in zip(*state, strict=True)]
        values = np.empty(len(points), dtype=object)
        for i, x in enumerate(points):
            for v, u, b in self.blocks:
                hidden = sum((a * c for a, c in zip(u, x, strict=True)), Fraction(b))
                if hidden > 0:
                    x = [a + c * hidden for a, c in zip(x, v, strict=True)]
            values[i] = sum(
                (a * c for a, c in zip(self.readout, x, strict=True)), Fraction(self.constant)
            )
        return values

    def __call__(self, X: ArrayLike) -> NDArray[np.float64]:
        """The exact outputs, each rounded once to float64."""
        return self.exact(X).astype(np.float64)

    def to_torch(self, dtype: torch.dtype = torch.float64) -> nn.Module:
        """The same network as a torch module; draws no random number."""
        return _ResidualModule(self, dtype)

    def certificate(self) -> Certificate:
        """Runs the theorem's checks and sets them beside the sizes of this network."""
        claims = [claim for check in self.checks for claim in check(self)]
        named = {claim.name for claim in claims}
        sizes = [("width", 1), ("depth", len(self.blocks)), ("parameters", self.parameters)]
        return Certificate(
            _THEOREM,
            (*(Claim(name, size) for name, size in sizes if name not in named), *claims),
            ("width and depth count the neurons of a block and the blocks",),
        )


class _ResidualModule(nn.Module):
    def __init__(self, net: ResidualNet, dtype: torch.dtype):
        super().__init__()

        def parameter(rows: Any) -> nn.Parameter:
            return nn.Parameter(torch.tensor(np.array(rows, dtype=np.float64), dtype=dtype))

        self.padding = len(net.readout) - net.in_features
        self.out = parameter([v for v, _, _ in net.blocks])
        self.into = parameter([u for _, u, _ in net.blocks])
        self.bias = parameter([b for _, _, b in net.blocks])
        self.readout = parameter(net.readout)
        self.constant = parameter(net.constant)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.pad(x, (0, self.padding))
        for v, u, b in zip(self.out, self.into, self.bias, strict=True):
            x = x + torch.relu(x @ u + b)[:, None] * v
        return (x @ self.readout + self.constant)[:, None]


def residual_sawtooth(n: int) -> ResidualNet:
    """`T^n` by n blocks of one neuron on a state of one number.

    Each block folds the interval once more, `x - 2 relu(x - 2^-k)`; the read-out stretches the
    result by 2^n. A plain network of width 1 is a monotone function and stays 1/2 away from T^n;
    a plain one of width 2 needs 2n neurons and 6n + 1 parameters, this one n and 3n + 2.

    Example:
        >>> residual_sawtooth(2)([0.0, 0.25, 0.5, 0.75, 1.0]), residual_sawtooth(10).parameters
        (array([0., 1., 0., 1., 0.]), 32)
    """
    check_integers("residual_sawtooth", minimum=1, n=n)
    blocks: list[Block] = [([-2], [1], -Fraction(1, 2**k)) for k in range(1, n + 1)]

    def check(net: ResidualNet) -> list[Claim]:
        points = [Fraction(i, 2**n) for i in range(min(2**n, 1024) + 1)]
        right = sum(value == i % 2 for i, value in enumerate(net.exact(points)))
        return [
            Claim("depth", len(net.blocks), promised=n, relation="=="),
            Claim("parameters", net.parameters, promised=3 * n + 2, relation="=="),
            Claim("alternating grid values", right, promised=len(points), relation="=="),
        ]

    return ResidualNet(1, blocks, [2**n], checks=[check])


def shallow_to_residual(net: ExactNet) -> ResidualNet:
    """Any one-hidden-layer ReLU network as one-neuron blocks on a state of d + 1 numbers.

    Args:
        net: depth 2, one output.

    Raises:
        AllmlpError: another depth or number of outputs.

    Example:
        >>> from allmlp.theory import relu_interpolant
        >>> shallow = relu_interpolant([0, 1, 2], [0, 1, 0])
        >>> shallow_to_residual(shallow)([0.5, 1.5])
        array([0.5, 0.5])
    """
    if net.depth != 2 or net.out_features != 1 or net.activation.name != "relu":
        raise AllmlpError(
            f"the conversion takes a ReLU network of depth 2 with one output, but got {net}; "
            "split it first"
        )
    (weight, bias), (outer, constant) = net.layers
    d = net.in_features
    blocks: list[Block] = [
        ([*[0] * d, a], [*row, 0], b) for row, b, a in zip(weight, bias, outer[0], strict=True)
    ]

    def check(chain: ResidualNet) -> list[Claim]:
        points = random_points(d, 100)
        equal = int((chain.exact(points) == net.exact(points)).sum())
        return [
            Claim("depth", len(chain.blocks), promised=net.width, relation="=="),
            Claim("values equal", equal, promised=len(points), relation="=="),
        ]

    return ResidualNet(d, blocks, [*[0] * d, 1], constant[0], checks=[check])
