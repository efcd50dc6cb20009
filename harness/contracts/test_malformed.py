"""Goal: each operator spoils what it says, where it says. Method: against the strict decoder."""

import json

import pytest

from contracts.codec import decode
from contracts.strict_json import ContractViolation
from harness.alone import GOOD
from harness.malformed import OPERATORS, Operator
from harness.places import Json


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
def test_operator_spoils_where_it_says_and_fits_somewhere(operator: Operator) -> None:
    spoilt = [(kind, made) for kind, good in GOOD for made in operator.spoil(kind, good)]
    assert spoilt, "an operator that fits nowhere is none"
    for kind, made in spoilt:
        found = set()
        try:
            decode(made.body, kind)
        except ContractViolation as violation:
            assert violation.total <= len(violation.violations)
            found = {place.path for place in violation.violations}
        assert found == made.paths, (kind, made.body[:500])


@pytest.mark.parametrize(("kind", "good"), GOOD)
def test_good_messages_are_good_and_few_operators_leave_them_alone(kind: type, good: Json) -> None:
    decode(json.dumps(good).encode(), kind)
    fitting = [operator for operator in OPERATORS if list(operator.spoil(kind, good))]
    assert len(fitting) > 30


def test_operators_have_names_of_their_own() -> None:
    names = [operator.name for operator in OPERATORS]
    assert len(set(names)) == len(names)
    assert all(operator.does for operator in OPERATORS)
