"""The fake over a raw trio stream, for tests that make their own networks.

The only module here that imports trio; nothing else here imports this one.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import trio
from attrs import frozen

from fakes.openai_compat_server.connection import Fake, serve_stream
from fakes.openai_compat_server.peer import THIS_MACHINE, socket_peer
from fakes.openai_compat_server.socket_wire import RESET_ON_CLOSE
from fakes.openai_compat_server.stage import Resettable

_RECEIVE_BYTES = 64 * 1024


async def serve_trio_stream(stream: trio.abc.Stream, fake: Fake) -> None:
    """`serve_stream` for a trio stream: a memory pair's half, a socket, TLS."""
    await serve_stream(TrioWire(stream), fake)


@frozen
class TrioWire:
    """A trio stream as a connection that plans are performed over."""

    stream: trio.abc.Stream

    @property
    def peer(self) -> str:
        """The host at the other end; this one's where there is no socket."""
        stream = _innermost(self.stream)
        return socket_peer(stream.socket) if isinstance(stream, trio.SocketStream) else THIS_MACHINE

    async def receive(self) -> bytes:
        with _translated():
            data = await self.stream.receive_some(_RECEIVE_BYTES)
        if not data:
            raise anyio.EndOfStream
        return bytes(data)

    async def send(self, item: bytes, /) -> None:
        with _translated():
            await self.stream.send_all(item)

    async def send_eof(self) -> None:
        """Close our half where the stream has halves; elsewhere closing it all must do."""
        if isinstance(self.stream, trio.abc.HalfCloseableStream):
            with _translated():
                await self.stream.send_eof()

    async def aclose(self) -> None:
        await self.stream.aclose()

    def reset(self) -> None:
        """RST, where the stream can; a socket is reset by being closed with nothing to linger."""
        if isinstance(self.stream, Resettable):
            self.stream.reset()
        elif isinstance(self.stream, trio.SocketStream):
            self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self.stream.socket.close()


def _innermost(stream: object) -> object:
    """What carries the bytes in the end, beneath TLS and beneath two halves made one."""
    while True:
        match stream:
            case trio.SSLStream():
                stream = stream.transport_stream
            case trio.StapledStream():
                stream = stream.receive_stream
            case _:
                return stream


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except trio.BrokenResourceError as fault:
        raise anyio.BrokenResourceError from fault
    except trio.ClosedResourceError as fault:
        raise anyio.ClosedResourceError from fault
