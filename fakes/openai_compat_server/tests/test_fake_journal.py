"""Goal: the journal has the bytes of both sides and their times, and never outgrows its caps.

Method: conversations in memory on a virtual clock; the caps on a journal of its own.
"""

import pytest
import trio
import trio.testing

from fakes.openai_compat_server import Behaviour, Ending, Fake, Journal, Latency, Limits, Plan, Step
from fakes.openai_compat_server.control import Asked
from fakes.openai_compat_server.over_trio import serve_trio_stream
from fakes.openai_compat_server.tests.fake_client import chat, on_the_wire

STREAM = on_the_wire(chat("one two three four", stream=True))
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    b"3\r\n{}\n\r\n0\r\n\r\n"
)
PLAN = Plan(200, (Step(0, b"abc"),), Ending.KEEP)


async def told(fake: Fake, *parts: bytes, for_s: float = 100) -> bytes:
    """What the fake sends to the parts, which arrive a second apart, until the client leaves."""
    client, server = trio.testing.memory_stream_pair()
    received = bytearray()

    async def read() -> None:
        while data := await client.receive_some():
            received.extend(data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_trio_stream, server, fake)
        nursery.start_soon(read)
        for part in parts:
            await client.send_all(part)
            await trio.sleep(1)
        await trio.sleep(for_s)
        await client.send_eof()
    return bytes(received)


def echo(journal: Journal | None = None) -> Fake:
    latency = Latency(ttft_s=2.0, itl_s=1.0)
    return Fake(Behaviour(persona="echo", latency=latency), journal=journal or Journal())


async def test_an_entry_has_both_sides_bytes_and_each_chunks_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    fake, began = echo(), trio.current_time()
    received = await told(fake, STREAM)
    (entry,) = fake.journal.entries
    assert entry.request == STREAM
    assert b"".join(chunk.data for chunk in entry.chunks) == received
    assert [entry.chunks[0].at, entry.began_at] == [began, began]
    # Mean 2 s to the first token and three gaps of 1 s, each within a quarter.
    assert 3.75 <= entry.chunks[-1].at - began <= 6.25
    assert len({chunk.at for chunk in entry.chunks}) == 5
    assert entry.ended_at == entry.chunks[-1].at
    assert (entry.request_bytes_dropped, entry.chunks_dropped) == (0, 0)


async def test_pipelined_requests_are_cut_where_each_ends(
    autojump_clock: trio.testing.MockClock,
) -> None:
    fake = echo()
    whole = HEALTH + b"\r\n" + CHUNKED + STREAM + HEALTH
    await told(fake, whole[:30], whole[30:90], whole[90:])
    assert [entry.request for entry in fake.journal.entries] == [HEALTH, CHUNKED, STREAM, HEALTH]


@pytest.mark.parametrize(
    ("noise", "line"),
    [
        (b"\x16\x03\x01 no HTTP\r\n\r\n", "(not HTTP)"),
        (STREAM[:-7], "(unfinished)"),
        (on_the_wire(b"a" * 101), "POST /v1/chat/completions"),
    ],
)
async def test_what_never_became_a_request_is_kept_as_it_came(
    noise: bytes, line: str, autojump_clock: trio.testing.MockClock
) -> None:
    fake = Fake(limits=Limits(body_bytes_max=100 if line.startswith("POST") else 4096))
    await told(fake, noise)
    (entry,) = fake.journal.entries
    assert (entry.request_line, entry.request) == (line, noise)


async def test_an_interim_response_is_a_chunk_too(autojump_clock: trio.testing.MockClock) -> None:
    fake = echo()
    head, _, body = STREAM.partition(b"\r\n\r\n")
    head += b"\r\nexpect: 100-continue\r\n\r\n"
    received = await told(fake, head, body, HEALTH)
    first, second = fake.journal.entries
    assert first.request == head + body
    assert first.chunks[0].data == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert first.began_at - first.chunks[0].at == 1
    assert second.chunks[0].data.startswith(b"HTTP/1.1 200")
    assert b"".join(it.data for entry in (first, second) for it in entry.chunks) == received


async def test_a_leaver_is_named_with_what_it_got(autojump_clock: trio.testing.MockClock) -> None:
    fake = echo()
    received = await told(fake, STREAM, for_s=2.0)
    (entry,) = fake.journal.entries
    assert entry.client_left_at == entry.began_at + 3.0
    assert b"".join(chunk.data for chunk in entry.chunks) == received
    assert entry.steps_sent < entry.steps_planned


def test_an_entry_keeps_its_first_bytes_and_counts_the_rest() -> None:
    journal = Journal(entry_bytes_max=1_000)
    entry = journal.begin(Asked("GET /a", b"r" * 1_300), PLAN, 0.0)
    assert (len(entry.request), entry.request_bytes_dropped) == (1_000, 300)
    journal.sent(entry, b"x", 1.0)
    assert (entry.chunks, entry.chunks_dropped) == ([], 1)

    entry = journal.begin(Asked("GET /a", b"r" * 300), PLAN, 0.0)
    for data in (b"one", b"x" * 1_000, b"two"):
        journal.sent(entry, data, 1.0)
    # Not the third either: what is kept has no holes.
    assert [chunk.data for chunk in entry.chunks] == [b"one"]
    assert entry.chunks_dropped == 2


def test_the_oldest_entries_go_when_all_bytes_are_over_the_cap() -> None:
    journal = Journal(bytes_max=1_000)
    first = journal.begin(Asked("GET /a", b"a" * 400), PLAN, 0.0)
    journal.begin(Asked("GET /b", b"b" * 400, session="s"), PLAN, 0.0)
    journal.sent(first, b"c" * 50, 1.0)
    assert [entry.request_line for entry in journal.entries] == ["GET /b"]
    assert dict(journal.dropped) == {"": 1}
    # The first is still being performed; it must cost nothing more.
    journal.sent(first, b"d" * 50, 1.0)
    assert journal.kept_bytes == 400
    journal.begin(Asked("GET /c", b"c" * 900), PLAN, 0.0)
    assert dict(journal.dropped) == {"": 1, "s": 1}
    assert journal.kept_bytes == 900


def test_many_tiny_chunks_are_charged_for_what_keeping_them_takes() -> None:
    journal = Journal(entry_bytes_max=10_000)
    entry = journal.begin(Asked("GET /a"), PLAN, 0.0)
    for at in range(1_000):
        journal.sent(entry, b"x", float(at))
    assert len(entry.chunks) < 50
    assert len(entry.chunks) + entry.chunks_dropped == 1_000


def test_clearing_one_session_leaves_the_others() -> None:
    journal = Journal(entries_max=2)
    for session in ("", "a", "b"):
        journal.begin(Asked("GET /", b"12345", session), PLAN, 0.0)
    live = journal.of("a")[0]
    journal.clear("a")
    journal.clear("")
    journal.sent(live, b"late", 1.0)
    assert [entry.session for entry in journal.entries] == ["b"]
    assert (journal.kept_bytes, dict(journal.dropped)) == (5, {})
