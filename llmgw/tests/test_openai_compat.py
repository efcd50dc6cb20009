# ruff: noqa: E501 - a row of a table is one line
"""The provider over a network in memory: what the fake server is scripted to play, to the byte."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf

import httpcore
import httpx
import pytest
import trio
from attrs import define, evolve
from trio.testing import MockClock

from contracts.reasons import ReasonCode
from fakes.openai_compat_server import Behaviour, Ending, Fake, Plan, Rule, Script, raw
from fakes.openai_compat_server.over_trio import serve_trio_stream
from harness.memory_stream import MemoryStream
from harness.net import MemoryNetwork
from hop.pool import make_transport
from llmgw.faults import GenerationFault
from llmgw.prompt import reply_schema
from llmgw.providers.openai_compat import OpenAICompat
from llmgw.providers.port import (
    Content,
    Finished,
    ModelCall,
    ModelEvent,
    ModelNamed,
    PromptMessage,
    SchemaRefused,
    UsageReport,
)

CALL = ModelCall("m", (PromptMessage("user", "Why?"),), 64, 0.2, stream=True, schema=None)
PLAIN = evolve(CALL, stream=False)
KEY = "sk-secret"

CLOSE, RESET, HANG = Ending.CLOSE, Ending.RESET, Ending.SILENCE
Part = bytes | float  # bytes to send, or seconds to wait
Played = str | Plan  # a scenario of the fake, or a response of given bytes

SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
CHUNKED = SSE_HEAD + b"transfer-encoding: chunked\r\n\r\n"
UNTIL_CLOSE = SSE_HEAD + b"connection: close\r\n\r\n"
DONE = b"data: [DONE]\n\n"
LAST = b"0\r\n\r\n"


def again(times: int, *parts: Part) -> list[Part]:
    return list(parts) * times


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def delta(content: str | None, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice]})}\n\n".encode()


def answer(status: str, body: bytes = b"", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


REPLY = {
    "model": "m-1",
    "choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1},
}
REPLIED = [ModelNamed("m-1"), Content("a"), Finished("stop"), UsageReport(9, 1)]
A_STREAM = raw(CHUNKED, chunked(delta("a")), chunked(delta(None, "stop")), chunked(DONE) + LAST)
STREAMED: list[ModelEvent | ReasonCode] = [Content("a"), Finished("stop")]


@define
class Rig:
    """One server, one provider, and what came of a call."""

    provider: OpenAICompat
    fake: Fake
    network: MemoryNetwork
    connections: int = 0

    async def serve(self, stream: MemoryStream) -> None:
        self.connections += 1
        await serve_trio_stream(stream, self.fake)

    async def call(self, call: ModelCall = CALL) -> list[ModelEvent | ReasonCode]:
        seen: list[ModelEvent | ReasonCode] = []
        try:
            async with self.provider.open(call) as events:
                async for event in events:
                    seen.append(event)
        except GenerationFault as fault:
            seen.append(fault.code)
            assert KEY not in str(fault)
        return seen

    @property
    def requests(self) -> list[tuple[bytes, bytes]]:
        """The head and the body of each."""
        heads = (entry.request.partition(b"\r\n\r\n") for entry in self.fake.journal.entries)
        return [(head, body) for head, _, body in heads]


@asynccontextmanager
async def rig(*played: Played, scenario: str = "") -> AsyncIterator[Rig]:
    """Each call gets what is played next; all of it must be asked for, and nothing else."""
    script = Script((Rule(played),) if played else (), strict=True)
    fake = Fake(Behaviour(script=script, scenario=scenario))
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork(nursery)
        async with network.client(timeout=None) as client:
            provider = OpenAICompat(client, "http://model/v1", KEY, wall_clock=lambda: 0.0)
            made = Rig(provider, fake, network)
            network.listen("model", made.serve)
            yield made
            held = client._transport._pool.connections  # type: ignore[attr-defined]  # httpx names no pool
            assert all(connection.is_idle() for connection in held), held
        nursery.cancel_scope.cancel()
    assert (fake.playing.unplayed, fake.playing.unmatched) == ((), ())


async def outcome(played: Played, call: ModelCall = CALL) -> list[ModelEvent | ReasonCode]:
    async with rig(played) as made:
        return await made.call(call)


async def test_request_is_one_post_when_called(autojump_clock: MockClock) -> None:
    async with rig(A_STREAM) as made:
        assert await made.call() == STREAMED
        [(head, body)] = made.requests
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"post /v1/chat/completions http/1.1"
    assert b"accept-encoding: identity" in lines
    assert b"content-type: application/json" in lines
    assert b"authorization: bearer sk-secret" in lines
    assert json.loads(body)["messages"] == [{"role": "user", "content": "Why?"}]


async def test_no_key_is_sent_when_there_is_none(autojump_clock: MockClock) -> None:
    async with rig(A_STREAM) as made:
        made.provider = evolve(made.provider, api_key="")
        await made.call()
    assert b"authorization" not in made.requests[0][0].lower()


async def test_key_is_not_shown_when_the_provider_is_printed() -> None:
    async with httpx.AsyncClient() as client:
        assert KEY not in repr(OpenAICompat(client, "http://model/v1", KEY))


async def test_events_when_the_call_is_plain(autojump_clock: MockClock) -> None:
    body = json.dumps(REPLY).encode()
    assert await outcome(raw(answer("200 OK", body)), PLAIN) == REPLIED
    # A plain call waits as long as its caller does: none of the streaming clocks runs.
    assert await outcome(raw(20.0, answer("200 OK", body)), PLAIN) == REPLIED


async def test_connection_is_reused_when_a_stream_ended_with_done(
    autojump_clock: MockClock,
) -> None:
    late_end = raw(CHUNKED, chunked(delta("a", "stop")), chunked(DONE), 0.01, LAST)
    async with rig(A_STREAM, late_end, A_STREAM) as made:
        assert [await made.call() for _ in range(3)] == [STREAMED] * 3
        assert made.connections == 1


async def test_connection_is_cut_when_nothing_ends_the_body_after_done(
    autojump_clock: MockClock,
) -> None:
    endless = raw(CHUNKED, chunked(delta("a", "stop")), chunked(DONE), ending=HANG)
    async with rig(endless) as made:
        assert await made.call() == STREAMED
        assert trio.current_time() == pytest.approx(0.02)
        await trio.testing.wait_all_tasks_blocked()
        assert made.network.links == []


FAULTS: dict[str, tuple[Played, ReasonCode]] = {
    "closed before bytes": ("close-before-bytes", ReasonCode.PROVIDER_DISCONNECTED),
    "reset before bytes": ("reset-before-bytes", ReasonCode.PROVIDER_DISCONNECTED),
    "half a status line": ("half-status-line", ReasonCode.PROVIDER_DISCONNECTED),
    "half the headers": ("half-headers", ReasonCode.PROVIDER_DISCONNECTED),
    "noise for a status line": (raw(b"\x00\x01\r\n\r\n", ending=CLOSE), ReasonCode.PROVIDER_DISCONNECTED),
    "101": ("status-101", ReasonCode.PROVIDER_DISCONNECTED),
    "chunk size noise": ("chunk-size-garbage?after=0", ReasonCode.PROVIDER_DISCONNECTED),
    "302": ("status-302", ReasonCode.PROVIDER_UNEXPECTED_STATUS),
    "204": ("status-204", ReasonCode.PROVIDER_UNEXPECTED_STATUS),
    "401": (raw(answer("401 No", b'{"error":{"message":"sk-secret"}}')), ReasonCode.PROVIDER_AUTH),
    "502, HTML": ("error-as-html", ReasonCode.PROVIDER_SERVER_ERROR),
    "500, body cut": (raw(answer("500 Oh", b"1234")[:-2], ending=CLOSE), ReasonCode.PROVIDER_SERVER_ERROR),
    "500, body never comes": (raw(answer("500 Oh", b"1234")[:-2], ending=HANG), ReasonCode.PROVIDER_SERVER_ERROR),
    "500, body endless": (raw(answer("500 Oh", b"x" * 300_000), ending=HANG), ReasonCode.PROVIDER_SERVER_ERROR),
    "encoded": (
        raw(answer("200 OK", b"\x1f\x8b", "content-encoding: gzip\r\n")),
        ReasonCode.PROVIDER_INVALID_ENCODING,
    ),
}  # fmt: skip


@pytest.mark.parametrize("call", [CALL, PLAIN], ids=["stream", "plain"])
@pytest.mark.parametrize("name", FAULTS)
async def test_fault_when_the_server_errs(
    name: str, call: ModelCall, autojump_clock: MockClock
) -> None:
    played, code = FAULTS[name]
    assert await outcome(played, call) == [code]
    assert trio.current_time() <= 1.0


STREAM_FAULTS: dict[str, tuple[Played, list[ModelEvent | ReasonCode]]] = {
    "cut in a chunk": (
        raw(CHUNKED, chunked(delta("a"))[:-4], ending=CLOSE),
        [ReasonCode.PROVIDER_DISCONNECTED],
    ),
    "no last chunk": (
        raw(CHUNKED, chunked(delta("a")), ending=CLOSE),
        [Content("a"), ReasonCode.PROVIDER_DISCONNECTED],
    ),
    "reset mid-stream": (
        raw(CHUNKED, chunked(delta("a")), 0.1, ending=RESET),
        [Content("a"), ReasonCode.PROVIDER_DISCONNECTED],
    ),
    "content-length too long": (
        raw(SSE_HEAD + b"content-length: 9000\r\n\r\n" + delta("a"), ending=CLOSE),
        [Content("a"), ReasonCode.PROVIDER_DISCONNECTED],
    ),
    "ends without a finish": (raw(UNTIL_CLOSE, delta("a"), ending=CLOSE), [Content("a")]),
    "ends inside an event": (
        raw(UNTIL_CLOSE, delta("a") + delta("b")[:-9], ending=CLOSE),
        [Content("a")],
    ),
    "error event": (
        raw(CHUNKED, chunked(delta("a") + b'data: {"error":{}}\n\n' + DONE), ending=HANG),
        [Content("a"), ReasonCode.PROVIDER_ERROR_EVENT],
    ),
    "HTML": (
        raw(answer("200 OK", b"<html>", "content-type: text/html\r\n")),
        [ReasonCode.PROVIDER_NOT_SSE],
    ),
    "no content-type": (raw(answer("200 OK", delta("a"))), [ReasonCode.PROVIDER_NOT_SSE]),
    "JSON reply": (
        raw(answer("200 OK", json.dumps(REPLY).encode(), "content-type: application/json\r\n")),
        [ReasonCode.PROVIDER_NOT_SSE],
    ),
    "JSON error": (
        raw(answer("200 OK", b'{"error":"boom"}', "content-type: application/json\r\n")),
        [ReasonCode.PROVIDER_ERROR_EVENT],
    ),
    "1,000 interim responses, 90 KB of headers": (
        raw(b"HTTP/1.1 102 P\r\n\r\n" * 1000, SSE_HEAD, b"x-pad: %b\r\n" % (b"y" * 90_000),
            b"content-length: %d\r\n\r\n" % len(delta("a")), delta("a")),
        [Content("a")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAM_FAULTS)
async def test_events_when_a_stream_is_odd(name: str, autojump_clock: MockClock) -> None:
    played, seen = STREAM_FAULTS[name]
    assert await outcome(played) == seen
    assert trio.current_time() < 0.2


async def test_fault_when_a_plain_body_is_short(autojump_clock: MockClock) -> None:
    short = raw(answer("200 OK", json.dumps(REPLY).encode())[:-5], ending=CLOSE)
    assert await outcome(short, PLAIN) == [ReasonCode.PROVIDER_DISCONNECTED]


async def test_fault_when_an_endless_stream_passes_its_cap(autojump_clock: MockClock) -> None:
    # The last read may hold some more, which is never looked at.
    comments = again(40, chunked(b": " + b"x" * 60_000 + b"\n\n"))
    assert await outcome(raw(CHUNKED, *comments, ending=HANG)) == [ReasonCode.PROVIDER_TOO_LARGE]


async def test_fault_when_nobody_listens(autojump_clock: MockClock) -> None:
    async with rig() as made:
        made.provider = evolve(made.provider, base_url="http://nobody/v1")
        assert await made.call() == [ReasonCode.PROVIDER_UNREACHABLE]


FIRST, IDLE = ReasonCode.PROVIDER_FIRST_TOKEN_TIMEOUT, ReasonCode.PROVIDER_IDLE_TIMEOUT
BEAT = chunked(b": keep-alive\n\n") + chunked(delta("")) + chunked(delta(None))
THOUGHT = chunked(b'data: {"choices":[{"delta":{"reasoning":"hm"}}]}\n\n')
CLOCKS: dict[str, tuple[Played, list[ModelEvent | ReasonCode], float]] = {
    "silent": ("silence", [FIRST], 10.0),
    "silent after the head": (raw(3.0, CHUNKED, ending=HANG), [FIRST], 10.0),
    "heartbeats only": (raw(CHUNKED, *again(20, BEAT, 1.0)), [FIRST], 10.0),
    "interim responses only": (raw(*again(20, b"HTTP/1.1 100 Go\r\n\r\n", 1.0)), [FIRST], 10.0),
    "first token just in time": (
        raw(9.0, CHUNKED, 0.9, chunked(delta("a", "stop") + DONE) + LAST),
        STREAMED,
        9.9,
    ),
    "stalled": (
        raw(CHUNKED, 2.0, chunked(delta("a")), ending=HANG),
        [Content("a"), IDLE],
        7.0,
    ),
    "heartbeats hide a stall": (
        raw(CHUNKED, chunked(delta("a")), *again(20, BEAT, 1.0)),
        [Content("a"), IDLE],
        5.0,
    ),
    "a drip that never ends an event": (
        raw(CHUNKED, chunked(delta("a")), *again(20, chunked(b"x"), 1.0)),
        [Content("a"), IDLE],
        5.0,
    ),
    "content comes slowly": (
        raw(CHUNKED, *again(3, chunked(delta("a")), 4.9), chunked(DONE) + LAST),
        [Content("a")] * 3,
        14.7,
    ),
}


@pytest.mark.parametrize("name", CLOCKS)
async def test_clock_ends_the_stream_when_content_is_late(
    name: str, autojump_clock: MockClock
) -> None:
    played, seen, ended_at = CLOCKS[name]
    assert await outcome(played) == seen
    assert trio.current_time() == pytest.approx(ended_at)


async def test_reasoning_is_no_content_when_the_clock_runs(autojump_clock: MockClock) -> None:
    seen = await outcome(raw(CHUNKED, *again(20, THOUGHT, 1.0)))
    assert seen[-1] is FIRST
    assert trio.current_time() == pytest.approx(10.0)


@define
class LateBeats(httpx.AsyncBaseTransport, httpx.AsyncByteStream):
    """Heartbeats, each in time, on a machine that comes to read them six seconds later."""

    clock: MockClock
    late_from: int  # 0: the head is late too

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        sent = httpcore.Request("POST", "http://model/v1/chat/completions")
        await request.extensions["trace"]("http11.send_request_headers.started", {"request": sent})
        self.clock.jump(0.0 if self.late_from else 11.0)
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=self)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for number in range(1, 9):
            await trio.lowlevel.checkpoint()
            self.clock.jump(0.0 if number < self.late_from else 6.0)
            yield b": beat\n\n"


@pytest.mark.parametrize(("late_from", "ended_at"), [(0, 11.0), (1, 12.0), (3, 12.0)])
async def test_clock_ends_the_stream_when_its_last_heartbeat_is_read_late(
    late_from: int, ended_at: float, autojump_clock: MockClock
) -> None:
    transport = LateBeats(autojump_clock, late_from)
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(GenerationFault) as caught:
            async with OpenAICompat(client, "http://model/v1").open(CALL) as events:
                await anext(aiter(events))
    assert caught.value.code is FIRST
    assert trio.current_time() == pytest.approx(ended_at)


async def test_clock_stands_still_when_our_own_client_is_slow(autojump_clock: MockClock) -> None:
    async with rig(raw(CHUNKED, *again(2, chunked(delta("a")), 4.0), ending=HANG)) as made:
        with pytest.raises(GenerationFault) as caught:
            async with made.provider.open(CALL) as events:
                async for _ in events:
                    await trio.sleep(30)
        assert caught.value.code is IDLE
        # Two contents, half a minute each on our side; only then five seconds of silence.
        assert trio.current_time() == pytest.approx(65.0)


@define
class Unanswering(httpcore.AsyncNetworkBackend):
    """A network in which connecting takes this long, or a TLS handshake for ever."""

    connect_s: float
    closed: bool = False

    async def connect_tcp(self, *_: object, **__: object) -> httpcore.AsyncNetworkStream:
        await trio.sleep(self.connect_s)
        return Handshaking(self)


@define
class Handshaking(httpcore.AsyncNetworkStream):
    network: Unanswering

    async def start_tls(self, *_: object, **__: object) -> httpcore.AsyncNetworkStream:
        await trio.sleep_forever()
        raise AssertionError

    async def aclose(self) -> None:
        self.network.closed = True
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("call", [CALL, PLAIN], ids=["stream", "plain"])
@pytest.mark.parametrize("connect_s", [inf, 0.5])
async def test_fault_when_connecting_takes_too_long(
    connect_s: float, call: ModelCall, autojump_clock: MockClock
) -> None:
    network = Unanswering(connect_s)
    async with httpx.AsyncClient(transport=make_transport(backend=network)) as client:
        with pytest.raises(GenerationFault) as caught:
            async with OpenAICompat(client, "https://model/v1").open(call):
                pass
    assert caught.value.code is ReasonCode.PROVIDER_CONNECT_TIMEOUT
    assert trio.current_time() == pytest.approx(2.0)
    assert network.closed is (connect_s != inf), "a socket in its handshake is closed too"


@define
class ConnectedLate(httpx.AsyncBaseTransport):
    """A machine so busy that the connection's last step comes when the connect clock is over."""

    clock: MockClock

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.clock.jump(3.0)
        sent = httpcore.Request("POST", "http://model/v1/chat/completions")
        await request.extensions["trace"]("http11.send_request_headers.started", {"request": sent})
        await trio.sleep_forever()
        raise AssertionError


async def test_connect_timeout_when_connected_only_after_it(autojump_clock: MockClock) -> None:
    async with httpx.AsyncClient(transport=ConnectedLate(autojump_clock)) as client:
        with pytest.raises(GenerationFault) as caught:
            async with OpenAICompat(client, "http://model/v1").open(CALL):
                pass
    assert caught.value.code is ReasonCode.PROVIDER_CONNECT_TIMEOUT
    assert trio.current_time() == pytest.approx(3.0)


PHASES: dict[str, Played] = {
    "before the head": "silence",
    "before content": raw(CHUNKED, ending=HANG),
    "while streaming": raw(CHUNKED, chunked(delta("a")), ending=HANG),
}


@pytest.mark.parametrize("phase", PHASES)
async def test_upstream_closes_at_once_when_the_caller_is_cancelled(
    phase: str, autojump_clock: MockClock
) -> None:
    async with rig(PHASES[phase]) as made:
        with trio.move_on_after(1.5):
            await made.call()
        await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() == pytest.approx(1.5)
        assert [it.client_left_at for it in made.fake.journal.entries] == [pytest.approx(1.5)]
        assert made.network.links == []


async def test_upstream_closes_at_once_when_the_caller_leaves_between_events(
    autojump_clock: MockClock,
) -> None:
    both = chunked(delta("a") + delta("b"))
    async with rig(raw(CHUNKED, both, ending=HANG)) as made:
        async with made.provider.open(CALL) as events:
            assert await anext(events) == Content("a")
        await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() == 0
        assert made.network.links == []


async def test_dead_kept_connection_is_redone_when_it_had_answered(
    autojump_clock: MockClock,
) -> None:
    for end in ("close-before-bytes", "reset-before-bytes"):
        async with rig(A_STREAM, end, A_STREAM) as made:
            assert await made.call() == STREAMED
            assert await made.call() == STREAMED
            assert (made.connections, len(made.requests)) == (2, 3)


async def test_dead_kept_connection_is_redone_once_only(autojump_clock: MockClock) -> None:
    async with rig(A_STREAM, *["close-before-bytes"] * 2) as made:
        await made.call()
        assert await made.call() == [ReasonCode.PROVIDER_DISCONNECTED]


NO_GRAMMAR = raw(answer("400 Bad", b'{"error":{"message":"failed to parse grammar"}}'))
WITH_SCHEMA = evolve(CALL, schema=reply_schema(1))


async def test_schema_is_left_out_once_when_the_server_rejects_it(
    autojump_clock: MockClock,
) -> None:
    async with rig(NO_GRAMMAR, A_STREAM) as made:
        assert await made.call(WITH_SCHEMA) == [SchemaRefused(), *STREAMED]
        sent = [json.loads(body) for _, body in made.requests]
        assert ["response_format" in body for body in sent] == [True, False]


async def test_rejection_stands_when_there_is_no_schema_left(autojump_clock: MockClock) -> None:
    async with rig(NO_GRAMMAR, NO_GRAMMAR) as made:
        assert await made.call(WITH_SCHEMA) == [ReasonCode.PROVIDER_BAD_REQUEST]


async def test_first_token_clock_goes_on_when_the_schema_is_rejected_late(
    autojump_clock: MockClock,
) -> None:
    late = raw(6.0, *(step.data for step in NO_GRAMMAR.steps))
    async with rig(late, "silence") as made:
        assert await made.call(WITH_SCHEMA) == [FIRST]
        assert trio.current_time() == pytest.approx(10.0)


async def test_retry_after_is_kept_when_the_server_is_busy(autojump_clock: MockClock) -> None:
    async with rig("status-429-retry-after?for=3s") as made:
        with pytest.raises(GenerationFault) as caught:
            async with made.provider.open(CALL):
                pass
    assert caught.value.retry_after_ms == 3_000


CHECKS: dict[str, tuple[str, str, tuple[bool, str]]] = {
    "answers": ("", "v1", (True, "http://model/v1: HTTP 200")),
    "knows no such path": ("", "v0", (False, "http://model/v0: HTTP 404")),
    "says nothing": ("accept-silence", "v1", (False, "http://model/v1: no answer within 1 s")),
    "has gone": (
        "accept-close",
        "v1",
        (False, "http://model/v1: PROVIDER_DISCONNECTED: RemoteProtocolError"),
    ),
}


@pytest.mark.parametrize("name", CHECKS)
async def test_check_tells_when_the_server(name: str, autojump_clock: MockClock) -> None:
    scenario, version, told = CHECKS[name]
    async with rig(scenario=scenario) as made:
        provider = evolve(made.provider, base_url=f"http://model/{version}")
        assert await provider.check() == told
        asked = made.fake.journal.entries[0].request_line
        assert asked == ("(connected)" if scenario else f"GET /{version}/models")
    assert trio.current_time() <= 1.0
