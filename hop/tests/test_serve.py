"""Clients that leave, stall or stay, on a virtual clock: every time below is exact."""

from collections.abc import Awaitable, Callable

import httpx
import pytest
import trio
import trio.testing
from quart import Response

from harness.memory_stream import MemoryStream
from harness.net import MemoryNetwork
from harness.serving_stage import (
    ROUTES,
    Clock,
    Events,
    Stage,
    assert_still_serving,
    get,
    post,
    produced,
    read_all,
    read_until,
    status,
)
from hop.peer import PIECE_BYTES
from hop.serve import Limits, current_request


@pytest.fixture
def stage(nursery: trio.Nursery) -> Stage:
    return Stage(MemoryNetwork(nursery), Limits())


# A client that leaves.

PENDING = {
    "nothing": b"",
    "a blank line": b"\r\n",
    "half a request": b"GET /o",
    "a whole request": get("/ok"),
    "60 kB": b"x" * 60_000,
}


async def close(stream: MemoryStream) -> None:
    await stream.aclose()


async def half_close(stream: MemoryStream) -> None:
    await stream.send_eof()


async def reset(stream: MemoryStream) -> None:
    stream.reset()


@pytest.mark.parametrize("leave", [close, half_close, reset])
@pytest.mark.parametrize("pending", PENDING.values(), ids=PENDING)
@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
async def test_handler_is_cancelled_at_once_when_the_client_leaves(
    stage: Stage,
    autojump_clock: Clock,
    route: str,
    pending: bytes,
    leave: Callable[[MemoryStream], Awaitable[None]],
) -> None:
    stream = await stage.dial(get(route) + pending)
    await trio.sleep(3.25)
    assert stage.held == 1
    await leave(stream)
    await trio.testing.wait_all_tasks_blocked()
    assert stage.ends == [("left", 3.25)]
    assert stage.errors == []
    await stream.aclose()
    await assert_still_serving(stage)


@pytest.mark.parametrize("route", ["/plain?s=1", "/stream?n=2&gap=.5", "/big"])
@pytest.mark.parametrize("wait", [0, 0.5, 1])
async def test_no_slot_leaks_when_the_client_leaves_at_any_tick(
    stage: Stage, autojump_clock: Clock, route: str, wait: float
) -> None:
    for ticks in range(60):
        stream = await stage.dial(get(route))
        await trio.sleep(wait)
        for _ in range(ticks):
            await trio.lowlevel.checkpoint()
        await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert stage.held == 0, f"leaked after {ticks} ticks"
    assert stage.taken > 20
    assert stage.errors == []
    await assert_still_serving(stage)


async def test_call_does_not_begin_when_its_client_has_already_left(
    stage: Stage, autojump_clock: Clock
) -> None:
    stream = await stage.dial(get("/plain?s=100") + get("/ok"))
    await stream.send_eof()
    await trio.testing.wait_all_tasks_blocked()
    assert stage.held == 0
    assert await read_all(stream) == b""
    assert stage.now() == 0.0
    await stream.aclose()
    await assert_still_serving(stage)


async def test_client_is_dropped_when_it_pipelines_more_than_is_read_ahead(
    stage: Stage, autojump_clock: Clock
) -> None:
    stream = await stage.dial(get("/plain?s=100"))
    await trio.sleep(1)
    sent = 0
    with pytest.raises(trio.BrokenResourceError):
        while True:
            await stream.send_all(b"x" * 1000)
            sent += 1000
    assert stage.now() == 2.0, "unread_s after the read-ahead was full"
    assert sent < 4 * 64 * 1024
    assert stage.ends == [("cut", 2.0)]
    await stream.aclose()
    await assert_still_serving(stage)


async def test_half_body_then_silence_is_the_handlers_until_the_client_leaves(
    stage: Stage, autojump_clock: Clock
) -> None:
    stream = await stage.dial(post("/echo", b"x" * 10, announced=20))
    await trio.sleep(100)
    assert stage.held == 1, "no clock of Quart's own fires"
    await stream.aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert stage.ends == [("left", 100.0)]
    await assert_still_serving(stage)


# A client that does not read.


@pytest.mark.parametrize("route", ["/big", "/stream?n=1000&gap=0&size=5000"])
async def test_stalled_reader_is_dropped_after_the_stall_limit(
    stage: Stage, autojump_clock: Clock, route: str
) -> None:
    stream = await stage.dial(get(route))
    await trio.sleep(9.999)
    assert stage.held == 1
    await trio.sleep(0.002)
    assert stage.network.links[0].server.closed
    assert stage.ends == [("stalled", 10.0)]
    await stream.aclose()
    assert stage.errors == []
    await assert_still_serving(stage)


async def test_slow_reader_lives_when_each_piece_is_taken_in_time(
    stage: Stage, autojump_clock: Clock
) -> None:
    stream = await stage.dial(get("/big", b"connection: close\r\n"))
    received = 0
    while data := await stream.receive_some(PIECE_BYTES):
        received += len(data)
        await trio.sleep(9)
    assert received > 1_000_000
    assert stage.now() > 500
    await stream.aclose()
    await assert_still_serving(stage)


async def test_stalled_reader_is_seen_to_leave_when_it_does(
    stage: Stage, autojump_clock: Clock
) -> None:
    stream = await stage.dial(get("/stream?n=1000&gap=0&size=5000"))
    await trio.sleep(4)
    await stream.aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert stage.ends == [("left", 4.0)]
    await assert_still_serving(stage)


# Connections kept alive, and the ends of answers.


@pytest.mark.parametrize("route", ["/plain?s=1", "/stream?n=2&gap=.5", "/boom"])
async def test_idle_connection_is_closed_when_its_time_is_over(
    stage: Stage, route: str, autojump_clock: Clock
) -> None:
    stream = await stage.dial(get(route))
    await read_all(stream)
    assert stage.now() == (30.0 if route == "/boom" else 31.0)
    await stream.aclose()
    await assert_still_serving(stage)


async def test_silent_connection_is_closed_when_its_time_is_over(
    stage: Stage, autojump_clock: Clock
) -> None:
    stream = await stage.dial()
    assert await read_all(stream) == b""
    assert stage.now() == 30.0
    await stream.aclose()
    await assert_still_serving(stage)


async def test_half_a_head_is_answered_408_when_its_time_is_over(
    stage: Stage, autojump_clock: Clock
) -> None:
    stream = await stage.dial(b"GET /ok HT")
    await trio.sleep(20)
    await stream.send_all(b"TP/1.1\r\nhos")
    assert status(await read_all(stream)) == 408
    assert stage.now() == 30.0
    await stream.aclose()
    await assert_still_serving(stage)


async def test_both_are_answered_when_requests_are_pipelined(
    stage: Stage, autojump_clock: Clock
) -> None:
    stream = await stage.dial(get("/plain?s=1") + get("/plain?s=2", b"connection: close\r\n"))
    assert (await read_all(stream)).count(b'{"ok":true}') == 2
    assert stage.now() == 3.0
    await stream.aclose()
    await assert_still_serving(stage)


async def test_connection_is_reused_when_answers_are_over(
    stage: Stage, autojump_clock: Clock
) -> None:
    async with stage.network.client() as client:
        for path in ("/ok", "/stream?n=2&gap=.1", "/boom", "/missing", "/ok"):
            await client.get(f"http://hop{path}")
        assert len(stage.network.links) == 1
    await assert_still_serving(stage)


async def test_head_of_an_answer_comes_in_one_piece_with_what_follows_it(
    stage: Stage, autojump_clock: Clock
) -> None:
    stream = await stage.dial(get("/stream?n=2&gap=1"))
    first = await stream.receive_some(100_000)
    assert status(first) == 200
    assert first.endswith(b"\r\n\r\n1\r\n.\r\n"), "and nothing waits for the second piece"
    await read_until(stream, b"0\r\n\r\n")
    await stream.send_all(get("/ok", b"connection: close\r\n"))
    whole = await stream.receive_some(100_000)
    assert status(whole) == 200
    assert whole.endswith(b'{"ok":true}\n')
    assert await stream.receive_some(100_000) == b""
    await stream.aclose()
    await assert_still_serving(stage)


async def test_end_of_an_answer_is_seen_only_when_its_lifetime_is_over(
    stage: Stage, autojump_clock: Clock
) -> None:
    async with stage.network.client() as client:
        answer = await client.get("http://hop/untidy")
    assert answer.json() == {"ok": True}, "the answer was whole before the cleanup failed"
    assert stage.now() == 0.5
    assert "untidy" in repr(stage.errors)
    await assert_still_serving(stage)


async def test_failure_is_reported_and_answered_500_when_no_one_handled_it(
    stage: Stage, autojump_clock: Clock, capfd: pytest.CaptureFixture[str]
) -> None:
    stream = await stage.dial(get("/boom", b"connection: close\r\n"))
    assert status(await read_all(stream)) == 500
    await stream.aclose()
    assert [repr(error) for error in stage.errors] == ["ZeroDivisionError('boom')"]
    await assert_still_serving(stage)
    assert capfd.readouterr() == ("", "")


async def test_answer_is_cut_and_reported_when_its_body_fails(
    stage: Stage, autojump_clock: Clock, capfd: pytest.CaptureFixture[str]
) -> None:
    async def fails() -> Response:
        async def tell(send: trio.MemorySendChannel[bytes]) -> None:
            await send.send(b"half")
            raise ZeroDivisionError("torn")

        events = await current_request().lifetime.enter_async_context(produced(tell))
        return Response(Events(events), content_type="text/event-stream")

    stage.app.add_url_rule("/torn", view_func=fails)
    async with stage.network.client() as client:
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            await client.get("http://hop/torn")
    assert "torn" in repr(stage.errors)
    await assert_still_serving(stage)
    assert capfd.readouterr() == ("", "")


async def test_stream_is_not_cut_when_it_lasts_over_a_minute(
    stage: Stage, autojump_clock: Clock
) -> None:
    stream = await stage.dial(get("/stream?n=10&gap=20"))
    await read_until(stream, b"0\r\n\r\n")
    assert stage.ends == [("done", 200.0)]
    await stream.aclose()
    await assert_still_serving(stage)
