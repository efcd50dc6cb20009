"""The edge to QS: what is legal passes unchanged, and the client's stream always ends in `done`."""

import json
from itertools import pairwise

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from bff.app import open_app
from bff.config import BffSettings
from contracts.chat import Answer, ChatResponse, Citation, Source
from contracts.codec import encode
from contracts.events import (
    CitationsProved,
    Delta,
    Done,
    Failed,
    Meta,
    SourcesFound,
    StreamEvent,
    failed,
    to_wire,
)
from contracts.order import State, StreamOrder
from contracts.reasons import NextAction, ReasonCode
from harness.hop_stage import (
    SSE_HEAD,
    Play,
    Stage,
    Upstream,
    chat,
    chunk,
    events_in,
    open_stage,
    raw,
    sse,
    whole,
)

ENVIRON = {"BFF_QS_URL": "http://next"}
ASK = chat(request_id="r-1", trace_id="ab" * 16)
CITED = Citation("d#1", "c1", "T", None)
FOUND = Source("d#1", "d", "T", None, "…", 0.5)
CODE = ReasonCode.PROVIDER_TIMEOUT
META = to_wire(Meta("v1", "ab" * 16, "r-1", None))
SOURCES = to_wire(SourcesFound((FOUND,)))
CITATIONS = to_wire(CitationsProved((CITED,)))
DELTA = to_wire(Delta("on\u2028e"))
ERROR = to_wire(failed(CODE, discard=False))
DISCARD = to_wire(failed(CODE, discard=True))


def done(code: ReasonCode | None = None) -> bytes:
    ended = Done(
        status="fallback" if code else "ok",
        reason_code=code,
        message_key=code.message if code else None,
        next_action=code.next_action if code else NextAction.NONE,
        retry_after_ms=None,
        model="m",
        citations=() if code else (CITED,),
        usage=None,
        timings_ms={"total": 1},
    )
    return to_wire(ended)


OK = (META, SOURCES, CITATIONS, DELTA, DELTA, done())
FALLBACK = (META, SOURCES, CITATIONS, DELTA, DISCARD, done(CODE))


async def answered(play: Play) -> tuple[bytes, Stage]:
    """The stream that the client gets when QS plays this."""
    upstream = Upstream(play)
    async with open_stage(BffSettings, open_app, upstream=upstream, environ=ENVIRON) as stage:
        response = await stage.post(ASK, "/chat?stream=true")
        await stage.at_rest()
    assert response.status_code == 200
    return response.content, stage


def legal(stream: bytes) -> list[StreamEvent]:
    """The stream's events, held to the one order."""
    order, events = StreamOrder(citations_required=True), events_in(stream)
    for event in events:
        order.advance(event)
    assert order.state is State.CLOSED, events
    return events


def outcome(stream: bytes) -> ReasonCode | None:
    end = legal(stream)[-1]
    assert isinstance(end, Done)
    return end.reason_code


@pytest.mark.parametrize("events", [OK, FALLBACK], ids=["ok", "fallback"])
async def test_a_legal_stream_passes_unchanged(
    autojump_clock: MockClock, events: tuple[bytes, ...]
) -> None:
    stream, stage = await answered(sse(*events))
    assert stream == b"".join(events)
    code = outcome(stream)
    assert stage.ended() == [("fallback" if code else "ok", code, "relaying")]


@pytest.mark.parametrize("end", ["eof", "reset", "last chunk"])
@pytest.mark.parametrize("sent", range(len(OK)))
async def test_a_stream_that_breaks_off_is_ended_for_it(
    autojump_clock: MockClock, sent: int, end: str
) -> None:
    steps = [chunk(event) for event in OK[:sent]]
    last = b"0\r\n\r\n" if end == "last chunk" else end
    stream, stage = await answered(raw(SSE_HEAD, *steps, 0.1, last))  # type: ignore[arg-type]  # ends are words
    assert outcome(stream) is ReasonCode.HOP_DISCONNECTED
    failure = legal(stream)[-2]
    assert isinstance(failure, Failed)
    assert failure.discard is (sent > OK.index(DELTA))
    assert stage.ended() == [("fallback", "HOP_DISCONNECTED", "relaying")]


@pytest.mark.parametrize("end", ["eof", "reset"])
async def test_an_error_without_done_gets_its_done(autojump_clock: MockClock, end: str) -> None:
    steps = [chunk(event) for event in (META, ERROR)]
    stream, _ = await answered(raw(SSE_HEAD, *steps, 0.1, end))  # type: ignore[arg-type]  # ends are words
    assert stream.startswith(META + ERROR)
    assert outcome(stream) is CODE


BREACHES = {
    "no meta": (SOURCES,),
    "meta of another request": (to_wire(Meta("v1", "ab" * 16, "r-2", None)),),
    "meta of another trace": (to_wire(Meta("v1", "cd" * 16, "r-1", None)),),
    "meta twice": (META, META),
    "sources twice": (META, SOURCES, SOURCES),
    "sources late": (META, CITATIONS, SOURCES),
    "text unproved": (META, SOURCES, DELTA),
    "citations twice": (META, CITATIONS, CITATIONS),
    "citations late": (META, CITATIONS, DELTA, CITATIONS),
    "done at once": (done(),),
    "done ok without text": (META, CITATIONS, done()),
    "fallback without error": (META, SOURCES, done(CODE)),
    "withdrawn for nothing": (META, DISCARD),
    "not withdrawn": (META, CITATIONS, DELTA, ERROR),
    "unknown event": (META, b"event: usage\ndata: {}\n\n"),
    "nameless event": (META, b"data: {}\n\n"),
    "event without data": (META, b"event: sources\n\n"),
    "data on two lines": (META, b'event: sources\ndata: {"sources":\ndata: []}\n\n'),
    "error on two lines": (META, ERROR.replace(b",", b",\ndata: ", 1)),
    "odd field": (META, b"event: sources\ndata: {}\nerror: x\n\n"),
    "odd name": (META, b"event: \xff\ndata: {}\n\n"),
    "error no JSON": (META, b"event: error\ndata: {\n\n"),
    "error not UTF-8": (META, b"event: error\ndata: \xff\n\n"),
    "error of a foreign code": (META, ERROR.replace(CODE.encode(), b"NO_SUCH_CODE")),
    "error that is only logged": (META, ERROR.replace(CODE.encode(), b"CLIENT_DISCONNECTED")),
    "error with words of its own": (META, ERROR.replace(b"busy or", b"busy and")),
    "a frame over its cap": (META, b"event: sources\ndata: " + b"x" * 1024 * 1024 + b"\n\n"),
}


@pytest.mark.parametrize("name", BREACHES)
async def test_a_breach_of_the_contract_ends_the_stream(
    autojump_clock: MockClock, name: str
) -> None:
    stream, stage = await answered(sse(*BREACHES[name], *OK[1:]))
    assert outcome(stream) is ReasonCode.HOP_PROTOCOL_ERROR
    assert stage.ended() == [("fallback", "HOP_PROTOCOL_ERROR", "relaying")]
    assert [line["event"] for line in stage.lines()] == ["next hop failed", "call ended"]


AFTER_ERROR = {
    "delta": DELTA,
    "error": ERROR,
    "done ok": done(),
    "done of another code": done(ReasonCode.RAG_TIMEOUT),
    "done not UTF-8": b"event: done\ndata: \xff\n\n",
    "noise": b"x\n\n",
}


@pytest.mark.parametrize("name", AFTER_ERROR)
async def test_the_first_cause_wins_over_a_breach_after_it(
    autojump_clock: MockClock, name: str
) -> None:
    stream, _ = await answered(sse(META, ERROR, AFTER_ERROR[name]))
    assert stream.startswith(META + ERROR)
    assert outcome(stream) is CODE


@pytest.mark.parametrize("after", [done(), DELTA, b"\xff" * 99, b"event: x\n\n" * 9_999])
async def test_nothing_after_done_is_passed_on(autojump_clock: MockClock, after: bytes) -> None:
    stream, stage = await answered(sse(*OK, after))
    assert stream == b"".join(OK)
    assert stage.ended() == [("ok", None, "relaying")]


async def test_a_next_hop_that_hangs_after_done_is_left(autojump_clock: MockClock) -> None:
    stream, _ = await answered(sse(*OK, "hang"))
    assert outcome(stream) is None
    assert trio.current_time() < 1.0


async def test_a_flood_without_order_is_left_at_the_first_breach(
    autojump_clock: MockClock,
) -> None:
    stream, _ = await answered(sse(META, *[DELTA * 1_000] * 1_000))
    assert outcome(stream) is ReasonCode.HOP_PROTOCOL_ERROR


# Any cut of any stream.

EVENTS = st.sampled_from([OK, FALLBACK, (META, ERROR, done(CODE)), (META, SOURCES, ERROR)])


@settings(max_examples=60, deadline=None)
@given(data=st.data(), events=EVENTS, end=st.sampled_from(["eof", "reset", "hang"]))
def test_a_stream_cut_anywhere_ends_legally_and_is_ok_only_when_whole(
    data: st.DataObject, events: tuple[bytes, ...], end: str
) -> None:
    stream = b"".join(events)
    places = st.integers(0, len(stream))
    length = data.draw(st.one_of(st.just(len(stream)), places))
    cuts = sorted({0, length, *data.draw(st.lists(st.integers(0, length), max_size=6))})
    pieces = [stream[a:b] for a, b in pairwise(cuts)]
    pauses = data.draw(st.lists(st.sampled_from([0.0, 3.0]), min_size=8, max_size=8))
    steps = [step for piece, pause in zip(pieces, pauses, strict=False) for step in (piece, pause)]

    async def main() -> bytes:
        play = raw(SSE_HEAD, *[chunk(s) if isinstance(s, bytes) else s for s in steps], 0.1, end)  # type: ignore[arg-type]  # ends are words
        return (await answered(play))[0].replace(b": heartbeat\n\n", b"")

    relayed = trio.run(main, clock=MockClock(autojump_threshold=0))
    assert_ends_as_it_must(relayed, stream[:length], events)


def assert_ends_as_it_must(relayed: bytes, sent: bytes, events: tuple[bytes, ...]) -> None:
    """Whole events pass; what is missing is `error` and `done`; ok is ok, and nothing else is."""
    passed, rest = b"", sent
    for event in events:
        if rest.startswith(event):
            passed, rest = passed + event, rest[len(event) :]
        else:
            break
    assert relayed.startswith(passed)
    code = outcome(relayed)
    assert (code is None) is (passed == b"".join(OK))
    if passed.endswith(done(CODE)) or ERROR in passed or DISCARD in passed:
        assert code is CODE
    elif code is not None:
        assert code in (ReasonCode.HOP_DISCONNECTED, ReasonCode.HOP_TIMEOUT)


# Plain answers.


def response(**changes: object) -> bytes:
    """A whole answer of QS, with some keys changed."""
    made = ChatResponse(
        version="v1",
        trace_id="ab" * 16,
        request_id="r-1",
        session_id=None,
        status="ok",
        reason_code=None,
        message_key=None,
        answer=Answer("assistant", "one [c1]"),
        citations=(CITED,),
        sources=(FOUND,),
        next_action=NextAction.NONE,
        retry_after_ms=None,
        model="m",
        usage=None,
        timings_ms={},
    )
    return json.dumps({**json.loads(encode(made)), **changes}, indent=1).encode()


async def plain(play: Play) -> tuple[dict[str, object], bytes, Stage]:
    upstream = Upstream(play)
    async with open_stage(BffSettings, open_app, upstream=upstream, environ=ENVIRON) as stage:
        answer = await stage.post(ASK)
        await stage.at_rest()
    assert answer.status_code == 200
    return answer.json(), answer.content, stage


async def test_a_whole_answer_passes_byte_for_byte(autojump_clock: MockClock) -> None:
    _, content, stage = await plain(whole(200, response()))
    assert content == response()
    assert stage.ended() == [("ok", None, "relaying")]


WRONG_BODIES = {
    "no JSON": b"{",
    "not UTF-8": b"\xff",
    "an unknown key": response(extra=1),
    "a missing key": response().replace(b'"usage"', b'"usages"'),
    "a wrong type": response(retry_after_ms="1"),
    "an unknown code": response(status="fallback", reason_code="X"),
    "an unsearched citation": response(sources=[]),
    "a fallback with the model's text": response(
        status="fallback", reason_code=CODE, message_key="busy", next_action="RETRY", citations=[]
    ),
    "another request's id": response(request_id="r-2"),
    "another trace's id": response(trace_id="cd" * 16),
    "an empty body": b"",
    "two bodies": response() * 2,
}


@pytest.mark.parametrize("name", WRONG_BODIES)
async def test_a_body_outside_the_contract_is_a_protocol_error(
    autojump_clock: MockClock, name: str
) -> None:
    reply, _, stage = await plain(whole(200, WRONG_BODIES[name]))
    assert (reply["status"], reply["reason_code"]) == ("fallback", "HOP_PROTOCOL_ERROR")
    assert (reply["request_id"], reply["trace_id"]) == ("r-1", "ab" * 16)
    assert reply["answer"] == {
        "role": "assistant",
        "content": ReasonCode.HOP_PROTOCOL_ERROR.text,
    }
    assert stage.ended() == [("fallback", "HOP_PROTOCOL_ERROR", "relaying")]
