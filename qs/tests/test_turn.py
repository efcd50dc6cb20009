"""One chat turn: what is searched and asked, and how each phase of it can end."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
import trio.lowlevel
from attrs import define, field
from trio.testing import MockClock

from contracts.chat import ChatResponse, ErrorBody, ErrorInfo
from contracts.codec import decode, encode
from contracts.events import Done, SourcesFound, StreamEvent
from contracts.generation import GenerateRequest
from contracts.limits import CHUNK_CHARS, SNIPPET_CHARS
from contracts.order import State, StreamOrder
from contracts.reasons import ReasonCode
from harness.hop_stage import (
    SSE_HEAD,
    Play,
    Stage,
    Upstream,
    chat,
    events_in,
    open_stage,
    raw,
    whole,
)
from harness.memory_store import keeping_in_memory
from hop.lifetime import HopApp
from hop.program import Program
from hop.run import OpenApp
from qs.app import make_qs
from qs.config import QueryServiceSettings
from qs.retrieval.port import Hit, IndexState, RetrievalFault

ENVIRON = {"QS_LLM_URL": "http://next"}
BOTH = ["/chat", "/chat?stream=true"]
ASK = chat("Why?", request_id="r-1", trace_id="ab" * 16)
HITS = [
    Hit("d#1", "d", "First", "https://x.example/1", "One. " * 200, 0.2),
    Hit("d#2", "d", None, None, "Two.", 0.9),
]
FINE = IndexState(True, "fine")


@define
class Engine:
    """A search engine that finds `hits` after `delay_s`, or fails."""

    hits: Sequence[Hit] = ()
    delay_s: float = 0.0
    failure: Exception | None = None
    state: IndexState = FINE
    asked: list[tuple[str, int]] = field(factory=list)
    left: list[float] = field(factory=list)

    async def search(self, query: str, top_k: int) -> Sequence[Hit]:
        self.asked.append((query, top_k))
        try:
            await trio.sleep(self.delay_s)
        except trio.Cancelled:
            self.left.append(trio.current_time())
            raise
        if self.failure is not None:
            raise self.failure
        return self.hits[:top_k]

    async def check(self) -> IndexState:
        await trio.lowlevel.checkpoint()
        return self.state

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


def over(engine: Engine) -> OpenApp[QueryServiceSettings]:
    """QS over this engine."""

    @asynccontextmanager
    async def open_app(
        program: Program, settings: QueryServiceSettings, client: httpx.AsyncClient
    ) -> AsyncIterator[HopApp]:
        async with keeping_in_memory(program) as keeping:
            yield make_qs(program, settings, client, engine, keeping)

    return open_app


@asynccontextmanager
async def qs_over(
    engine: Engine, play: Play | None = None, **environ: str
) -> AsyncIterator[tuple[Stage, Upstream]]:
    """QS over this engine, and a gateway that plays this."""
    upstream = Upstream(play or raw("eof"))
    env = {**ENVIRON, **environ}
    settings = QueryServiceSettings
    async with open_stage(settings, over(engine), upstream=upstream, environ=env) as stage:
        yield stage, upstream


def outcome(content: bytes) -> tuple[object, list[str], object]:
    """The reason, the sources and `retry_after_ms` of an answer of either mode."""
    if content.startswith(b"{"):
        reply = decode(content, ChatResponse)
        return reply.reason_code, [s.chunk_id for s in reply.sources], reply.retry_after_ms
    order, events = StreamOrder(citations_required=True), events_in(content)
    for event in events:
        order.advance(event)
    assert order.state is State.CLOSED
    end: StreamEvent = events[-1]
    assert isinstance(end, Done)
    found = [s.chunk_id for e in events if isinstance(e, SourcesFound) for s in e.sources]
    return end.reason_code, found, end.retry_after_ms


# What ends without the gateway.


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize(
    ("engine", "code", "found"),
    [
        (Engine(), "RAG_NO_CHUNKS", []),
        (Engine([Hit("d#1", "d", None, None, "x", 0.01)]), "RAG_LOW_SCORE", ["d#1"]),
        (Engine(failure=RetrievalFault(ReasonCode.RAG_UNAVAILABLE, "down")), "RAG_UNAVAILABLE", []),
        (
            Engine(failure=RetrievalFault(ReasonCode.RAG_INDEX_NOT_READY, "empty")),
            "RAG_INDEX_NOT_READY",
            [],
        ),
    ],
)
async def test_nothing_good_to_rest_on_ends_without_a_model_call(
    autojump_clock: MockClock, engine: Engine, code: str, found: list[str], path: str
) -> None:
    async with qs_over(engine) as (stage, upstream):
        response = await stage.post(ASK, path)
        await stage.at_rest()
    assert (response.status_code, outcome(response.content)) == (200, (code, found, None))
    assert upstream.asked == []
    assert stage.ended() == [("fallback", code, "retrieval")]


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize(("callers_ms", "after_s"), [(None, 1.5), ("900", 0.9), ("5000", 1.5)])
async def test_a_search_over_its_limit_is_left_at_that_moment(
    autojump_clock: MockClock, callers_ms: str | None, after_s: float, path: str
) -> None:
    engine = Engine(HITS, delay_s=60)
    headers = {} if callers_ms is None else {"x-deadline-ms": callers_ms}
    async with qs_over(engine) as (stage, upstream):
        response = await stage.post(ASK, path, headers)
        took = trio.current_time()
        await stage.at_rest()
    assert outcome(response.content)[0] == "RAG_TIMEOUT"
    assert took == pytest.approx(after_s)
    assert engine.left == [pytest.approx(after_s)]
    assert upstream.asked == []
    assert stage.ended() == [("fallback", "RAG_TIMEOUT", "retrieval")]


async def test_an_unforeseen_failure_of_the_search_is_an_internal_error(
    autojump_clock: MockClock,
) -> None:
    engine = Engine(failure=ZeroDivisionError("secret cause"))
    async with qs_over(engine) as (stage, _):
        plain = await stage.post(ASK, BOTH[0])
        streaming = await stage.post(ASK, BOTH[1])
    assert plain.status_code == 500
    assert decode(plain.content, ErrorBody).error.code == "INTERNAL_ERROR"
    assert (streaming.status_code, outcome(streaming.content)[0]) == (200, "INTERNAL_ERROR")
    assert "secret" not in plain.text + streaming.text
    assert stage.out.getvalue().count("secret cause") == 2
    assert stage.ended() == [
        ("error", "INTERNAL_ERROR", "retrieval"),
        ("fallback", "INTERNAL_ERROR", "retrieval"),
    ]


@pytest.mark.parametrize("path", BOTH)
async def test_an_unknown_session_is_not_found(autojump_clock: MockClock, path: str) -> None:
    engine = Engine(HITS)
    async with qs_over(engine) as (stage, _):
        response = await stage.post(chat(session_id="s-1"), path)
    assert response.status_code == 404
    assert decode(response.content, ErrorBody).error.code == "INPUT_NOT_FOUND"
    assert engine.asked == []


# What the engine and the gateway are asked.


@pytest.mark.parametrize(
    ("path", "setting"), [(BOTH[0], "true"), (BOTH[1], "true"), (BOTH[1], "false")]
)
async def test_the_gateway_is_asked_with_the_passages_and_the_conversation(
    autojump_clock: MockClock, path: str, setting: str
) -> None:
    engine = Engine(HITS, delay_s=1)
    history = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    body = chat("Why?", request_id="r-1", trace_id="ab" * 16, history=history, options={"top_k": 2})
    asking = qs_over(engine, QS_LLM_MODEL="m-1", QS_CHAT_STREAM_ENABLED=setting)
    async with asking as (stage, upstream):
        await stage.post(body, path, {"x-deadline-ms": "9000", "x-api-key": "k"})
    assert engine.asked == [("Why?", 2)]
    (got,) = upstream.asked
    assert got.line == "POST /v1/generate HTTP/1.1"
    asked = decode(got.body, GenerateRequest)
    assert [(m.role, m.content) for m in asked.messages] == [
        ("user", "a"), ("assistant", "b"), ("user", "Why?"),
    ]  # fmt: skip
    assert [(c.chunk_id, c.title, c.url, c.content) for c in asked.context.chunks] == [
        (hit.chunk_id, hit.title, hit.url, hit.content) for hit in HITS
    ]
    assert (asked.model, asked.citations_required) == ("m-1", True)
    assert asked.stream is (path == BOTH[1] and setting == "true")
    assert got.headers["x-request-id"] == "r-1"
    assert got.headers["traceparent"].split("-")[1] == "ab" * 16
    assert got.headers["x-deadline-ms"] == "7750", "what the search left, less the margin"
    assert "x-api-key" not in got.headers


async def test_snippets_are_short_and_the_best_score_gates(autojump_clock: MockClock) -> None:
    async with qs_over(Engine(HITS), QS_MIN_SCORE="0.8") as (stage, upstream):
        response = await stage.post(ASK)
    reply = decode(response.content, ChatResponse)
    assert len(reply.sources[0].snippet) == SNIPPET_CHARS
    assert len(upstream.asked) == 1


async def test_the_largest_request_fits_the_gateways_limits(autojump_clock: MockClock) -> None:
    hits = [
        Hit(f"d#{n}", "d", "t" * 1_000, "u" * 2_048, "é" * (CHUNK_CHARS // 4), 0.9)
        for n in range(20)
    ]
    history = [{"role": "user", "content": "h" * 4_000}] * 12
    body = chat("q" * 4_000, history=history, options={"top_k": 20})
    async with qs_over(Engine(hits)) as (stage, upstream):
        response = await stage.post(body)
    assert outcome(response.content)[0] == "HOP_DISCONNECTED"
    assert len(decode(upstream.asked[0].body, GenerateRequest).context.chunks) == 20


# How the gateway can fail, in both modes; what was searched is told.


def error(code: ReasonCode) -> bytes:
    return encode(ErrorBody(ErrorInfo(code, "because", ()), "ab" * 16, "r-1"))


FAULTS: Mapping[str, tuple[Play, str, int | None]] = {
    "eof": (raw("eof"), "HOP_DISCONNECTED", None),
    "reset": (raw(0.1, "reset"), "HOP_DISCONNECTED", None),
    "half a head": (raw(b"HTTP/1.1 200", 0.1, "eof"), "HOP_DISCONNECTED", None),
    "html": (whole(200, b"<p>", media_type="text/html"), "HOP_PROTOCOL_ERROR", None),
    "busy": (
        whole(503, error(ReasonCode.ADMISSION_QUEUE_FULL), "retry-after: 2"),
        "ADMISSION_QUEUE_FULL",
        2_000,
    ),
    "rate": (
        whole(429, error(ReasonCode.ADMISSION_RATE_LIMITED), "retry-after: 1"),
        "ADMISSION_RATE_LIMITED",
        1_000,
    ),
    "draining": (
        whole(503, error(ReasonCode.ADMISSION_SHUTTING_DOWN)),
        "ADMISSION_SHUTTING_DOWN",
        None,
    ),
    "late": (
        whole(504, error(ReasonCode.ADMISSION_DEADLINE_EXPIRED)),
        "ADMISSION_DEADLINE_EXPIRED",
        None,
    ),
    "internal": (whole(500, error(ReasonCode.INTERNAL_ERROR)), "INTERNAL_ERROR", None),
    "bad request": (whole(400, error(ReasonCode.INPUT_INVALID)), "HOP_PROTOCOL_ERROR", None),
    "bad key": (whole(401, error(ReasonCode.INPUT_UNAUTHORIZED)), "HOP_PROTOCOL_ERROR", None),
    "not found": (whole(404, error(ReasonCode.INPUT_NOT_FOUND)), "HOP_PROTOCOL_ERROR", None),
    "too large": (whole(413, error(ReasonCode.INPUT_TOO_LARGE)), "HOP_PROTOCOL_ERROR", None),
}


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("name", FAULTS)
async def test_a_failing_gateway_is_a_fallback_that_shows_what_was_searched(
    autojump_clock: MockClock, name: str, path: str
) -> None:
    play, code, retry = FAULTS[name]
    async with qs_over(Engine(HITS), play) as (stage, _):
        response = await stage.post(ASK, path)
        await stage.at_rest()
    assert response.status_code == 200
    assert outcome(response.content) == (code, ["d#1", "d#2"], retry)
    assert stage.ended() == [("fallback", code, "generation")]


@pytest.mark.parametrize("path", BOTH)
async def test_a_gateway_that_is_not_there_is_unreachable(
    autojump_clock: MockClock, path: str
) -> None:
    async with open_stage(QueryServiceSettings, over(Engine(HITS)), environ=ENVIRON) as stage:
        response = await stage.post(ASK, path)
    assert outcome(response.content) == ("HOP_UNREACHABLE", ["d#1", "d#2"], None)


HANGS = {
    "before the head": raw("hang"),
    "in the body": raw(SSE_HEAD, "hang"),
    "an error body": raw(
        b"HTTP/1.1 503 X\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n", "hang"
    ),
}


@pytest.mark.parametrize("name", HANGS)
@pytest.mark.parametrize(("callers_ms", "after_s"), [(None, 19.0), ("3000", 3.0), ("60000", 19.0)])
async def test_the_deadline_is_kept_exactly_and_the_gateway_left(
    autojump_clock: MockClock, name: str, callers_ms: str | None, after_s: float
) -> None:
    headers = {} if callers_ms is None else {"x-deadline-ms": callers_ms}
    async with qs_over(Engine(HITS, delay_s=1), HANGS[name]) as (stage, upstream):
        response = await stage.post(ASK, BOTH[1], headers)
        took = trio.current_time()
        await stage.at_rest()
    assert outcome(response.content.replace(b": heartbeat\n\n", b""))[0] == "HOP_TIMEOUT"
    assert took == pytest.approx(after_s, abs=0.001)
    assert upstream.left == [pytest.approx(after_s, abs=0.001)]


async def test_a_plain_call_keeps_the_deadline_too(autojump_clock: MockClock) -> None:
    async with qs_over(Engine(HITS), raw("hang")) as (stage, upstream):
        response = await stage.post(ASK)
        took = trio.current_time()
    assert outcome(response.content)[0] == "HOP_TIMEOUT"
    assert took == pytest.approx(19.0)
    assert upstream.left == [pytest.approx(19.0)]


async def test_a_search_that_leaves_no_time_ends_without_a_model_call(
    autojump_clock: MockClock,
) -> None:
    async with qs_over(Engine(HITS, delay_s=1.0), raw("hang")) as (stage, upstream):
        response = await stage.post(ASK, BOTH[0], {"x-deadline-ms": "1200"})
    assert outcome(response.content)[0] == "HOP_TIMEOUT"
    assert upstream.asked == []


# Leaving and draining.


@pytest.mark.parametrize("path", BOTH)
async def test_a_client_that_leaves_ends_the_search_at_once(
    autojump_clock: MockClock, path: str
) -> None:
    engine = Engine(HITS, delay_s=60)
    async with qs_over(engine) as (stage, _):
        with trio.move_on_after(1):
            await stage.post(ASK, path)
        await stage.at_rest()
    assert engine.left == [pytest.approx(1.0)]
    assert stage.ended() == [("gone", "CLIENT_DISCONNECTED", "retrieval")]


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("name", HANGS)
async def test_a_client_that_leaves_closes_the_call_to_the_gateway_at_once(
    autojump_clock: MockClock, name: str, path: str
) -> None:
    play = HANGS["before the head"] if (name, path) == ("in the body", BOTH[0]) else HANGS[name]
    async with qs_over(Engine(HITS), play) as (stage, upstream):
        with trio.move_on_after(2):
            await stage.post(ASK, path)
        await stage.at_rest()
    assert upstream.left == [pytest.approx(2.0)]
    assert stage.ended() == [("gone", "CLIENT_DISCONNECTED", "generation")]


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("play", [raw(SSE_HEAD, "hang"), raw("hang")])
async def test_leaving_at_any_tick_leaves_nothing_behind(
    autojump_clock: MockClock, play: Play, path: str
) -> None:
    head = f"POST {path} HTTP/1.1\r\nhost: hop\r\ncontent-type: application/json\r\n"
    request = f"{head}content-length: {len(ASK)}\r\n\r\n".encode() + ASK
    async with qs_over(Engine(HITS), play) as (stage, _):
        for ticks in range(70):
            stream = await stage.dial(request)
            for _ in range(ticks):
                await trio.lowlevel.checkpoint()
            await stream.aclose()
            await trio.sleep(0.25)
            assert stage.network.links == [], ticks
        await stage.at_rest()
    assert {end[1] for end in stage.ended()} <= {"CLIENT_DISCONNECTED", "HOP_PROTOCOL_ERROR"}


@pytest.mark.parametrize("path", BOTH)
async def test_a_drain_ends_the_turn_with_its_reason(autojump_clock: MockClock, path: str) -> None:
    async def stop() -> None:
        await trio.sleep(1)
        stage.stop.set()

    async with qs_over(Engine(HITS), raw("hang")) as (stage, upstream):
        trio.lowlevel.spawn_system_task(stop)
        response = await stage.post(ASK, path)
        took = trio.current_time()
        await stage.at_rest()
    assert took == pytest.approx(4.0)
    if path == BOTH[0]:
        assert response.status_code == 503
        assert json.loads(response.content)["error"]["code"] == "ADMISSION_SHUTTING_DOWN"
    else:
        assert outcome(response.content)[0] == "ADMISSION_SHUTTING_DOWN"
    assert upstream.left == [pytest.approx(4.0)]


# Readiness: the index is QS's own, the gateway a neighbour.


@pytest.mark.parametrize(("index_ok", "status"), [(True, 200), (False, 503)])
async def test_the_index_decides_readiness_and_a_dead_gateway_does_not(
    autojump_clock: MockClock, index_ok: bool, status: int
) -> None:
    engine = Engine(state=IndexState(index_ok, "because"))
    async with open_stage(QueryServiceSettings, over(engine), environ=ENVIRON) as stage:
        response = await stage.client.get("http://hop/ready")
    checks = response.json()["checks"]
    assert response.status_code == status
    assert checks["index"] == {"ok": index_ok, "detail": "because"}
    assert checks["llmgw"]["ok"] is False
