"""Goal: each operator spoils what it says, where it says. Method: against the strict decoder."""

import json

import pytest

from contracts.chat import ChatRequest, ChatResponse
from contracts.codec import decode
from contracts.events import CitationsProved, Delta, Done, Failed, Meta, SourcesFound
from contracts.generation import GenerateRequest, GenerateResponse
from contracts.strict_json import ContractViolation
from harness import alone
from harness.alone import CHAT, FELL_BACK, GENERATE, OK
from harness.malformed import OPERATORS, Operator
from harness.places import Json

GOOD: tuple[tuple[type, Json], ...] = (
    (ChatRequest, CHAT),
    (GenerateRequest, GENERATE),
    (ChatResponse, alone.chat_answer(OK)),
    (ChatResponse, alone.chat_answer(FELL_BACK)),
    (GenerateResponse, alone.generated_answer(OK)),
    (GenerateResponse, alone.generated_answer(FELL_BACK)),
    (Meta, alone.META),
    (SourcesFound, {"sources": alone.SOURCES}),
    (CitationsProved, {"citations": alone.CITATIONS}),
    (Delta, {"delta": "One."}),
    (Failed, alone.error_data(discard=True)),
    (Done, alone.done_data(OK)),
    (Done, alone.done_data(FELL_BACK)),
)


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
