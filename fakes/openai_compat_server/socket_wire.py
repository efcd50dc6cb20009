"""A connection over a socket of the system's own, which anyio's streams do not let be reset.

The socket is non-blocking, and this is its only user. Raises what anyio's streams raise.
"""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import anyio
import anyio.lowlevel
from attrs import define, field

from fakes.openai_compat_server.peer import socket_peer

# SO_LINGER, on and of no seconds: closing then sends RST, and drops what was not sent yet.
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_RECEIVE_BYTES: Final = 64 * 1024


@define
class SocketWire:
    """One accepted connection."""

    _socket: socket.socket
    _closed: bool = field(default=False, init=False)

    @property
    def peer(self) -> str:
        """The host at the other end; empty where the connection is lost."""
        return socket_peer(self._socket)

    async def receive(self) -> bytes:
        if self._closed:
            raise anyio.ClosedResourceError
        data = b""
        with self._translated():
            while True:
                await anyio.wait_readable(self._socket)
                with suppress(BlockingIOError):
                    data = self._socket.recv(_RECEIVE_BYTES)
                    break
        if not data:
            raise anyio.EndOfStream
        return data

    async def send(self, item: bytes, /) -> None:
        await anyio.lowlevel.checkpoint()
        left = memoryview(item)
        with self._translated():
            while left:
                try:
                    left = left[self._socket.send(left) :]
                except BlockingIOError:
                    await anyio.wait_writable(self._socket)

    async def send_eof(self) -> None:
        await anyio.lowlevel.checkpoint()
        with self._translated():
            self._socket.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        self._close()
        await anyio.lowlevel.checkpoint()

    def reset(self) -> None:
        if not self._closed:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self._close()

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            anyio.notify_closing(self._socket)
            self._socket.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            error = anyio.ClosedResourceError if self._closed else anyio.BrokenResourceError
            raise error from fault
