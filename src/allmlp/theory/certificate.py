"""What a theorem promises, beside what the network at hand attains."""

import json
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from allmlp.errors import AllmlpError, unknown_name

__all__ = ["Certificate", "Claim", "Evidence", "Relation", "Theorem"]

Value = int | Fraction | float

Relation = Literal["==", "<=", ">="]
# exact: rational arithmetic, no rounding anywhere. float64: evaluated in floating point, gaps
# between samples covered by a Lipschitz constant. statistical: an estimate from random samples.
Evidence = Literal["exact", "float64", "statistical"]


@dataclass(frozen=True)
class Theorem:
    """The statement a network is an instance of.

    Args:
        name: what is proved, in a few words.
        source: who proved it, where; or `allmlp` with the page that holds the proof.
    """

    name: str
    source: str


@dataclass(frozen=True)
class Claim:
    """One number of a certificate.

    Args:
        name: what is counted or measured, for example `depth`.
        attained: the value of this network.
        promised: the value the theorem states; None where it states none.
        relation: how `attained` must stand to `promised`.
        evidence: how `attained` was found.

    Example:
        >>> Claim("depth", attained=192, promised=200).holds
        True
    """

    name: str
    attained: Value
    promised: Value | None = None
    relation: Relation = "<="
    evidence: Evidence = "exact"

    @property
    def holds(self) -> bool:
        """Whether the promise is kept; a claim without a promise always holds."""
        if self.promised is None:
            return True
        if self.relation == "==":
            return self.attained == self.promised
        if self.relation == "<=":
            return self.attained <= self.promised
        return self.attained >= self.promised


@dataclass(frozen=True)
class Certificate:
    """Promised against attained; `str` is a table, `to_json` a document.

    Every claim is reached by name, `certificate["depth"].promised`. The names that most
    certificates share are also attributes: `width`, `depth`, `parameters`, `error` and the same
    with `promised_` in front.

    Example:
        >>> from allmlp.theory import sawtooth
        >>> certificate = sawtooth(3).certificate()
        >>> certificate.depth, certificate.promised_depth, certificate["pieces"].attained
        (4, 4, 8)
        >>> certificate.holds
        True
    """

    theorem: Theorem
    claims: tuple[Claim, ...]
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Claim:
        for claim in self.claims:
            if claim.name == name:
                return claim
        raise AllmlpError(unknown_name("claim", name, (claim.name for claim in self.claims)))

    @property
    def holds(self) -> bool:
        """Whether every promise is kept."""
        return all(claim.holds for claim in self.claims)

    @property
    def width(self) -> int:
        """Units of the largest hidden layer."""
        return int(self["width"].attained)

    @property
    def depth(self) -> int:
        """Number of affine maps, the output included."""
        return int(self["depth"].attained)

    @property
    def parameters(self) -> int:
        """Weights and biases, zeros included."""
        return int(self["parameters"].attained)

    @property
    def error(self) -> Value:
        """Distance to the target, in the norm that the theorem names."""
        return self["error"].attained

    @property
    def promised_depth(self) -> Value | None:
        """What the theorem says about `depth`."""
        return self["depth"].promised

    @property
    def promised_error(self) -> Value | None:
        """What the theorem says about `error`."""
        return self["error"].promised

    def __str__(self) -> str:
        rows = [("claim", "promised", "attained", "evidence", "")]
        for claim in self.claims:
            promised = (
                "" if claim.promised is None else f"{claim.relation} {_shown(claim.promised)}"
            )
            verdict = "" if claim.promised is None else "holds" if claim.holds else "BROKEN"
            rows.append((claim.name, promised, _shown(claim.attained), claim.evidence, verdict))
        sizes = [max(len(row[i]) for row in rows) for i in range(5)]
        lines = [
            f"{row[0]:<{sizes[0]}}  {row[1]:>{sizes[1]}}  {row[2]:>{sizes[2]}}  "
            f"{row[3]:<{sizes[3]}}  {row[4]}".rstrip()
            for row in rows
        ]
        lines.insert(1, "-" * max(map(len, lines)))
        head = [self.theorem.name, f"source: {self.theorem.source}", ""]
        return "\n".join(head + lines + [f"* {note}" for note in self.notes])

    def to_json(self) -> str:
        """The certificate as a JSON document; fractions as strings such as `"1/8"`."""
        document = {
            "theorem": self.theorem.name,
            "source": self.theorem.source,
            "holds": self.holds,
            "claims": [
                {
                    "name": claim.name,
                    "promised": None if claim.promised is None else _plain(claim.promised),
                    "relation": claim.relation,
                    "attained": _plain(claim.attained),
                    "evidence": claim.evidence,
                    "holds": claim.holds,
                }
                for claim in self.claims
            ],
            "notes": list(self.notes),
        }
        return json.dumps(document, indent=2, ensure_ascii=False)


def _plain(value: Value) -> int | float | str:
    if isinstance(value, Fraction):
        return int(value) if value.denominator == 1 else str(value)
    return value


def _shown(value: Value) -> str:
    if isinstance(value, Fraction):
        # a fraction is shown as such while a reader can take it in; Decimal, because a rational
        # may lie beyond the range of floats
        short = max(abs(value.numerator), value.denominator) < 10**8
        return str(value) if short else f"{_decimal(value):.4g}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)
