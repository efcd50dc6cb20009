"""The guarded stream by itself, and one connection served without a listener."""

import pytest
import trio
import trio.testing

from harness.memory_stream import WIRE_BYTES, memory_pair
from hop.peer import GuardedStream
from hop.serve import Drain, HopApp, Limits, serve_connection

Clock = trio.testing.MockClock


def guarded(stream: trio.abc.HalfCloseableStream) -> GuardedStream:
    return GuardedStream(stream, stall_s=2, unread_s=1, unread_bytes=1000)


async def test_peer_has_left_when_a_write_shows_it_first() -> None:
    near, far = memory_pair()
    peer = guarded(near)
    await far.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await peer.send_all(b"x")
    assert (peer.left, peer.stalled, peer.gone) == (True, False, True)


async def test_blocked_write_is_let_go_at_once_when_abandoned(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    near, _far = memory_pair()
    peer = guarded(near)
    failed = trio.Event()

    async def write() -> None:
        with trio.CancelScope(shield=True), pytest.raises(trio.BrokenResourceError):
            await peer.send_all(b"x" * 2 * WIRE_BYTES)
        failed.set()

    nursery.start_soon(write)
    await trio.sleep(1.5)
    peer.abandon()
    await failed.wait()
    assert trio.current_time() == pytest.approx(1.5)
    assert not peer.stalled
    with pytest.raises(trio.BrokenResourceError):
        await peer.send_all(b"later")


async def test_bytes_are_read_in_order_when_they_came_ahead(nursery: trio.Nursery) -> None:
    near, far = memory_pair()
    peer = guarded(near)
    nursery.start_soon(peer.pump)
    await far.send_all(b"abc")
    await far.send_all(b"def")
    await trio.testing.wait_all_tasks_blocked()
    assert await peer.receive_some(2) == b"ab"
    assert await peer.receive_some() == b"cdef"
    await far.send_eof()
    assert await peer.receive_some() == b""
    assert peer.left


async def test_stream_is_closed_when_serving_it_is_cancelled(autojump_clock: Clock) -> None:
    app = HopApp("hop", on_error=print, max_body_bytes=1)
    near, far = memory_pair()
    with trio.move_on_after(1):
        await serve_connection(app, near, drain=Drain(), limits=Limits())
    assert near.closed
    assert await far.receive_some() == b""
