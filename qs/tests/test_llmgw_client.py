"""The edge to LLMGW: nothing it sends goes on unproved, and its mistakes are named as such."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import httpx
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from contracts.chat import ChatResponse, Citation, Usage
from contracts.codec import decode, encode
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
from contracts.generation import GenerateResponse
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
from harness.memory_store import keeping_in_memory
from harness.world import FixedRetriever
from hop.lifetime import HopApp
from hop.program import Program
from qs.app import make_qs
from qs.config import QueryServiceSettings
from qs.retrieval.port import Hit

ENVIRON = {"QS_LLM_URL": "http://next"}
ASK = chat(request_id="r-1", trace_id="ab" * 16)
HITS = [
    Hit("d#1", "d", "First", "https://x.example/1", "One.", 0.9),
    Hit("d#2", "d", None, None, "Two.", 0.5),
]
C1 = Citation("d#1", "c1", "First", "https://x.example/1")
C2 = Citation("d#2", "c2", None, None)
CODE = ReasonCode.PROVIDER_TIMEOUT


@asynccontextmanager
async def open_app(
    program: Program, settings: QueryServiceSettings, client: httpx.AsyncClient
) -> AsyncIterator[HopApp]:
    async with keeping_in_memory(program) as keeping:
        yield make_qs(program, settings, client, FixedRetriever(HITS), keeping)


def done(code: ReasonCode | None = None, *citations: Citation) -> bytes:
    ended = Done(
        status="fallback" if code else "ok",
        reason_code=code,
        message_key=code.message if code else None,
        next_action=code.next_action if code else NextAction.NONE,
        retry_after_ms=9 if code else None,
        model="m",
        citations=citations,
        usage=Usage(3, 4),
        timings_ms={"total": 7},
    )
    return to_wire(ended)


META = to_wire(Meta("v1", "ab" * 16, "r-1", None))
CITED = to_wire(CitationsProved((C1, C2)))
CITED_JSON = CITED[CITED.index(b"[") : -len(b"}\n\n")]
DELTA = to_wire(Delta("One [c1]."))
OK = (META, CITED, DELTA, DELTA, done(None, C1, C2))
ERROR = to_wire(failed(CODE, discard=False))
DISCARD = to_wire(failed(CODE, discard=True))


async def answered(
    play: Play, path: str = "/chat?stream=true", body: bytes = ASK, **environ: str
) -> tuple[bytes, Stage]:
    """What QS answers when LLMGW plays this."""
    env = {**ENVIRON, **environ}
    upstream = Upstream(play)
    async with open_stage(QueryServiceSettings, open_app, upstream=upstream, environ=env) as stage:
        response = await stage.post(body, path)
        await stage.at_rest()
    assert response.status_code == 200, response.text
    return response.content, stage


def legal(stream: bytes, *, required: bool = True) -> list[StreamEvent]:
    """The stream's events, held to the one order."""
    order, events = StreamOrder(required), events_in(stream)
    for event in events:
        order.advance(event)
    assert order.state is State.CLOSED, events
    return events


def end_of(stream: bytes) -> Done:
    end = legal(stream)[-1]
    assert isinstance(end, Done)
    return end


async def test_a_proved_answer_goes_on_with_the_sources(autojump_clock: MockClock) -> None:
    stream, stage = await answered(sse(*OK))
    kinds = [type(event) for event in legal(stream)]
    assert kinds == [Meta, SourcesFound, CitationsProved, Delta, Delta, Done]
    end = end_of(stream)
    assert (end.status, end.citations, end.model) == ("ok", (C1, C2), "m")
    assert end.usage == Usage(3, 4)
    assert end.timings_ms["generation"] == 7
    assert stage.ended() == [("ok", None, "generation")]


async def test_proved_bytes_go_on_as_they_came(autojump_clock: MockClock) -> None:
    """They are JSON in a way of their own, which says the same; nobody writes it anew."""
    delta = DELTA.replace(b'{"delta":"One', b'{ "delta" : "\\u004fne')
    assert delta != DELTA
    stream, _ = await answered(sse(META, CITED, delta, done(None, C1, C2)))
    assert delta in stream
    assert Delta("One [c1].") in legal(stream)


async def test_a_fallback_goes_on_with_its_reason(autojump_clock: MockClock) -> None:
    stream, stage = await answered(sse(META, CITED, DELTA, DISCARD, done(CODE)))
    end = end_of(stream)
    assert (end.reason_code, end.retry_after_ms, end.model) == (CODE, 9, "m")
    failure = legal(stream)[-2]
    assert isinstance(failure, Failed)
    assert failure.discard
    assert stage.ended() == [("fallback", CODE, "generation")]


def cite(*citations: Citation) -> bytes:
    return to_wire(CitationsProved(citations))


BREACHES = {
    "no meta": (CITED,),
    "meta twice": (META, META),
    "another request's id": (META.replace(b"r-1", b"r-2"), CITED),
    "another trace's id": (META.replace(b"ab", b"cd"), CITED),
    "sources": (META, to_wire(SourcesFound(()))),
    "text unproved": (META, DELTA),
    "done at once": (META, done(None, C1)),
    "done ok without text": (META, CITED, done(None, C1, C2)),
    "fallback without error": (META, done(CODE)),
    "withdrawn for nothing": (META, DISCARD),
    "not withdrawn": (META, CITED, DELTA, ERROR),
    "no citations": (META, CITED.replace(CITED_JSON, b"[]")),
    "other citations in done": (META, CITED, DELTA, done(None, C1)),
    "no citations in done": (META, CITED, DELTA, done(None)),
    "citations in a fallback": (META, ERROR, done(CODE).replace(b"[]", CITED_JSON)),
    "empty delta": (META, CITED, b'event: delta\ndata: {"delta":""}\n\n'),
    "delta not UTF-8": (META, CITED, b'event: delta\ndata: {"delta":"\xff"}\n\n'),
    "half a character": (META, CITED, b'event: delta\ndata: {"delta":"\\ud800"}\n\n'),
    "a delta over its cap": (META, CITED, DELTA.replace(b"One", b"x" * 8_193)),
    "an unknown key": (META, CITED, b'event: delta\ndata: {"delta":"a","x":1}\n\n'),
    "data on two lines": (META, CITED, b'event: delta\ndata: {"delta":\ndata: "x"}\n\n'),
    "unknown event": (META, b"event: usage\ndata: {}\n\n"),
    "nameless event": (META, b"data: [DONE]\n\n"),
    "a frame over its cap": (META, b"data: " + b"x" * 1024 * 1024 + b"\n\n"),
    "a code that is only logged": (META, ERROR.replace(CODE.encode(), b"CLIENT_DISCONNECTED")),
}  # fmt: skip


@pytest.mark.parametrize("name", BREACHES)
async def test_a_breach_of_the_contract_ends_the_answer(
    autojump_clock: MockClock, name: str
) -> None:
    stream, stage = await answered(sse(*BREACHES[name], *OK[2:]))
    code = CODE if name == "citations in a fallback" else ReasonCode.HOP_PROTOCOL_ERROR
    assert end_of(stream).reason_code is code
    assert stage.ended() == [("fallback", code, "generation")]


FOREIGN = {
    "unknown chunk": (Citation("d#3", "c1", None, None),),
    "known and unknown chunks": (C1, Citation("d#3", "c2", None, None)),
    "changed title": (Citation("d#1", "c1", "Other", C1.url),),
    "changed url": (Citation("d#1", "c1", C1.title, None),),
    "a title of its own": (Citation("d#2", "c2", "Two", None),),
}


@pytest.mark.parametrize("name", FOREIGN)
async def test_a_citation_of_the_gateways_own_ends_the_answer(
    autojump_clock: MockClock, name: str
) -> None:
    """All else is right: `done` says the same, so that only what was searched out tells."""
    foreign = FOREIGN[name]
    stream, _ = await answered(sse(META, cite(*foreign), DELTA, done(None, *foreign)))
    assert end_of(stream).reason_code is ReasonCode.HOP_PROTOCOL_ERROR
    assert DELTA not in stream


@pytest.mark.parametrize("end", ["eof", "reset"])
@pytest.mark.parametrize("sent", range(len(OK)))
async def test_a_stream_that_breaks_off_is_disconnected(
    autojump_clock: MockClock, sent: int, end: str
) -> None:
    steps = [chunk(event) for event in OK[:sent]]
    stream, _ = await answered(raw(SSE_HEAD, *steps, 0.1, end))  # type: ignore[arg-type]  # ends are words
    assert end_of(stream).reason_code is ReasonCode.HOP_DISCONNECTED
    failure = legal(stream)[-2]
    assert isinstance(failure, Failed)
    assert failure.discard is (sent > OK.index(DELTA))


async def test_an_error_without_done_gets_its_done(autojump_clock: MockClock) -> None:
    stream, _ = await answered(raw(SSE_HEAD, chunk(META + ERROR), 0.1, "eof"))
    assert end_of(stream).reason_code is CODE


@pytest.mark.parametrize("after", [done(None, C1, C2), DELTA, b"\xff\n\n" * 99])
async def test_nothing_after_done_goes_on(autojump_clock: MockClock, after: bytes) -> None:
    stream, stage = await answered(sse(*OK, after, "hang"))
    assert end_of(stream).status == "ok"
    assert stage.ended() == [("ok", None, "generation")]


async def test_no_citations_where_none_are_required(autojump_clock: MockClock) -> None:
    body = chat(request_id="r-1", trace_id="ab" * 16, options={"citations_required": False})
    fine, _ = await answered(sse(META, DELTA, done()), body=body)
    cited, _ = await answered(sse(*OK), body=body)
    ends = [legal(stream, required=False)[-1] for stream in (fine, cited)]
    assert [isinstance(end, Done) and end.reason_code for end in ends] == [
        None,
        ReasonCode.HOP_PROTOCOL_ERROR,
    ]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_split_of_a_stream_means_the_same(data: st.DataObject) -> None:
    stream = b"".join(OK)
    length = data.draw(st.one_of(st.just(len(stream)), st.integers(0, len(stream))))
    cuts = sorted({0, length, *data.draw(st.lists(st.integers(0, length), max_size=8))})
    pieces = [stream[a:b] for a, b in pairwise(cuts)]

    async def main() -> bytes:
        return (await answered(raw(SSE_HEAD, *map(chunk, pieces), 0.1, "eof")))[0]

    end = end_of(trio.run(main, clock=MockClock(autojump_threshold=0)))
    assert end.reason_code is (None if length == len(stream) else ReasonCode.HOP_DISCONNECTED)


# Whole answers: plain to the caller, and streamed to the caller from a plain inner call.


def generated(**changes: object) -> bytes:
    made = GenerateResponse(
        version="v1",
        trace_id="ab" * 16,
        request_id="r-1",
        model="m",
        status="ok",
        reason_code=None,
        message_key=None,
        retry_after_ms=None,
        content="One [c1].",
        citations=(C1,),
        usage=Usage(3, 4),
        timings_ms={"total": 7},
    )
    return json.dumps({**json.loads(encode(made)), **changes}).encode()


FELL_BACK: dict[str, object] = {
    "status": "fallback", "reason_code": CODE, "message_key": "busy", "content": None,
    "citations": [], "retry_after_ms": 9,
}  # fmt: skip
C1_JSON = {"chunk_id": "d#1", "marker": "c1", "title": "First", "url": "https://x.example/1"}
BODIES = {
    "ok": (generated(), None),
    "fallback": (generated(**FELL_BACK), CODE),
    "another request's id": (generated(request_id="r-2"), "HOP_PROTOCOL_ERROR"),
    "another trace's id": (generated(trace_id="cd" * 16), "HOP_PROTOCOL_ERROR"),
    "no citations": (generated(citations=[]), "HOP_PROTOCOL_ERROR"),
    "unknown chunk": (
        generated(citations=[{**C1_JSON, "chunk_id": "d#3"}]),
        "HOP_PROTOCOL_ERROR",
    ),
    "changed title": (generated(citations=[{**C1_JSON, "title": None}]), "HOP_PROTOCOL_ERROR"),
    "no content": (generated(content=None), "HOP_PROTOCOL_ERROR"),
    "empty content": (generated(content=""), "HOP_PROTOCOL_ERROR"),
    "content over its cap": (generated(content="x" * 8_193), "HOP_PROTOCOL_ERROR"),
    "fallback with content": (generated(**{**FELL_BACK, "content": "x"}), "HOP_PROTOCOL_ERROR"),
    "fallback with citations": (
        generated(**{**FELL_BACK, "citations": [C1_JSON]}),
        "HOP_PROTOCOL_ERROR",
    ),
    "no JSON": (b"<p>", "HOP_PROTOCOL_ERROR"),
    "cut JSON": (generated()[:-1], "HOP_PROTOCOL_ERROR"),
    "an unknown key": (generated(x=1), "HOP_PROTOCOL_ERROR"),
    "over its cap": (generated() + b" " * 2 * 1024 * 1024, "HOP_PROTOCOL_ERROR"),
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_whole_answer_is_proved_in_the_same_way(
    autojump_clock: MockClock, name: str
) -> None:
    body, code = BODIES[name]
    content, stage = await answered(whole(200, body), "/chat")
    reply = decode(content, ChatResponse)
    assert reply.reason_code == code
    assert [source.chunk_id for source in reply.sources] == ["d#1", "d#2"]
    if code is None:
        assert (reply.answer.content, reply.citations) == ("One [c1].", (C1,))
        assert (reply.model, reply.usage) == ("m", Usage(3, 4))
    assert stage.ended() == [("fallback" if code else "ok", code, "generation")]


@pytest.mark.parametrize("name", BODIES)
async def test_a_stream_from_a_whole_answer_has_one_delta(
    autojump_clock: MockClock, name: str
) -> None:
    body, code = BODIES[name]
    stream, _ = await answered(whole(200, body), QS_CHAT_STREAM_ENABLED="false")
    assert end_of(stream).reason_code == code
    deltas = [event for event in legal(stream) if isinstance(event, Delta)]
    assert len(deltas) == (1 if code is None else 0)


async def test_a_media_type_of_the_other_mode_is_a_breach(autojump_clock: MockClock) -> None:
    stream, _ = await answered(whole(200, generated()))
    assert end_of(stream).reason_code is ReasonCode.HOP_PROTOCOL_ERROR
    content, _ = await answered(sse(*OK), "/chat")
    assert decode(content, ChatResponse).reason_code is ReasonCode.HOP_PROTOCOL_ERROR
