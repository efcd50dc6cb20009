"""Goal: what a chat's bodies say about their outcome fits together, sent and received."""

import json

import pytest
from attrs import asdict, evolve

from contracts.chat import (
    Answer,
    ChatRequest,
    ChatResponse,
    Citation,
    ErrorBody,
    Source,
    UserMessage,
)
from contracts.codec import ContractViolation, decode, encode
from contracts.limits import MESSAGE_CHARS, TOP_K_DEFAULT
from contracts.reasons import MessageKey, NextAction, ReasonCode
from contracts.tests.shapes import FALLBACKS

CODE = ReasonCode.RAG_NO_CHUNKS
SOURCE = Source("a", "d", "Title", None, "text", 0.5)
OK = ChatResponse(
    version="v1",
    trace_id="1" * 32,
    request_id="r",
    session_id=None,
    status="ok",
    reason_code=None,
    message_key=None,
    answer=Answer("assistant", "It is so [c1]."),
    citations=(Citation("a", "c1", "Title", None),),
    sources=(SOURCE,),
    next_action=NextAction.NONE,
    retry_after_ms=None,
    model="m",
    usage=None,
    timings_ms={"total": 1},
)


def fallback(code: ReasonCode) -> ChatResponse:
    return evolve(
        OK,
        status="fallback",
        reason_code=code,
        message_key=code.message,
        answer=Answer("assistant", code.text),
        citations=(),
        next_action=code.next_action,
    )


def refused(response: ChatResponse) -> set[str]:
    """The places at which both sides refuse the response."""
    with pytest.raises(AssertionError):
        encode(response)
    with pytest.raises(ContractViolation) as caught:
        decode(json.dumps(asdict(response)).encode(), ChatResponse)
    return {violation.path for violation in caught.value.violations}


NOTHING_FOUND = fallback(CODE)


@pytest.mark.parametrize("response", [OK, *map(fallback, FALLBACKS)])
def test_response_is_sent_and_received_when_all_agrees(response: ChatResponse) -> None:
    assert decode(encode(response), ChatResponse) == response


@pytest.mark.parametrize(
    ("response", "paths"),
    [
        (evolve(OK, reason_code=CODE), {"$.reason_code", "$.next_action"}),
        (evolve(OK, message_key=MessageKey.BUSY), {"$.message_key"}),
        (evolve(OK, next_action=NextAction.RETRY), {"$.next_action"}),
        (
            evolve(OK, citations=(Citation("b", "c1", None, None),)),
            {"$.citations[0].chunk_id"},
        ),
        (evolve(OK, sources=()), {"$.citations[0].chunk_id"}),
        (evolve(OK, status="fallback"), {"$.reason_code", "$.citations"}),
    ],
)
def test_ok_is_refused_when_its_parts_disagree(response: ChatResponse, paths: set[str]) -> None:
    assert refused(response) == paths


@pytest.mark.parametrize(
    ("response", "paths"),
    [
        (evolve(NOTHING_FOUND, reason_code=None), {"$.reason_code", "$.next_action"}),
        (
            evolve(NOTHING_FOUND, reason_code=ReasonCode.INPUT_INVALID),
            {"$.reason_code", "$.next_action"},
        ),
        (
            evolve(NOTHING_FOUND, reason_code=ReasonCode.CLIENT_DISCONNECTED),
            {"$.reason_code", "$.next_action"},
        ),
        (evolve(NOTHING_FOUND, message_key=None), {"$.message_key"}),
        (
            evolve(NOTHING_FOUND, message_key=MessageKey.BUSY),
            {"$.message_key", "$.answer.content"},
        ),
        (evolve(NOTHING_FOUND, next_action=NextAction.NONE), {"$.next_action"}),
        (evolve(NOTHING_FOUND, citations=OK.citations), {"$.citations"}),
        (
            evolve(NOTHING_FOUND, answer=Answer("assistant", "What the model said.")),
            {"$.answer.content"},
        ),
        (evolve(NOTHING_FOUND, status="ok"), {"$.reason_code", "$.message_key"}),
    ],
)
def test_fallback_is_refused_when_its_parts_disagree(
    response: ChatResponse, paths: set[str]
) -> None:
    assert refused(response) == paths


def test_smallest_request_has_the_contracts_defaults() -> None:
    request = decode(b'{"message":{"role":"user","content":"Why?"}}', ChatRequest)
    assert request == ChatRequest(UserMessage("user", "Why?"))
    assert (request.version, request.history, request.session_id) == ("v1", (), None)
    options = request.options
    assert (options.stream, options.top_k, options.citations_required) == (
        False,
        TOP_K_DEFAULT,
        True,
    )


@pytest.mark.parametrize("length", [1, MESSAGE_CHARS])
def test_message_is_taken_at_its_ends(length: int) -> None:
    message = UserMessage("user", "🙂" * length)
    assert decode(encode(ChatRequest(message)), ChatRequest).message == message


def test_session_is_taken_with_an_empty_history() -> None:
    data = b'{"message":{"role":"user","content":"Why?"},"session_id":"s","history":[]}'
    assert decode(data, ChatRequest).session_id == "s"


def test_response_is_refused_when_any_key_is_absent() -> None:
    told = json.loads(encode(OK))
    for key in told:
        with pytest.raises(ContractViolation, match=rf"^\$\.{key}: required$"):
            decode(json.dumps({k: v for k, v in told.items() if k != key}).encode(), ChatResponse)


def test_list_of_details_has_a_cap_when_it_is_received() -> None:
    error = {"code": "INPUT_INVALID", "message": "m", "details": [0] * 100_000}
    body = {"error": error, "trace_id": "1" * 32, "request_id": "r"}
    with pytest.raises(ContractViolation, match=r"^\$\.error\.details: 100000 items; 0 to 32"):
        decode(json.dumps(body).encode(), ErrorBody)
