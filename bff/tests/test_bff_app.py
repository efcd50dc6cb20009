"""The BFF: one call in, one call out, and a reason for every way it can end."""

import json
from collections.abc import Mapping

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from bff.app import open_app
from bff.config import BffSettings
from contracts.chat import ErrorBody, ErrorInfo
from contracts.codec import decode, encode
from contracts.events import Delta, Done, Meta, StreamEvent, failed, to_wire
from contracts.order import State, StreamOrder
from contracts.reasons import ReasonCode
from harness.hop_stage import (
    SSE_HEAD,
    Play,
    Stage,
    Step,
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
META = to_wire(Meta("v1", "ab" * 16, "r-1", None))
NINE_BYTES = b"content-type: application/json\r\ncontent-length: 9\r\n\r\n"
MODES = ["/chat", "/chat?stream=true", "/v1/chat", "/v1/chat?stream=true"]
BOTH = MODES[:2]


def every(seconds: float, data: bytes) -> list[Step]:
    """The data again and again, some hundred times."""
    steps: list[Step] = [data, seconds]
    return steps * 100


def error(code: ReasonCode) -> bytes:
    return encode(ErrorBody(ErrorInfo(code, "because", ()), "ab" * 16, "r-1"))


def ended_in(content: bytes) -> tuple[object, object, object]:
    """Status, reason and `retry_after_ms` of an answer of either mode, proved to be legal."""
    if content.startswith(b"{"):
        body = json.loads(content)
        assert body["answer"]["content"] == ReasonCode[body["reason_code"]].text
        return body["status"], body["reason_code"], body["retry_after_ms"]
    order, events = StreamOrder(citations_required=True), events_in(content)
    for event in events:
        order.advance(event)
    assert order.state is State.CLOSED
    end: StreamEvent = events[-1]
    assert isinstance(end, Done)
    return end.status, end.reason_code, end.retry_after_ms


async def asked(
    play: Play | None,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[int, bytes, Stage]:
    """What the client gets in this mode when QS plays this."""
    upstream = None if play is None else Upstream(play)
    env = {**ENVIRON, **(environ or {})}
    async with open_stage(BffSettings, open_app, upstream=upstream, environ=env) as stage:
        response = await stage.post(ASK, path, headers)
        assert response.headers["x-request-id"] == "r-1"
        assert response.headers["x-trace-id"] == "ab" * 16
        await stage.at_rest()
    return response.status_code, response.content, stage


# What goes to QS.


@pytest.mark.parametrize("path", MODES)
async def test_qs_gets_the_request_the_ids_and_the_rest_of_the_time(
    autojump_clock: MockClock, path: str
) -> None:
    upstream = Upstream(raw("eof"))
    body = chat("Why?", request_id="r-1", history=[{"role": "user", "content": "a"}])
    headers = {
        "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01",
        "x-deadline-ms": "9000",
        "authorization": "Bearer client-key",
        "x-api-key": "client-key",
        "cookie": "a=b",
    }
    async with open_stage(BffSettings, open_app, upstream=upstream, environ=ENVIRON) as stage:
        await stage.post(body, path, headers)
    (got,) = upstream.asked
    assert got.line == "POST /chat HTTP/1.1"
    sent = json.loads(got.body)
    assert sent.pop("options", {}) == ({"stream": True} if "true" in path else {})
    assert sent == json.loads(body)
    assert got.headers["x-request-id"] == "r-1"
    assert got.headers["traceparent"].startswith(f"00-{'ab' * 16}-")
    assert got.headers["traceparent"].split("-")[2] != "cd" * 8, "a span of its own"
    assert got.headers["x-deadline-ms"] == "8750"
    for name in ("authorization", "x-api-key", "cookie"):
        assert name not in got.headers, "a key belongs to one hop"


async def test_slashes_are_not_merged(autojump_clock: MockClock) -> None:
    async with open_stage(BffSettings, open_app, environ=ENVIRON) as stage:
        for path in (
            "/v1//chat",
            "/v1/chat/",
            "/page//x",
            "/page/%2e%2e%2fapp.py",
        ):
            response = await stage.post(ASK, path)
            assert response.status_code in (404, 405), path
            decode(response.content, ErrorBody)


# How QS can fail before its answer begins, in both modes.

BEFORE = {
    "refused": (None, "HOP_UNREACHABLE"),
    "eof": (raw("eof"), "HOP_DISCONNECTED"),
    "reset": (raw(0.1, "reset"), "HOP_DISCONNECTED"),
    "half a head": (raw(b"HTTP/1.1 200 OK\r\n", 0.1, "eof"), "HOP_DISCONNECTED"),
    "html": (whole(200, b"<p>", media_type="text/html"), "HOP_PROTOCOL_ERROR"),
    "html error": (whole(502, b"<p>", media_type="text/html"), "HOP_PROTOCOL_ERROR"),
    "204": (raw(b"HTTP/1.1 204 X\r\n\r\n"), "HOP_PROTOCOL_ERROR"),
    "302": (whole(302, b"", "location: /"), "HOP_PROTOCOL_ERROR"),
    "error cut": (raw(b"HTTP/1.1 503 X\r\n" + NINE_BYTES + b"{", "eof"), "HOP_DISCONNECTED"),
}  # fmt: skip


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("name", BEFORE)
async def test_qs_failing_before_its_answer_is_a_fallback(
    autojump_clock: MockClock, name: str, path: str
) -> None:
    play, code = BEFORE[name]
    status, content, stage = await asked(play, path)
    assert (status, ended_in(content)) == (200, ("fallback", code, None))
    ((logged, reason, _),) = stage.ended()
    assert (logged, reason) == ("fallback", code)
    assert stage.sample("bsl_requests_total", status="fallback", reason_code=code) == 1


@pytest.mark.parametrize("path", BOTH)
async def test_the_other_modes_answer_is_a_protocol_error(
    autojump_clock: MockClock, path: str
) -> None:
    play = sse(META) if path == "/chat" else whole(200, b"{}")
    _, content, _ = await asked(play, path)
    assert ended_in(content) == ("fallback", "HOP_PROTOCOL_ERROR", None)


INNER = [
    (429, ReasonCode.ADMISSION_RATE_LIMITED, "ADMISSION_RATE_LIMITED"),
    (503, ReasonCode.ADMISSION_QUEUE_FULL, "ADMISSION_QUEUE_FULL"),
    (503, ReasonCode.ADMISSION_SHUTTING_DOWN, "ADMISSION_SHUTTING_DOWN"),
    (504, ReasonCode.ADMISSION_DEADLINE_EXPIRED, "ADMISSION_DEADLINE_EXPIRED"),
    (500, ReasonCode.INTERNAL_ERROR, "INTERNAL_ERROR"),
]
OURS = [
    (400, ReasonCode.INPUT_INVALID, "HOP_PROTOCOL_ERROR"),
    (401, ReasonCode.INPUT_UNAUTHORIZED, "HOP_PROTOCOL_ERROR"),
    (413, ReasonCode.INPUT_TOO_LARGE, "HOP_PROTOCOL_ERROR"),
    (408, ReasonCode.INPUT_TIMEOUT, "HOP_PROTOCOL_ERROR"),
]


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize(("inner", "code", "told"), [*INNER, *OURS])
async def test_an_error_of_qs_becomes_a_fallback(
    autojump_clock: MockClock, inner: int, code: ReasonCode, told: str, path: str
) -> None:
    status, content, _ = await asked(whole(inner, error(code), "retry-after: 3"), path)
    retry = 3_000 if told == code else None
    assert (status, ended_in(content)) == (200, ("fallback", told, retry))


@pytest.mark.parametrize("path", BOTH)
async def test_not_found_stays_not_found(autojump_clock: MockClock, path: str) -> None:
    status, content, stage = await asked(whole(404, error(ReasonCode.INPUT_NOT_FOUND)), path)
    assert status == 404
    body = decode(content, ErrorBody)
    assert (body.error.code, body.request_id) == ("INPUT_NOT_FOUND", "r-1")
    assert stage.ended() == [("error", "INPUT_NOT_FOUND", "relaying")]


async def test_a_kept_connection_that_died_does_not_fail_a_call(
    autojump_clock: MockClock,
) -> None:
    busy = whole(503, error(ReasonCode.ADMISSION_QUEUE_FULL))
    turns = iter([busy, raw("reset"), busy])

    async def play(stream: object) -> None:
        await next(turns)(stream)  # type: ignore[arg-type]  # a memory stream

    upstream = Upstream(play)
    async with open_stage(BffSettings, open_app, upstream=upstream, environ=ENVIRON) as stage:
        replies = [(await stage.post(ASK)).json() for _ in range(2)]
    assert [reply["reason_code"] for reply in replies] == ["ADMISSION_QUEUE_FULL"] * 2
    assert len(upstream.asked) == 3


# Time.

HANGS = {
    "before the head": (raw("hang"), BOTH),
    "in the head": (raw(b"HTTP/1.1 200 OK\r\n", "hang"), BOTH),
    "interim responses": (raw(*every(0.5, b"HTTP/1.1 100 Continue\r\n\r\n")), BOTH),
    "an error body": (raw(b"HTTP/1.1 503 X\r\n" + NINE_BYTES + b"{", "hang"), BOTH),
    "in a plain body": (raw(b"HTTP/1.1 200 OK\r\n" + NINE_BYTES + b"{", "hang"), BOTH[:1]),
    "heartbeats forever": (sse(META, *every(0.5, b": x\n\n")), BOTH[1:]),
}
HANGING = [(name, path) for name, (_, paths) in HANGS.items() for path in paths]


@pytest.mark.parametrize(("name", "path"), HANGING)
@pytest.mark.parametrize(("callers_ms", "after_s"), [(None, 20.0), ("1500", 1.5), ("90000", 20.0)])
async def test_the_deadline_is_kept_exactly(
    autojump_clock: MockClock, name: str, path: str, callers_ms: str | None, after_s: float
) -> None:
    upstream = Upstream(HANGS[name][0])
    headers = {} if callers_ms is None else {"x-deadline-ms": callers_ms}
    async with open_stage(BffSettings, open_app, upstream=upstream, environ=ENVIRON) as stage:
        response = await stage.post(ASK, path, headers)
        took = trio.current_time()
        await stage.at_rest()
    assert ended_in(response.content) == ("fallback", "HOP_TIMEOUT", None)
    assert took == pytest.approx(after_s, abs=0.001)
    assert upstream.left == [pytest.approx(after_s, abs=0.001)], "QS is left at once"


@pytest.mark.parametrize("path", BOTH)
async def test_no_time_for_the_next_hop_is_a_timeout_without_a_call(
    autojump_clock: MockClock, path: str
) -> None:
    upstream = Upstream(raw("hang"))
    async with open_stage(BffSettings, open_app, upstream=upstream, environ=ENVIRON) as stage:
        response = await stage.post(ASK, path, {"x-deadline-ms": "250"})
    assert ended_in(response.content) == ("fallback", "HOP_TIMEOUT", None)
    assert upstream.asked == []


@pytest.mark.parametrize("path", BOTH)
async def test_a_connect_that_hangs_is_unreachable_after_a_second(
    autojump_clock: MockClock, path: str
) -> None:
    async with open_stage(BffSettings, open_app, environ=ENVIRON) as stage:
        listener = stage.network.listener("next")  # which never accepts
        waiting = [await stage.network.connect("next") for _ in range(128)]
        response = await stage.post(ASK, path)
        took = trio.current_time()
        await listener.aclose()
        for stream in waiting:
            await trio.aclose_forcefully(stream)
    assert ended_in(response.content) == ("fallback", "HOP_UNREACHABLE", None)
    assert took == pytest.approx(1.0)


async def test_heartbeats_of_the_next_hop_are_swallowed_and_own_ones_sent(
    autojump_clock: MockClock,
) -> None:
    end = [to_wire(failed(ReasonCode.RAG_TIMEOUT, discard=False))]
    _, content, _ = await asked(
        sse(META, *every(1.0, b": theirs\n\n")[:28], *end), "/chat?stream=true"
    )
    assert b"theirs" not in content
    assert content.count(b": heartbeat") == 2
    assert ended_in(content)[1] == "RAG_TIMEOUT"


# Leaving.

PHASES = {
    "calling qs": raw("hang"),
    "relaying": raw(SSE_HEAD, chunk(META), "hang"),
}


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("phase", PHASES)
async def test_a_client_that_leaves_closes_the_call_to_qs_at_once(
    autojump_clock: MockClock, phase: str, path: str
) -> None:
    upstream = Upstream(PHASES["calling qs"] if path == "/chat" else PHASES[phase])
    if path == "/chat" and phase == "relaying":
        upstream = Upstream(raw(b"HTTP/1.1 200 OK\r\n" + NINE_BYTES, "hang"))
    async with open_stage(BffSettings, open_app, upstream=upstream, environ=ENVIRON) as stage:
        with trio.move_on_after(2):
            await stage.post(ASK, path)
        await stage.at_rest()
        ended = stage.ended()
    assert upstream.left == [pytest.approx(2.0)]
    assert ended == [("gone", "CLIENT_DISCONNECTED", phase)]


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("play", [*PHASES.values(), sse(META)])
async def test_leaving_at_any_tick_leaves_nothing_behind(
    autojump_clock: MockClock, play: Play, path: str
) -> None:
    head = f"POST {path} HTTP/1.1\r\nhost: hop\r\ncontent-type: application/json\r\n"
    request = f"{head}content-length: {len(ASK)}\r\n\r\n".encode() + ASK
    upstream = Upstream(play)
    async with open_stage(BffSettings, open_app, upstream=upstream, environ=ENVIRON) as stage:
        for ticks in range(70):
            stream = await stage.dial(request)
            for _ in range(ticks):
                await trio.lowlevel.checkpoint()
            await stream.aclose()
            await trio.sleep(0.25)
            assert [link.host for link in stage.network.links if link.host == "hop"] == [], ticks
            assert len(stage.network.links) <= 1, "at most the kept connection to QS"
        await stage.at_rest()


async def test_a_client_that_stops_reading_is_dropped_and_qs_with_it(
    autojump_clock: MockClock,
) -> None:
    stream = [META, b"event: sources\ndata: {}\n\n", b"event: citations\ndata: {}\n\n"]
    deltas = every(0.01, to_wire(Delta("x" * 8_000)))
    upstream = Upstream(sse(*stream, *deltas, "hang"))
    head = b"POST /chat?stream=true HTTP/1.1\r\nhost: hop\r\ncontent-type: application/json\r\n"
    request = head + b"content-length: %d\r\n\r\n" % len(ASK) + ASK
    async with open_stage(BffSettings, open_app, upstream=upstream, environ=ENVIRON) as stage:
        client = await stage.dial(request)
        await trio.sleep(11)
        ended = stage.ended()
        await client.aclose()
        await stage.at_rest()
    assert ended == [("gone", "CLIENT_TOO_SLOW", "relaying")]
    assert upstream.left[0] == pytest.approx(10.0, abs=0.5)


# Draining.


async def stop_after(stage: Stage, seconds: float) -> None:
    await trio.sleep(seconds)
    stage.stop.set()


@pytest.mark.parametrize(
    ("path", "phase", "status"),
    [
        ("/chat", "calling qs", 503),
        ("/chat?stream=true", "calling qs", 503),
        ("/chat?stream=true", "relaying", 200),
    ],
)
async def test_a_drain_ends_what_runs_with_its_reason(
    autojump_clock: MockClock, path: str, phase: str, status: int
) -> None:
    upstream = Upstream(PHASES[phase])
    async with open_stage(BffSettings, open_app, upstream=upstream, environ=ENVIRON) as stage:
        trio.lowlevel.spawn_system_task(stop_after, stage, 1.0)
        response = await stage.post(ASK, path)
        took = trio.current_time()
        await stage.stopped.wait()
        gone = trio.current_time()
        await stage.at_rest()
        ((_, reason, at),) = stage.ended()
    assert response.status_code == status
    assert took == pytest.approx(4.0)
    assert gone < 6.0
    assert (reason, at) == ("ADMISSION_SHUTTING_DOWN", phase)
    if status == 503:
        assert decode(response.content, ErrorBody).error.code == "ADMISSION_SHUTTING_DOWN"
    else:
        assert ended_in(response.content) == ("fallback", "ADMISSION_SHUTTING_DOWN", None)


# Readiness.


@pytest.mark.parametrize(
    ("play", "ok"), [(whole(200, {}), True), (whole(503, {}), False), (None, False)]
)
async def test_a_dead_qs_shows_and_does_not_make_the_bff_unready(
    autojump_clock: MockClock, play: Play | None, ok: bool
) -> None:
    upstream = None if play is None else Upstream(play)
    async with open_stage(BffSettings, open_app, upstream=upstream, environ=ENVIRON) as stage:
        response = await stage.client.get("http://hop/ready")
    assert response.status_code == 200
    found = response.json()
    assert found["ready"] is True
    assert found["checks"]["qs"]["ok"] is ok
