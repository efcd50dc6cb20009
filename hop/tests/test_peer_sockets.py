"""The guarded stream on real sockets, where most writes are taken at once."""

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from hop.peer import GuardedStream

Pair = tuple[GuardedStream, trio.SocketStream]
MANY = bytes(range(256)) * 8 * 1024


@asynccontextmanager
async def open_pair(stall_s: float) -> AsyncIterator[Pair]:
    """A guarded end with a small send buffer, and the peer's."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
        far = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        near = await listener.accept()
    async with near, far:
        yield GuardedStream(near, stall_s=stall_s, unread_s=1, unread_bytes=1000), far


async def test_what_the_socket_takes_in_parts_arrives_whole() -> None:
    received = bytearray()

    async def read(far: trio.SocketStream) -> None:
        async for data in far:
            received.extend(data)
            await trio.sleep(0.001)

    async with open_pair(30) as (peer, far), trio.open_nursery() as nursery:
        nursery.start_soon(read, far)
        for start in range(0, len(MANY), 50_000):
            await peer.send_all(MANY[start : start + 50_000])
        await peer.send_all(b"")
        await peer.send_eof()
    assert received == MANY


async def test_a_peer_that_does_not_read_is_dropped() -> None:
    async with open_pair(0.2) as (peer, _far):
        with pytest.raises(trio.BrokenResourceError):
            while True:
                await peer.send_all(MANY)
        assert peer.stalled
        assert not peer.left


async def test_a_peer_that_reset_has_left() -> None:
    async with open_pair(30) as (peer, far):
        far.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await far.aclose()
        with pytest.raises(trio.BrokenResourceError):
            while True:
                await peer.send_all(b"x")
        assert (peer.left, peer.stalled) == (True, False)


async def test_nothing_is_written_once_it_is_closed_or_let_go() -> None:
    async with open_pair(30) as (peer, far):
        peer.abandon()
        with pytest.raises(trio.BrokenResourceError):
            await peer.send_all(b"late")
        assert await received_at_end(peer, far) == b""
    async with open_pair(30) as (peer, _far):
        await peer.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await peer.send_all(b"late")


async def received_at_end(peer: GuardedStream, far: trio.SocketStream) -> bytes:
    await peer.send_eof()
    return bytes(await far.receive_some())
