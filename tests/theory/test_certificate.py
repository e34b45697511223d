import json
from fractions import Fraction
from typing import Any

import pytest

from allmlp.errors import AllmlpError
from allmlp.theory import Certificate, Claim, Theorem

THEOREM = Theorem("A theorem", "its author")


@pytest.mark.parametrize(
    ("relation", "attained", "holds"),
    [("<=", 3, True), ("<=", 4, False), ("==", 3, True), ("==", 2, False), (">=", 2, False)],
)
def test_a_claim_compares_by_its_relation(relation: Any, attained: Any, holds: bool) -> None:
    assert Claim("depth", attained=attained, promised=3, relation=relation).holds is holds


def test_one_broken_claim_breaks_the_certificate_and_is_named_in_the_table() -> None:
    certificate = Certificate(
        THEOREM, (Claim("width", 2, promised=2), Claim("depth", 9, promised=8))
    )
    assert not certificate.holds
    assert "BROKEN" in str(certificate)
    assert str(certificate).count("BROKEN") == 1


def test_json_keeps_fractions_as_text_and_every_claim() -> None:
    certificate = Certificate(THEOREM, (Claim("error", Fraction(1, 8), promised=0.5),), ("a note",))
    document = json.loads(certificate.to_json())
    assert document["claims"][0]["attained"] == "1/8"
    assert document["holds"] is True
    assert document["notes"] == ["a note"]


def test_an_unknown_claim_lists_the_known_ones() -> None:
    with pytest.raises(AllmlpError, match="width"):
        Certificate(THEOREM, (Claim("width", 2),))["wide"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Fraction(1, 8), "1/8"),
        (Fraction(10, 3**30), "4.857e-14"),
        (Fraction(1, 4**700), "3.614e-422"),  # below the least float
        (Fraction(10**600, 7), "1.429e+599"),  # above the largest
    ],
)
def test_rationals_of_any_size_are_shown(value: Fraction, shown: str) -> None:
    assert shown in str(Certificate(THEOREM, (Claim("error", value),)))
