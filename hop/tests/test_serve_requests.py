"""What arrives: bodies of every shape, and what is refused before any app sees it."""

from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing
from quart.typing import ResponseReturnValue

from harness.memory_stream import MemoryStream
from harness.net import MemoryNetwork, serve_memory
from harness.serving_stage import (
    HOST,
    Clock,
    Stage,
    assert_still_serving,
    get,
    post,
    read_all,
    read_until,
    status,
)
from hop.serve import HopApp, Limits, current_request


@pytest.fixture
def stage(nursery: trio.Nursery) -> Stage:
    return Stage(MemoryNetwork(nursery), Limits())


# Bodies.


async def test_body_is_whole_when_it_arrives_in_chunks(stage: Stage, autojump_clock: Clock) -> None:
    head = b"POST /echo HTTP/1.1\r\ntransfer-encoding: chunked\r\n" + HOST + b"\r\n"
    stream = await stage.dial(head)
    for _ in range(10):
        await trio.sleep(10)
        await stream.send_all(b"5\r\nhello\r\n")
    await stream.send_all(b"0\r\n\r\n")
    assert b'{"bytes":50}' in await read_until(stream, b"}")
    await stream.aclose()
    await assert_still_serving(stage)


async def test_client_is_told_to_go_on_when_it_expects_that(
    stage: Stage, autojump_clock: Clock
) -> None:
    head = b"POST /echo HTTP/1.1\r\ncontent-length: 2\r\nexpect: 100-continue\r\n"
    stream = await stage.dial(head + HOST + b"\r\n")
    assert status(await read_until(stream, b"\r\n\r\n")) == 100
    await stream.send_all(b"{}")
    assert b'{"bytes":2}' in await read_until(stream, b"}")
    await stream.aclose()
    await assert_still_serving(stage)


async def test_honest_upload_flows_when_it_is_far_over_the_read_ahead(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    app = HopApp("hop", on_error=print, max_body_bytes=16_000_000)

    async def measure() -> ResponseReturnValue:
        await trio.sleep(5)  # meanwhile the body arrives
        return {"bytes": len(await current_request().get_data())}

    app.add_url_rule("/", view_func=measure, methods=["POST"])
    network = MemoryNetwork(nursery)
    serve_memory(network, "hop", app)
    async with network.client(timeout=60) as client:
        answer = await client.post("http://hop/", content=b"x" * 10_000_000)
    assert answer.json() == {"bytes": 10_000_000}
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
async def test_body_over_the_cap_is_413_and_thrown_away_when_it_arrives(
    stage: Stage, announced: bool, autojump_clock: Clock
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"x" * 10_000

    async with stage.network.client() as client:
        content = b"x" * 10_000_000 if announced else chunks()
        assert (await client.post("http://hop/echo", content=content)).status_code == 413
        assert (await client.get("http://hop/ok")).status_code == 200
        assert len(stage.network.links) == 1, "the connection lives on"
    assert stage.now() == 0.0
    await assert_still_serving(stage)


async def test_early_answer_is_seen_at_once_when_the_body_never_ends(
    stage: Stage, autojump_clock: Clock
) -> None:
    stream = await stage.dial(post("/early", b"x" * 10, announced=20))
    assert status(await read_until(stream, b"}")) == 409
    assert stage.now() == 0.0
    assert (await read_all(stream)).strip() == b""
    assert stage.now() == 1.0, "closed after linger_s"
    await stream.aclose()
    await assert_still_serving(stage)


# What is refused.

UPGRADE = b"connection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABkAAQAAP__\r\nupgrade: "
WEBSOCKET = (
    b"websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
REFUSED = {
    "h2c": (400, get("/ok", UPGRADE + b"h2c\r\n")),
    "h2c among others": (400, get("/ok", UPGRADE + b"TLS/1.2, H2C\r\n")),
    "h2c with a body": (400, post("/echo", b"{}").replace(HOST, HOST + UPGRADE + b"h2c\r\n")),
    "websocket": (400, get("/ok", b"connection: Upgrade\r\nupgrade: " + WEBSOCKET)),
    "websocket, no connection header": (400, get("/ok", b"upgrade: " + WEBSOCKET)),
    "http/2 prior knowledge": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00"),
    "http/0.9": (400, b"GET /ok HTTP/0.9\r\n\r\n"),
    "text": (400, b"garbage\r\n\r\n"),
    "tls": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "noise": (400, bytes(range(256)) * 1000),
    "no host": (400, b"GET /ok HTTP/1.1\r\n\r\n"),
    "two hosts": (400, get("/ok", HOST)),
    "two lengths": (400, post("/echo", b"{}").replace(HOST, HOST + b"content-length: 3\r\n")),
    "connect": (400, b"CONNECT hop:80 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "no path": (400, b"GET ?x HTTP/1.1\r\n" + HOST + b"\r\n"),
    "broken absolute form": (400, b"GET http://[ HTTP/1.1\r\n" + HOST + b"\r\n"),
    "100 kB of headers": (431, get("/ok", b"x: " + b"y" * 100_000 + b"\r\n")),
    "20 kB of headers in one read": (431, get("/ok", b"x: y\r\n" * 3_400)),
    "100 kB of target": (431, get("/" + "x" * 100_000)),
    "unknown transfer-encoding": (501, get("/ok", b"transfer-encoding: gzip\r\n")),
}


@pytest.mark.parametrize("half_closed", [False, True], ids=["open", "half-closed"])
@pytest.mark.parametrize(("expected", "sent"), REFUSED.values(), ids=REFUSED)
async def test_refusal_is_bare_and_closes_when_the_request_is_none(
    stage: Stage, expected: int, sent: bytes, half_closed: bool, autojump_clock: Clock
) -> None:
    stream = await stage.dial()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_and_end, stream, sent, half_closed)
        answer = await read_all(stream)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert (status(answer), body) == (expected, b"")
    assert b"connection: close" in head.lower()
    assert stage.now() == 0.0
    await stream.aclose()
    assert stage.errors == []
    await assert_still_serving(stage)


async def send_and_end(stream: MemoryStream, data: bytes, half_close: bool) -> None:
    await stream.send_all(data)
    if half_close:
        await stream.send_eof()


async def test_handler_is_cancelled_at_once_when_the_body_is_no_http(
    stage: Stage, autojump_clock: Clock
) -> None:
    head = b"POST /echo HTTP/1.1\r\ntransfer-encoding: chunked\r\n" + HOST + b"\r\n"
    stream = await stage.dial(head)
    await trio.sleep(2)
    await stream.send_all(b"zz\r\n")
    assert status(await read_all(stream)) == 400
    assert stage.ends == [("cut", 2.0)]
    await stream.aclose()
    await assert_still_serving(stage)


@pytest.mark.parametrize(
    "sent",
    [b"GET http://hop/ok HTTP/1.1\r\n" + HOST + b"\r\n", get("/ok", b"upgrade: TLS/1.2\r\n")],
)
async def test_request_is_served_when_it_is_unusual_but_legal(
    stage: Stage, sent: bytes, autojump_clock: Clock
) -> None:
    stream = await stage.dial(sent)
    assert status(await read_until(stream, b"}")) == 200
    await stream.aclose()
    await assert_still_serving(stage)
