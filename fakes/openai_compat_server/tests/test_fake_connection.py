"""Goal: a connection serves what comes, bears what should not come, and sees its client leave.

Method: real connections over in-memory streams on a virtual clock; the same conversation once
more under asyncio.
"""

# ruff: noqa: S603  (the only program run is this one)

import subprocess
import sys

import anyio
import pytest
import trio
import trio.testing
from anyio.streams.stapled import StapledObjectStream

from fakes.openai_compat_server import Behaviour, Fake, Journal, Latency, Limits, serve_stream
from fakes.openai_compat_server.over_trio import serve_trio_stream
from fakes.openai_compat_server.tests.fake_client import (
    chat,
    dechunked,
    events,
    on_the_wire,
)

HEALTH = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
HEALTH_CLOSE = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
STREAM = on_the_wire(chat("one two three four", stream=True))
LIMITS = Limits(body_bytes_max=10_000, request_limit_s=10, idle_limit_s=75)


def fresh() -> Fake:
    latency = Latency(ttft_s=2.0, itl_s=1.0)
    return Fake(Behaviour(persona="echo", latency=latency), LIMITS, Journal())


def opened(nursery: trio.Nursery, fake: Fake) -> trio.abc.Stream:
    client, server = trio.testing.memory_stream_pair()
    nursery.start_soon(serve_trio_stream, server, fake)
    return client


async def until_closed(client: trio.abc.Stream) -> bytes:
    received = b""
    while data := await client.receive_some():
        received += data
    await client.aclose()
    return received


async def until(client: trio.abc.Stream, end: bytes) -> bytes:
    received = b""
    while not received.endswith(end):
        data = await client.receive_some()
        assert data, received
        received += data
    return received


async def test_a_connection_is_kept_when_requests_follow(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    fake = fresh()
    client = opened(nursery, fake)
    for _ in range(3):
        await client.send_all(STREAM)
        received = await until(client, b"0\r\n\r\n")
        assert events(dechunked(received.partition(b"\r\n\r\n")[2]))[-1] == "[DONE]"
    assert [entry.client_left_at for entry in fake.journal.entries] == [None] * 3
    assert all(e.bytes_sent == e.bytes_planned for e in fake.journal.entries)


async def test_pipelined_requests_are_answered_in_order(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = opened(nursery, fresh())
    await client.send_all(STREAM + b"\r\n" + HEALTH + HEALTH_CLOSE)
    received = await until_closed(client)
    assert received.index(b"[DONE]") < received.index(b'{"status":"ok"}')
    assert received.count(b'{"status":"ok"}') == 2


async def test_steps_are_sent_when_they_are_due(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = opened(nursery, fresh())
    began = trio.current_time()
    await client.send_all(STREAM)
    await until(client, b"\r\n\r\n")
    assert trio.current_time() == began
    await until(client, b"0\r\n\r\n")
    # Mean 2 s to the first token and three gaps of 1 s, each within a quarter.
    assert 3.75 <= trio.current_time() - began <= 6.25


@pytest.mark.parametrize("leaving", ["closes", "half-closes", "sends more, then closes"])
async def test_leaving_mid_stream_is_noticed_at_once(
    leaving: str, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    fake = fresh()
    client, server = trio.testing.memory_stream_pair()
    ended: list[float] = []

    async def served() -> None:
        await serve_trio_stream(server, fake)
        ended.append(trio.current_time())

    nursery.start_soon(served)
    await client.send_all(STREAM)
    await until(client, b"\r\n\r\n")
    await trio.sleep(0.5)  # virtual: in the silence before the first token
    left_at = trio.current_time()
    if leaving == "half-closes":
        await client.send_eof()
    else:
        if leaving.startswith("sends"):
            await client.send_all(b"\r\n")
        await client.aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert ended == [left_at]
    (entry,) = fake.journal.entries
    assert (entry.client_left_at, entry.steps_sent) == (left_at, 1)
    assert entry.bytes_sent < entry.bytes_planned


async def test_the_client_has_left_when_it_stops_taking_bytes_and_goes(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    fake = fresh()
    client, server = trio.testing.lockstep_stream_pair()
    nursery.start_soon(serve_trio_stream, server, fake)
    await client.send_all(STREAM)
    await trio.sleep(30)
    left_at = trio.current_time()
    await client.aclose()
    await trio.testing.wait_all_tasks_blocked()
    (entry,) = fake.journal.entries
    assert (entry.client_left_at, entry.steps_sent) == (left_at, 0)


@pytest.mark.parametrize("noise", [b"\x16\x03\x01\x02", b"\x00\xff" * 9, b"NOT HTTP\r\n\r\n"])
async def test_noise_gets_a_bare_400_and_a_close(
    noise: bytes, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = opened(nursery, fresh())
    await client.send_all(noise)
    received = await until_closed(client)
    assert received == b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


async def test_noise_after_a_request_does_not_spoil_its_answer(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = opened(nursery, fresh())
    await client.send_all(HEALTH + b"\x00\x01\x02")
    received = await until_closed(client)
    assert received.startswith(b"HTTP/1.1 200 OK")
    assert received.count(b"HTTP/1.1 400 Bad Request") == 1


@pytest.mark.parametrize("part", [STREAM[:-5], STREAM[:30], b"G"])
async def test_half_a_request_then_silence_is_closed_after_the_limit(
    part: bytes, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = opened(nursery, fresh())
    await client.send_all(part)
    began = trio.current_time()
    received = await until(client, b"}}")
    assert received.startswith(b"HTTP/1.1 408 ")
    assert trio.current_time() - began == LIMITS.request_limit_s
    assert await until_closed(client) == b""


async def test_a_drip_of_bytes_does_not_stretch_the_limit(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = opened(nursery, fresh())
    began = trio.current_time()
    for byte in STREAM[:9]:
        await client.send_all(bytes([byte]))
        await trio.sleep(1)
    await until(client, b"}}")
    assert trio.current_time() - began == LIMITS.request_limit_s


async def test_silence_is_closed_without_a_word_after_the_idle_limit(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    fake = fresh()
    client = opened(nursery, fake)
    await client.send_all(HEALTH)
    await until(client, b"}")
    began = trio.current_time()
    assert await client.receive_some() == b""
    assert trio.current_time() - began == LIMITS.idle_limit_s
    assert len(fake.journal.entries) == 1


async def test_a_body_over_the_cap_gets_413_while_it_is_still_being_sent(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = opened(nursery, fresh())
    body = b"a" * (LIMITS.body_bytes_max + 1)
    await client.send_all(on_the_wire(body)[:500])
    received = await until(client, b"}}")
    assert received.startswith(b"HTTP/1.1 413 ")
    await client.send_all(body)
    assert await until_closed(client) == b""


async def test_a_client_that_floods_while_it_is_answered_is_cut(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    fake = fresh()
    client = opened(nursery, fake)
    await client.send_all(STREAM)
    await until(client, b"\r\n\r\n")
    await client.send_all(b"a" * (LIMITS.body_bytes_max + 1))
    assert b"[DONE]" not in await until_closed(client)
    assert fake.journal.entries[0].client_left_at is not None


async def test_a_client_is_told_to_continue_once(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = opened(nursery, fresh())
    head, _, body = STREAM.partition(b"\r\n\r\n")
    await client.send_all(head + b"\r\nexpect: 100-continue\r\n\r\n")
    assert await until(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.send_all(body)
    assert (await until(client, b"0\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")


async def test_the_journal_forgets_its_oldest_when_full() -> None:
    fake = Fake(Behaviour(), LIMITS, Journal(entries_max=2))
    async with trio.open_nursery() as nursery:
        client = opened(nursery, fake)
        for path in (b"/a", b"/b", b"/c"):
            await client.send_all(HEALTH.replace(b"/health", path))
            await until(client, b"}}")
        await client.aclose()
    assert [entry.request_line for entry in fake.journal.entries] == ["GET /b", "GET /c"]


def _anyio_pair() -> tuple[StapledObjectStream[bytes], StapledObjectStream[bytes]]:
    to_server, at_server = anyio.create_memory_object_stream[bytes](100)
    to_client, at_client = anyio.create_memory_object_stream[bytes](100)
    return StapledObjectStream(to_server, at_client), StapledObjectStream(to_client, at_server)


async def _converse() -> tuple[bytes, float | None]:
    """A whole stream, then one that is left; over anyio's own streams."""
    fake = Fake(Behaviour(persona="echo", latency=Latency(0, 0)), LIMITS, Journal())
    client, server = _anyio_pair()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve_stream, server, fake)
        await client.send(STREAM)
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            received += await client.receive()
        await client.aclose()
    slow = Fake(Behaviour(persona="echo", latency=Latency(3600, 0)), LIMITS, Journal())
    client, server = _anyio_pair()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve_stream, server, slow)
        await client.send(STREAM)
        await client.receive()
        await client.aclose()
    return received, slow.journal.entries[0].client_left_at


def test_both_back_ends_send_the_same_bytes_and_see_the_client_leave() -> None:
    by_asyncio, left_asyncio = anyio.run(_converse, backend="asyncio")
    by_trio, left_trio = anyio.run(_converse, backend="trio")
    assert by_asyncio == by_trio
    assert left_asyncio is not None
    assert left_trio is not None


def test_trio_is_not_imported_when_nobody_asked_for_it() -> None:
    code = "import sys, fakes.openai_compat_server.__main__; print('trio' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
