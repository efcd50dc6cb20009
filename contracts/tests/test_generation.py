"""Goal: a generation has something to cite, ends in a question, and its outcome fits together."""

import json

import pytest
from attrs import evolve

from contracts.chat import Citation
from contracts.codec import ContractViolation, decode, encode
from contracts.generation import (
    Chunk,
    Context,
    GenerateRequest,
    GenerateResponse,
    PromptMessage,
)
from contracts.reasons import MessageKey, ReasonCode
from contracts.tests.shapes import FALLBACKS

QUESTION = PromptMessage("user", "Why?")
ASKED = GenerateRequest((QUESTION,), context=Context((Chunk("a", "Because."), Chunk("b", "So."))))
OK = GenerateResponse(
    version="v1",
    trace_id="1" * 32,
    request_id="r",
    model="m",
    status="ok",
    reason_code=None,
    message_key=None,
    retry_after_ms=None,
    content="Because [c1].",
    citations=(Citation("a", "c1", None, None),),
    usage=None,
    timings_ms={},
)


def fallback(code: ReasonCode) -> GenerateResponse:
    return evolve(
        OK,
        status="fallback",
        reason_code=code,
        message_key=code.message,
        content=None,
        citations=(),
    )


def violations(data: bytes, kind: type) -> list[tuple[str, str]]:
    with pytest.raises(ContractViolation) as caught:
        decode(data, kind)
    return [(found.path, found.problem) for found in caught.value.violations]


@pytest.mark.parametrize("response", [OK, *map(fallback, FALLBACKS)])
def test_response_is_sent_and_received_when_all_agrees(response: GenerateResponse) -> None:
    assert decode(encode(response), GenerateResponse) == response


@pytest.mark.parametrize(
    ("response", "change", "path"),
    [
        (OK, {"content": None}, "$.content"),
        (OK, {"reason_code": "RAG_NO_CHUNKS"}, "$.reason_code"),
        (OK, {"message_key": "busy"}, "$.message_key"),
        (fallback(ReasonCode.OUTPUT_EMPTY), {"content": "text"}, "$.content"),
        (fallback(ReasonCode.OUTPUT_EMPTY), {"message_key": "busy"}, "$.message_key"),
        (fallback(ReasonCode.OUTPUT_EMPTY), {"reason_code": "INPUT_INVALID"}, "$.reason_code"),
        (
            fallback(ReasonCode.OUTPUT_EMPTY),
            {"citations": [{"chunk_id": "a", "marker": "c1", "title": None, "url": None}]},
            "$.citations",
        ),
    ],
)
def test_response_is_refused_when_its_parts_disagree(
    response: GenerateResponse, change: dict[str, object], path: str
) -> None:
    told = json.loads(encode(response)) | change
    assert [place for place, _ in violations(json.dumps(told).encode(), GenerateResponse)] == [path]


@pytest.mark.parametrize(
    "broken",
    [
        evolve(OK, content=None),
        evolve(OK, message_key=MessageKey.BUSY),
        evolve(fallback(ReasonCode.OUTPUT_EMPTY), content="text"),
        evolve(fallback(ReasonCode.OUTPUT_EMPTY), citations=OK.citations),
        evolve(ASKED, messages=(QUESTION, PromptMessage("assistant", "Well."))),
        evolve(ASKED, context=Context()),
        evolve(ASKED, context=Context((Chunk("a", "x"), Chunk("a", "y")))),
    ],
)
def test_body_is_not_sent_when_its_parts_disagree(broken: object) -> None:
    with pytest.raises(AssertionError):
        encode(broken)


def test_request_is_sent_and_received() -> None:
    assert decode(encode(ASKED), GenerateRequest) == ASKED
    uncited = evolve(ASKED, context=Context(), citations_required=False, temperature=0.0)
    assert decode(encode(uncited), GenerateRequest) == uncited


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"context": {"chunks": []}},
            [("$.context.chunks", "must not be empty where citations are required")],
        ),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
            [("$.messages", "the last message must be the user's")],
        ),
        ({"messages": []}, [("$.messages", "0 items; 1 to 64 are allowed")]),
        (
            {"context": {"chunks": [{"chunk_id": c, "content": "x"} for c in "abca"]}},
            [
                ("$.context.chunks[0].chunk_id", "stands more than once"),
                ("$.context.chunks[3].chunk_id", "stands more than once"),
            ],
        ),
        (
            {"context": {"chunks": [{"chunk_id": "a", "content": "x", "title": None}]}},
            [("$.context.chunks[0].title", "must not be null; leave the key out")],
        ),
        ({"max_tokens": 0}, [("$.max_tokens", "must be at least 1")]),
        ({"max_tokens": 32_769}, [("$.max_tokens", "must be at most 32768")]),
        ({"max_tokens": None}, [("$.max_tokens", "must not be null; leave the key out")]),
        ({"temperature": 2.01}, [("$.temperature", "must be at most 2")]),
        ({"model": ""}, [("$.model", "must not be empty")]),
    ],
)
def test_request_is_refused_at_the_place(
    change: dict[str, object], expected: list[tuple[str, str]]
) -> None:
    told = json.loads(encode(ASKED)) | change
    assert violations(json.dumps(told).encode(), GenerateRequest) == expected
