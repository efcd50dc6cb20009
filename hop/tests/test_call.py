"""Calling the next hop: every way it can fail us has its code, and nothing stays open."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
import trio.testing
from attrs import frozen
from trio.testing import MockClock

from contracts.chat import ErrorBody, ErrorInfo
from contracts.codec import encode
from contracts.events import Delta, to_wire
from contracts.limits import EVENT_BYTES, RESPONSE_BODY_BYTES
from contracts.reasons import ReasonCode
from harness.hop_stage import LAST_CHUNK, SSE_HEAD, Play, Upstream, chunk, raw, sse, whole
from harness.memory_stream import MemoryStream
from harness.net import MemoryNetwork
from hop.call import HopFault, NextHop, Reply, make_client
from hop.metrics import Metrics

DELTA = to_wire(Delta("one"))
JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


@frozen
class Edge:
    """The way to a scripted next hop."""

    network: MemoryNetwork
    hop: NextHop
    upstream: Upstream

    def open_streams(self) -> float | None:
        return self.hop.metrics.registry.get_sample_value(
            "bsl_open_upstream_streams", {"service": "probe"}
        )

    async def body(self) -> bytes:
        async with self.hop.ask("/x", {}, b"{}") as reply:
            return await reply.body("application/json")

    async def frames(self) -> list[tuple[str, bytes | None]]:
        async with self.hop.ask("/x", {}, b"{}") as reply:
            reply.expect("text/event-stream")
            return [frame async for frame in frames_of(reply)]


async def frames_of(reply: Reply) -> AsyncIterator[tuple[str, bytes | None]]:
    while (frame := await reply.next_frame()) is not None:
        yield frame.event, frame.data


@asynccontextmanager
async def edge_to(play: Play) -> AsyncIterator[Edge]:
    """An edge to a next hop that plays this; at the end nothing is open."""
    async with trio.open_nursery() as nursery:
        network, upstream = MemoryNetwork(nursery), Upstream(play)
        network.listen("next", upstream.serve)
        async with make_client(network.transport()) as client:
            edge = Edge(network, NextHop(client, "http://next", 1.0, Metrics("probe")), upstream)
            yield edge
        await trio.sleep(0.25)
        assert network.links == []
        assert edge.open_streams() == 0
        nursery.cancel_scope.cancel()


PLAIN_FAULTS = {
    "eof before the head": (raw("eof"), "HOP_DISCONNECTED"),
    "reset before the head": (raw("reset"), "HOP_DISCONNECTED"),
    "half a status line": (raw(b"HTTP/1.1 2", "eof"), "HOP_DISCONNECTED"),
    "half a head": (raw(JSON_HEAD, "eof"), "HOP_DISCONNECTED"),
    "no HTTP": (raw(b"\x16\x03\x01\x02\x00 garbage\r\n\r\n", "eof"), "HOP_DISCONNECTED"),
    "a switch of protocols": (raw(b"HTTP/1.1 101 X\r\n\r\n", "eof"), "HOP_DISCONNECTED"),
    "body cut": (raw(JSON_HEAD + b"content-length: 9\r\n\r\n{", "eof"), "HOP_DISCONNECTED"),
    "body reset": (raw(JSON_HEAD + b"content-length: 9\r\n\r\n{", "reset"), "HOP_DISCONNECTED"),
    "chunk cut": (
        raw(JSON_HEAD + b"transfer-encoding: chunked\r\n\r\n9\r\n{", "eof"),
        "HOP_DISCONNECTED",
    ),
    "no last chunk": (
        raw(JSON_HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunk(b"{}"), "eof"),
        "HOP_DISCONNECTED",
    ),
    "bad chunk size": (
        raw(JSON_HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n"),
        "HOP_DISCONNECTED",
    ),
    "html": (whole(200, b"<p>", media_type="text/html"), "HOP_PROTOCOL_ERROR"),
    "no content-type": (
        raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"),
        "HOP_PROTOCOL_ERROR",
    ),
    "a stream": (sse(DELTA), "HOP_PROTOCOL_ERROR"),
    "over its cap": (whole(200, b" " * (RESPONSE_BODY_BYTES + 1)), "HOP_PROTOCOL_ERROR"),
}


@pytest.mark.parametrize("name", PLAIN_FAULTS)
async def test_each_fault_of_a_plain_answer_has_its_code(
    autojump_clock: MockClock, name: str
) -> None:
    play, code = PLAIN_FAULTS[name]
    async with edge_to(play) as edge:
        with pytest.raises(HopFault) as caught:
            await edge.body()
        assert caught.value.code == code
        assert edge.open_streams() == 0


async def test_a_body_at_its_cap_is_taken(autojump_clock: MockClock) -> None:
    async with edge_to(whole(200, b" " * RESPONSE_BODY_BYTES)) as edge:
        assert len(await edge.body()) == RESPONSE_BODY_BYTES


STREAM_FAULTS = {
    "json": (whole(200, {}), "HOP_PROTOCOL_ERROR"),
    "cut": (raw(SSE_HEAD + chunk(DELTA), "eof"), "HOP_DISCONNECTED"),
    "reset": (raw(SSE_HEAD + chunk(DELTA), 1.0, "reset"), "HOP_DISCONNECTED"),
    "a frame over its cap": (
        sse(b"data: " + b"x" * EVENT_BYTES + b"\n\n"),
        "HOP_PROTOCOL_ERROR",
    ),
    "a line without end": (sse(*[b"x" * 60_000] * 20), "HOP_PROTOCOL_ERROR"),
    "a comment without end": (sse(b":", *[b"x" * 60_000] * 20), "HOP_PROTOCOL_ERROR"),
    "many small lines": (sse(*[b"data: x\n" * 8_000] * 20), "HOP_PROTOCOL_ERROR"),
}


@pytest.mark.parametrize("name", STREAM_FAULTS)
async def test_each_fault_of_a_stream_has_its_code(autojump_clock: MockClock, name: str) -> None:
    play, code = STREAM_FAULTS[name]
    async with edge_to(play) as edge:
        with pytest.raises(HopFault) as caught:
            await edge.frames()
        assert caught.value.code == code


async def test_frames_come_whole_and_heartbeats_are_swallowed(autojump_clock: MockClock) -> None:
    play = sse(b": heartbeat\n\n", DELTA[:7], 20.0, DELTA[7:] + b":\n\n" + DELTA)
    async with edge_to(play) as edge:
        assert await edge.frames() == [("delta", b'{"delta":"one"}')] * 2


async def test_a_frame_that_no_blank_line_ends_is_not_a_frame(autojump_clock: MockClock) -> None:
    async with edge_to(sse(DELTA, DELTA[:-1])) as edge:
        assert len(await edge.frames()) == 1


# Connecting.


async def test_nobody_there_is_unreachable(autojump_clock: MockClock) -> None:
    async with (
        trio.open_nursery() as nursery,
        make_client(MemoryNetwork(nursery).transport()) as client,
    ):
        hop = NextHop(client, "http://next", 1.0, Metrics("probe"))
        with pytest.raises(HopFault) as caught:
            async with hop.ask("/x", {}, b"{}"):
                raise AssertionError
        check = await hop.check()
    assert caught.value.code is ReasonCode.HOP_UNREACHABLE
    assert check == (False, "http://next: ConnectError")


async def test_a_connection_that_hangs_is_unreachable_at_the_limit(
    autojump_clock: MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork(nursery)
        listener = network.listener("next")  # which never accepts
        waiting = [await network.connect("next") for _ in range(128)]
        async with make_client(network.transport()) as client:
            hop = NextHop(client, "http://next", 1.0, Metrics("probe"))
            with pytest.raises(HopFault) as caught:
                async with hop.ask("/x", {}, b"{}"):
                    raise AssertionError
        took = trio.current_time()
        await listener.aclose()
        for stream in waiting:
            await trio.aclose_forcefully(stream)
    assert caught.value.code is ReasonCode.HOP_UNREACHABLE
    assert took == pytest.approx(1.0)


# Error bodies (CONTRACT §7's last paragraphs).


def error(code: str) -> bytes:
    info = ErrorInfo(ReasonCode[code], "because", ())
    return encode(ErrorBody(info, "ab" * 16, "r-1"))


ERRORS = [
    (400, error("INPUT_INVALID"), "HOP_PROTOCOL_ERROR"),
    (401, error("INPUT_UNAUTHORIZED"), "HOP_PROTOCOL_ERROR"),
    (403, error("INPUT_FORBIDDEN"), "HOP_PROTOCOL_ERROR"),
    (404, error("INPUT_NOT_FOUND"), "HOP_PROTOCOL_ERROR"),
    (405, error("INPUT_METHOD"), "HOP_PROTOCOL_ERROR"),
    (408, error("INPUT_TIMEOUT"), "HOP_PROTOCOL_ERROR"),
    (413, error("INPUT_TOO_LARGE"), "HOP_PROTOCOL_ERROR"),
    (415, error("INPUT_MEDIA_TYPE"), "HOP_PROTOCOL_ERROR"),
    (429, error("ADMISSION_RATE_LIMITED"), "ADMISSION_RATE_LIMITED"),
    (503, error("ADMISSION_QUEUE_FULL"), "ADMISSION_QUEUE_FULL"),
    (503, error("ADMISSION_QUEUE_TIMEOUT"), "ADMISSION_QUEUE_TIMEOUT"),
    (503, error("ADMISSION_SHUTTING_DOWN"), "ADMISSION_SHUTTING_DOWN"),
    (504, error("ADMISSION_DEADLINE_EXPIRED"), "ADMISSION_DEADLINE_EXPIRED"),
    (500, error("INTERNAL_ERROR"), "INTERNAL_ERROR"),
    (500, error("ADMISSION_QUEUE_FULL"), "HOP_PROTOCOL_ERROR"),
    (502, error("RAG_TIMEOUT"), "HOP_PROTOCOL_ERROR"),
    (503, b"", "HOP_PROTOCOL_ERROR"),
    (503, b"{}", "HOP_PROTOCOL_ERROR"),
    (503, b'{"error": "busy"}', "HOP_PROTOCOL_ERROR"),
    (503, b"\xff", "HOP_PROTOCOL_ERROR"),
    (201, b"{}", "HOP_PROTOCOL_ERROR"),
    (302, b"", "HOP_PROTOCOL_ERROR"),
]


@pytest.mark.parametrize(("status", "body", "code"), ERRORS)
async def test_an_error_of_the_next_hop_is_mapped(
    autojump_clock: MockClock, status: int, body: bytes, code: str
) -> None:
    async with edge_to(whole(status, body, "retry-after: 3")) as edge:
        assert (await fault_of(edge)).code == code


async def fault_of(edge: Edge) -> HopFault:
    """What the next hop's error is to our caller."""
    async with edge.hop.ask("/x", {}, b"{}") as reply:
        assert not reply.ok
        try:
            return (await reply.error()).fault()
        except HopFault as fault:
            return fault


@pytest.mark.parametrize("key", ["", "sk-for-next"])
async def test_our_key_is_sent_and_never_shown(autojump_clock: MockClock, key: str) -> None:
    async with edge_to(whole(200, {})) as edge:
        hop = NextHop(edge.hop.client, "http://next", 1.0, edge.hop.metrics, key)
        async with hop.ask("/x", {"authorization": "Bearer a-clients"}, b"{}") as reply:
            await reply.body("application/json")
        await hop.check()
        called, checked = edge.upstream.asked
    assert called.headers["authorization"] == f"Bearer {key or 'a-clients'}"
    assert "authorization" not in checked.headers, "`/health` is open"
    assert "sk-for-next" not in repr(hop)


async def test_neighbour_that_refuses_our_key_is_not_ok_until_it_takes_it(
    autojump_clock: MockClock,
) -> None:
    answers = [
        whole(200, {}),  # `/health`, before any call
        whole(401, error("INPUT_UNAUTHORIZED")),
        whole(200, {}),  # `/health`
        whole(503, error("ADMISSION_QUEUE_FULL")),
        whole(200, {}),  # `/health`
    ]

    async def play(stream: MemoryStream) -> None:
        await answers.pop(0)(stream)

    async with edge_to(play) as edge:
        assert (await edge.hop.check())[0]
        assert (await fault_of(edge)).code == "HOP_PROTOCOL_ERROR"
        assert await edge.hop.check() == (False, "http://next: it refuses our key")
        assert (await fault_of(edge)).code == "ADMISSION_QUEUE_FULL"
        assert (await edge.hop.check())[0]


@pytest.mark.parametrize(
    ("value", "ms"),
    [("0", 0), ("7", 7_000), ("1.5", None), ("-1", None), ("Wed, 21 Oct 2015 07:28:00 GMT", None),
     ("²", None), ("", None), ("9" * 5_000, None)],
)  # fmt: skip
async def test_retry_after_is_carried_on_where_it_is_whole_seconds(
    autojump_clock: MockClock, value: str, ms: int | None
) -> None:
    body = error("ADMISSION_QUEUE_FULL")
    head = b"HTTP/1.1 503 X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % len(body)
    answer = head + b"retry-after: " + value.encode() + b"\r\n\r\n" + body
    async with edge_to(raw(answer)) as edge:
        fault = await fault_of(edge)
    assert (fault.code, fault.retry_after_ms) == (ReasonCode.ADMISSION_QUEUE_FULL, ms)


async def test_what_is_sent_is_one_json_post_that_wants_no_encoding(
    autojump_clock: MockClock,
) -> None:
    asked_with = {"x-request-id": "r"}
    async with (
        edge_to(whole(200, {})) as edge,
        edge.hop.ask("/x", asked_with, b'{"a":1}') as reply,
    ):
        assert await reply.body("application/json") == b"{}"
    (asked,) = edge.upstream.asked
    assert (asked.line, asked.body) == ("POST /x HTTP/1.1", b'{"a":1}')
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.headers["x-request-id"] == "r"


# Leaving.

PHASES = {
    "connected": raw("hang"),
    "in the head": raw(b"HTTP/1.1 200", "hang"),
    "before the body": raw(SSE_HEAD, "hang"),
    "in the body": raw(SSE_HEAD + chunk(DELTA), "hang"),
    "in a frame": raw(SSE_HEAD + chunk(DELTA[:5]), "hang"),
    "in a chunk": raw(SSE_HEAD + b"ff\r\n" + DELTA, "hang"),
    "flooded": sse(*[DELTA * 100] * 1_000),
}


@pytest.mark.parametrize("name", PHASES)
async def test_leaving_closes_the_connection_at_once(autojump_clock: MockClock, name: str) -> None:
    async with edge_to(PHASES[name]) as edge:
        with trio.move_on_after(2):
            async with edge.hop.ask("/x", {}, b"{}") as reply:
                await reply.next_frame()
                await trio.sleep_forever()
        await trio.testing.wait_all_tasks_blocked()
        assert edge.network.links == []
    assert edge.upstream.left == [pytest.approx(2.0)]


async def test_leaving_by_an_exception_closes_the_connection_at_once(
    autojump_clock: MockClock,
) -> None:
    async with edge_to(PHASES["in the body"]) as edge:
        with pytest.raises(KeyError):
            async with edge.hop.ask("/x", {}, b"{}") as reply:
                await reply.next_frame()
                raise KeyError
        await trio.testing.wait_all_tasks_blocked()
        assert edge.network.links == []


DONE = b"event: done\ndata: {}\n\n"


@pytest.mark.parametrize(
    ("after_done", "calls_on_one_connection"),
    [((LAST_CHUNK,), True), ((0.01, LAST_CHUNK), True), ((5.0, LAST_CHUNK), False)],
)
async def test_after_done_a_connection_is_kept_where_its_end_is_near(
    autojump_clock: MockClock, after_done: tuple[bytes | float, ...], calls_on_one_connection: bool
) -> None:
    async with edge_to(raw(SSE_HEAD, chunk(DONE), *after_done)) as edge:
        for _ in range(2):
            async with edge.hop.ask("/x", {}, b"{}") as reply:
                frame = await reply.next_frame()
                assert frame is not None
                assert frame.event == "done"
        took = trio.current_time()
        await trio.testing.wait_all_tasks_blocked()
        assert (len(edge.network.links) == 1) is calls_on_one_connection
    assert took < 0.1


# Readiness.


@pytest.mark.parametrize(
    ("play", "ok"),
    [
        (whole(200, {}), True),
        (whole(503, {}), False),
        (whole(302, b""), False),
        (raw("eof"), False),
        (raw("hang"), False),
        (raw(b"nonsense\r\n\r\n"), False),
    ],
)
async def test_a_neighbours_health_is_told(autojump_clock: MockClock, play: Play, ok: bool) -> None:
    async with edge_to(play) as edge:
        found, detail = await edge.hop.check()
        assert trio.current_time() <= 1.0
    assert found is ok
    assert detail.startswith("http://next: ")


def test_the_client_asks_no_environment_and_follows_nothing() -> None:
    client = make_client(httpx.AsyncHTTPTransport(trust_env=False))
    assert not client.trust_env
    assert not client.follow_redirects
