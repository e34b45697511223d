"""The forms that a scaling law can take, each a sum of positive terms.

Every form reads  L = Σ exp(t),  where each term's logarithm t is the logarithm of an amplitude plus
that of a shape: for L = E + A N^-alpha + B D^-beta the amplitudes are E, A, B and the shapes 1,
N^-alpha, D^-beta. Given the shapes, the amplitudes follow from a non-negative least-squares problem
(variable projection); given good starts, all parameters together are polished on log L.

Axes: v variables, n runs, m terms, s parameters of the shapes, p = m + s parameters, g starts. The
variables are logarithms, centred on their means: that takes most of the correlation between
amplitudes and exponents away.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

__all__ = ["Broken", "Form", "Powers", "Shifted"]

Array = NDArray[np.float64]

# where exponents are looked for; those outside are still reached by the polish
EXPONENTS = (0.05, 1.2)


class Form(ABC):
    """A formula for the loss, and its derivatives.

    Attributes:
        name: of the form.
        variables: number of them.
        floor: whether there is an irreducible loss E.
        amplitudes: names of the factors, E last.
        shapes: names of the parameters inside the shapes.
        exponents: those of them that should be positive.
    """

    name: str
    variables: int = 1
    floor: bool
    amplitudes: tuple[str, ...]
    shapes: tuple[str, ...]
    exponents: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of parameters."""
        return len(self.amplitudes) + len(self.shapes)

    @abstractmethod
    def log_shapes(self, s: Array, x: Array) -> tuple[Array, Array]:
        """Logarithms (m, n) of the shapes, and their derivatives (m, n, s)."""

    @abstractmethod
    def starts(self, x: Array) -> Array:
        """Values (g, s) of the shapes' parameters to begin from."""

    @abstractmethod
    def to_user(self, theta: Array, centre: Array) -> dict[str, float]:
        """Named parameters in the units of the variables themselves."""

    @abstractmethod
    def from_user(self, params: Mapping[str, float], centre: Array) -> Array:
        """The inverse of `to_user`."""

    def log_loss(self, theta: Array, x: Array) -> tuple[Array, Array]:
        """Log L (n) at parameters (p): log amplitudes, then shapes; and its derivatives (n, p)."""
        m = len(self.amplitudes)
        shapes, slopes = self.log_shapes(theta[m:], x)
        terms = theta[:m, None] + shapes
        # by hand: scipy's logsumexp checks for longer than this computes
        largest = terms.max(axis=0)
        shares = np.exp(terms - largest)
        total = shares.sum(axis=0)
        shares /= total
        through = (shares[:, :, None] * slopes).sum(axis=0)
        return largest + np.log(total), np.concatenate([shares.T, through], axis=1)

    def __repr__(self) -> str:
        return f"{self.name}{'' if self.floor else ' without E'}"


class Powers(Form):
    """L = E + A x^-alpha, or with two variables E + A N^-alpha + B D^-beta; E may be missing."""

    def __init__(self, variables: int = 1, *, floor: bool = True):
        self.variables = variables
        self.floor = floor
        self.name = {(1, False): "power", (1, True): "saturating"}.get(
            (variables, floor), "chinchilla"
        )
        self.amplitudes = ("A", "B")[:variables] + (("E",) if floor else ())
        self.shapes = self.exponents = ("alpha", "beta")[:variables]

    def log_shapes(self, s: Array, x: Array) -> tuple[Array, Array]:
        """-alpha log x for each variable, and 0."""
        v, n = x.shape
        m = len(self.amplitudes)
        shapes, slopes = np.zeros((m, n)), np.zeros((m, n, v))
        shapes[:v] = -s[:, None] * x
        slopes[range(v), :, range(v)] = -x
        return shapes, slopes

    def starts(self, x: Array) -> Array:
        """A grid of exponents, 0.05 apart for two variables; the polish does the rest."""
        grid = np.linspace(*EXPONENTS, 47 if self.variables == 1 else 24)
        return np.array(list(product(grid, repeat=self.variables)))

    def to_user(self, theta: Array, centre: Array) -> dict[str, float]:
        """A and B refer to x = 1 rather than to the centre."""
        m, v = len(self.amplitudes), self.variables
        log = theta[:m].copy()
        log[:v] += theta[m:] * centre
        values = [*_exp(log), *theta[m:].tolist()]
        return dict(zip(self.amplitudes + self.shapes, values, strict=True))

    def from_user(self, params: Mapping[str, float], centre: Array) -> Array:
        """A and B refer to the centre rather than to x = 1."""
        s = np.array([params[name] for name in self.shapes])
        log = _log([params[name] for name in self.amplitudes])
        log[: self.variables] -= s * centre
        return np.concatenate([log, s])


class Shifted(Form):
    """L = E + A (x + b)^-alpha, b >= 0: flat until x reaches b."""

    name = "shifted"
    shapes = ("alpha", "b")
    exponents = ("alpha",)

    def __init__(self, *, floor: bool = True):
        self.floor = floor
        self.amplitudes = ("A", "E") if floor else ("A",)

    def log_shapes(self, s: Array, x: Array) -> tuple[Array, Array]:
        """-alpha log(x + b), in the parameters alpha and log b; and 0."""
        alpha, log_b = s
        both = np.logaddexp(x[0], log_b)
        m = len(self.amplitudes)
        shapes, slopes = np.zeros((m, x.shape[1])), np.zeros((m, x.shape[1], 2))
        shapes[0] = -alpha * both
        slopes[0, :, 0] = -both
        slopes[0, :, 1] = -alpha * np.exp(log_b - both)
        return shapes, slopes

    def starts(self, x: Array) -> Array:
        """47 exponents, and shifts from nothing to the largest x."""
        low, high = x.min(), x.max()
        shifts = np.linspace(low - 3, high, 12)
        return np.array(list(product(np.linspace(*EXPONENTS, 47), shifts)))

    def to_user(self, theta: Array, centre: Array) -> dict[str, float]:
        """B in the units of x."""
        m = len(self.amplitudes)
        alpha, log_b = theta[m:]
        log = theta[:m].copy()
        log[0] += alpha * centre[0]
        amplitudes = dict(zip(self.amplitudes, _exp(log), strict=True))
        return {**amplitudes, "alpha": float(alpha), "b": _exp([log_b + centre[0]])[0]}

    def from_user(self, params: Mapping[str, float], centre: Array) -> Array:
        """B in units of the centre."""
        log = _log([params[name] for name in self.amplitudes])
        log[0] -= params["alpha"] * centre[0]
        return np.array([*log, params["alpha"], *(_log([params["b"]]) - centre[0])])


class Broken(Form):
    """L = E + A x^-alpha Π (1 + (x / d_i)^(1/f_i))^(-c_i f_i): the exponent changes at breaks d_i.

    Caballero et al. 2023, Broken neural scaling laws, arXiv:2210.14891, eq. 1: past break i the
    exponent has grown by c_i, within a factor of about exp(f_i) around it.
    """

    name = "broken"

    def __init__(self, breaks: int = 1, *, floor: bool = True):
        self.breaks = breaks
        self.floor = floor
        self.amplitudes = ("A", "E") if floor else ("A",)
        names = ["alpha"]
        for i in range(1, breaks + 1):
            names += [f"c{i}", f"d{i}", f"f{i}"]
        self.shapes = tuple(names)
        self.exponents = ("alpha",)

    def log_shapes(self, s: Array, x: Array) -> tuple[Array, Array]:
        """In the parameters alpha and, for each break, c, log d and log f; and 0."""
        m, u = len(self.amplitudes), x[0]
        shapes, slopes = np.zeros((m, len(u))), np.zeros((m, len(u), len(s)))
        shapes[0] = -s[0] * u
        slopes[0, :, 0] = -u
        for i in range(self.breaks):
            c, log_d, log_f = s[1 + 3 * i : 4 + 3 * i]
            f = np.exp(log_f)
            z = (u - log_d) / f
            soft, share = np.logaddexp(0, z), expit(z)
            shapes[0] -= c * f * soft
            slopes[0, :, 1 + 3 * i] = -f * soft
            slopes[0, :, 2 + 3 * i] = c * share
            slopes[0, :, 3 + 3 * i] = c * f * (share * z - soft)
        return shapes, slopes

    def starts(self, x: Array) -> Array:
        """Few values of each parameter; breaks at quantiles of x, in order."""
        places = np.quantile(x[0], [0.15, 0.35, 0.5, 0.65, 0.85])
        bends = list(product((-0.3, 0.2, 0.6), (-2.0, 0.0)))  # c, log f
        starts = []
        for alpha in (0.05, 0.2, 0.5):
            for breaks in combinations(places, self.breaks):
                for shape in product(bends, repeat=self.breaks):
                    parts = [(c, d, f) for (c, f), d in zip(shape, breaks, strict=True)]
                    starts.append([alpha, *np.ravel(parts)])
        return np.array(starts)

    def to_user(self, theta: Array, centre: Array) -> dict[str, float]:
        """D in the units of x."""
        m = len(self.amplitudes)
        s, log = theta[m:].copy(), theta[:m].copy()
        log[0] += s[0] * centre[0]
        s[2::3] += centre[0]
        s[2::3], s[3::3] = _exp(s[2::3]), _exp(s[3::3])
        return dict(zip(self.amplitudes + self.shapes, map(float, [*_exp(log), *s]), strict=True))

    def from_user(self, params: Mapping[str, float], centre: Array) -> Array:
        """D in units of the centre."""
        log = _log([params[name] for name in self.amplitudes])
        s = np.array([params[name] for name in self.shapes])
        log[0] -= s[0] * centre[0]
        s[2::3], s[3::3] = _log(s[2::3]) - centre[0], _log(s[3::3])
        return np.concatenate([log, s])


def _exp(logs: Array | list[float]) -> list[float]:
    with np.errstate(over="ignore", under="ignore"):  # an amplitude may refer to far outside
        return [float(value) for value in np.exp(logs)]


def _log(values: Array | list[float]) -> Array:
    return np.log(np.maximum(values, np.finfo(float).tiny))
