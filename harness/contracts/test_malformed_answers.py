"""Goal: a spoilt answer in one body is refused, a good one in other bytes is taken.

Method: every operator over every plain answer of QS and of LLMGW, ok and fallback, and over the
body of an error, at the program that reads it: to a plain caller, and where QS streams to its
caller out of a plain inner call. Then every code an inner hop can refuse with.
"""

from collections.abc import Mapping

import pytest
from attrs import frozen
from trio.testing import MockClock

from contracts.chat import ErrorBody
from contracts.limits import RESPONSE_BODY_BYTES
from contracts.reasons import ReasonCode
from harness.alone import (
    CITATIONS,
    FELL_BACK,
    IDS,
    OK,
    SOURCES,
    TEXT,
    Ending,
    Hop,
    ask,
    frame,
    good_stream,
    open_alone,
    plain_answer,
)
from harness.hop_stage import Stage, Upstream, whole
from harness.malformed import OPERATORS, Operator, Spoilt, body_of
from harness.order_breaks import telling
from harness.places import Json
from harness.wire_schemas import streamed
from harness.wire_schemas import whole as proved

BROKEN = ReasonCode.HOP_PROTOCOL_ERROR
REFUSALS = [code for code in ReasonCode if code.http is not None]


@frozen
class Mode:
    """A program that reads whole answers, and how its own caller asks."""

    hop: Hop
    path: str
    environ: Mapping[str, str] = {}

    @property
    def name(self) -> str:
        return f"{self.hop}-{'streamed' if 'stream' in self.path else 'plain'}"


PLAIN = [
    Mode("bff", "/chat"),
    Mode("qs", "/chat"),
    Mode("qs", "/chat?stream=true", {"QS_CHAT_STREAM_ENABLED": "false"}),
]
# An error is JSON whatever was asked for.
STREAMED = Mode("qs", "/chat?stream=true")
EVERY = [*PLAIN, Mode("bff", "/chat?stream=true"), STREAMED]


async def outcome(stage: Stage, mode: Mode) -> Json:
    """How the call ended: the end of its body, or its `done`; proved, and with nothing untrue."""
    response = await stage.post(ask(cited=True), mode.path)
    if response.status_code != 200:
        return proved("error-body", response.content)
    if "stream" in mode.path:
        events = streamed(response.content, cited=True)
        texts = [data["delta"] for name, data in events if name == "delta"]
        return {**events[-1][1], "text": texts}
    body = proved("chat-response", response.content)
    assert {key: body[key] for key in IDS} == IDS
    if mode.hop == "qs" or body["status"] == "ok":
        assert body["sources"] == SOURCES
    elif body["reason_code"] == BROKEN:
        assert body["sources"] == []  # the BFF knows none but QS's
    answer = body["answer"]
    assert isinstance(answer, dict)
    return {**body, "text": [] if body["reason_code"] else [answer["content"]]}


def spoilt_answers(operator: Operator, hop: Hop) -> list[tuple[Spoilt, ReasonCode | None]]:
    """Each spoilt answer, and the code that it must end in."""
    return [
        (spoilt, ending.code if spoilt.harmless else BROKEN)
        for ending in (OK, FELL_BACK)
        for spoilt in operator.spoil(*plain_answer(hop, ending))
    ]


FITTING = [
    pytest.param(operator, mode, id=f"{operator.name}-{mode.name}")
    for operator in OPERATORS
    for mode in PLAIN
    if spoilt_answers(operator, mode.hop)
]


@pytest.mark.parametrize(("operator", "mode"), FITTING)
async def test_a_spoilt_answer_is_a_breach(
    autojump_clock: MockClock, operator: Operator, mode: Mode
) -> None:
    upstream = Upstream(whole(200, b""))
    async with open_alone(mode.hop, upstream, mode.environ) as stage:
        for spoilt, code in spoilt_answers(operator, mode.hop):
            upstream.play = whole(200, spoilt.body)
            ended = await outcome(stage, mode)
            assert ended["reason_code"] == code, spoilt
            assert ended["text"] == ([] if code else [TEXT])
        await stage.at_rest()


@pytest.mark.parametrize("mode", PLAIN, ids=lambda mode: mode.name)
async def test_another_calls_answer_is_a_breach(autojump_clock: MockClock, mode: Mode) -> None:
    upstream = Upstream(whole(200, b""))
    async with open_alone(mode.hop, upstream, mode.environ) as stage:
        for ending in (OK, FELL_BACK):
            answer = plain_answer(mode.hop, ending)[1]
            upstream.play = whole(200, {**answer, "request_id": "r-2"})
            assert (await outcome(stage, mode))["reason_code"] == BROKEN


@pytest.mark.parametrize("mode", EVERY[-2:], ids=lambda mode: mode.name)
async def test_another_calls_stream_is_a_breach(autojump_clock: MockClock, mode: Mode) -> None:
    events = dict(good_stream(mode.hop, OK))
    events["meta"] = {**events["meta"], "request_id": "r-2"}
    play = telling([frame(name, data) for name, data in events.items()], bytearray())
    async with open_alone(mode.hop, Upstream(play)) as stage:
        assert (await outcome(stage, mode))["reason_code"] == BROKEN


@pytest.mark.parametrize("ending", [OK, FELL_BACK], ids=["ok", "fallback"])
async def test_the_bff_passes_a_good_body_as_it_came(
    autojump_clock: MockClock, ending: Ending
) -> None:
    for operator in OPERATORS:
        kind, good = plain_answer("bff", ending)
        for spoilt in operator.spoil(kind, good):
            if spoilt.harmless:
                async with open_alone("bff", Upstream(whole(200, spoilt.body))) as stage:
                    assert (await stage.post(ask(cited=True))).content == spoilt.body


@pytest.mark.parametrize("mode", PLAIN, ids=lambda mode: mode.name)
@pytest.mark.parametrize(("more", "code"), [(0, None), (1, BROKEN)])
async def test_a_body_is_taken_up_to_its_cap(
    autojump_clock: MockClock, mode: Mode, more: int, code: ReasonCode | None
) -> None:
    body = body_of(plain_answer(mode.hop, OK)[1])
    padded = body + b" " * (RESPONSE_BODY_BYTES - len(body) + more)
    async with open_alone(mode.hop, Upstream(whole(200, padded)), mode.environ) as stage:
        assert (await outcome(stage, mode))["reason_code"] == code


@pytest.mark.parametrize("mode", EVERY, ids=lambda mode: mode.name)
@pytest.mark.parametrize("media_type", ["text/html", "application/jsonx", "text/event-streams", ""])
async def test_another_media_type_is_a_breach(
    autojump_clock: MockClock, mode: Mode, media_type: str
) -> None:
    play = whole(200, body_of(plain_answer(mode.hop, OK)[1]), media_type=media_type)
    async with open_alone(mode.hop, Upstream(play), mode.environ) as stage:
        assert (await outcome(stage, mode))["reason_code"] == BROKEN


# Errors of the hop after this one.


def error_of(code: ReasonCode) -> Json:
    details = [{"path": "$.message", "problem": "required"}]
    return {"error": {"code": code, "message": "because", "details": details}, **IDS}


def expected_of(code: ReasonCode, mode: Mode) -> tuple[object, object]:
    """Status or error, and the code, that an inner refusal becomes (CONTRACT §7)."""
    if code is ReasonCode.INPUT_NOT_FOUND and mode.hop == "bff":
        return "error", code
    return "fallback", code if code.fallback else BROKEN


def ended_as(ended: Json) -> tuple[object, object]:
    error = ended.get("error")
    if isinstance(error, dict):
        return "error", error["code"]
    return ended["status"], ended["reason_code"]


@pytest.mark.parametrize("mode", EVERY, ids=lambda mode: mode.name)
async def test_every_refusal_becomes_what_the_contract_says(
    autojump_clock: MockClock, mode: Mode
) -> None:
    upstream = Upstream(whole(200, b""))
    async with open_alone(mode.hop, upstream, mode.environ) as stage:
        for code in REFUSALS:
            upstream.play = whole(code.http or 0, error_of(code), "retry-after: 7")
            ended = await outcome(stage, mode)
            assert ended_as(ended) == expected_of(code, mode)
            if code.fallback:
                assert ended["retry_after_ms"] == 7_000
        await stage.at_rest()


@pytest.mark.parametrize("mode", EVERY, ids=lambda mode: mode.name)
async def test_an_error_with_another_codes_status_is_a_breach(
    autojump_clock: MockClock, mode: Mode
) -> None:
    upstream = Upstream(whole(200, b""))
    async with open_alone(mode.hop, upstream, mode.environ) as stage:
        for status in (201, 204, 301, 400, 404, 418, 500, 502, 503):
            for code in (ReasonCode.ADMISSION_RATE_LIMITED, ReasonCode.RAG_TIMEOUT):
                upstream.play = whole(status, b"" if status == 204 else error_of(code))
                assert ended_as(await outcome(stage, mode)) == ("fallback", BROKEN), status
        await stage.at_rest()


@pytest.mark.parametrize("mode", EVERY, ids=lambda mode: mode.name)
async def test_a_spoilt_error_is_a_breach(autojump_clock: MockClock, mode: Mode) -> None:
    code = ReasonCode.ADMISSION_QUEUE_FULL
    upstream = Upstream(whole(200, b""))
    async with open_alone(mode.hop, upstream, mode.environ) as stage:
        for operator in OPERATORS:
            for spoilt in operator.spoil(ErrorBody, error_of(code)):
                upstream.play = whole(503, spoilt.body)
                expected = code if spoilt.harmless else BROKEN
                assert ended_as(await outcome(stage, mode)) == ("fallback", expected), spoilt
        await stage.at_rest()


# QS holds each citation against its own passages.

FOREIGN: Mapping[str, list[Json]] = {
    "unknown chunk": [{**CITATIONS[0], "chunk_id": "d#3"}],
    "an alias for a chunk": [{**CITATIONS[0], "chunk_id": "c1"}],
    "re-cased chunk": [{**CITATIONS[0], "chunk_id": "D#1"}],
    "chunk with a blank": [{**CITATIONS[0], "chunk_id": "d#1 "}],
    "document for a chunk": [{**CITATIONS[0], "chunk_id": "d"}],
    "another title": [{**CITATIONS[0], "title": "Second"}],
    "another url": [{**CITATIONS[0], "url": "https://x.example/2"}],
    "no url": [{**CITATIONS[0], "url": None}],
    "a title of its own": [{**CITATIONS[1], "title": "Two"}],
    "one of two": [CITATIONS[0], {**CITATIONS[1], "chunk_id": "d#3"}],
    "none": [],
}


@pytest.mark.parametrize("mode", PLAIN[1:], ids=lambda mode: mode.name)
@pytest.mark.parametrize("name", FOREIGN)
async def test_qs_refuses_a_citation_it_did_not_find(
    autojump_clock: MockClock, name: str, mode: Mode
) -> None:
    body = {**plain_answer("qs", OK)[1], "citations": FOREIGN[name]}
    async with open_alone("qs", Upstream(whole(200, body)), mode.environ) as stage:
        assert ended_as(await outcome(stage, mode)) == ("fallback", BROKEN)


@pytest.mark.parametrize("name", FOREIGN)
async def test_qs_refuses_a_streamed_citation_it_did_not_find(
    autojump_clock: MockClock, name: str
) -> None:
    for place in ("citations", "done"):
        events = [
            frame(event, {**data, "citations": FOREIGN[name]} if event == place else data)
            for event, data in good_stream("qs", OK)
        ]
        async with open_alone("qs", Upstream(telling(events, bytearray()))) as stage:
            assert ended_as(await outcome(stage, STREAMED)) == ("fallback", BROKEN)
