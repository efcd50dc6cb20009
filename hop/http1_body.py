"""The bytes of an HTTP/1.1 response, read past httpx: all that has arrived at once, in one piece.

httpx and httpcore hand a body through five generators, a chunk at a time, and a model server sends
a chunk for each token. What they wrap is one h11 connection; here it is asked itself. Closing goes
their way, so that the pool takes back what can be kept. The names used are private and those of
httpx 0.28 and httpcore 1.0: whatever is built otherwise (a transport of a test's own) is None.
"""

from typing import Final

import h11
import httpcore
import httpx
from attrs import define, field
from httpcore._async.connection_pool import PoolByteStream
from httpcore._async.http11 import AsyncHTTP11Connection, HTTP11ConnectionByteStream
from httpx._client import BoundAsyncStream

# What reading can raise, in httpx's words.
_MAPPED: Final = {
    httpcore.ReadError: httpx.ReadError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
    httpcore.ReadTimeout: httpx.ReadTimeout,
}


@define
class Http1Body:
    """One body on its way in."""

    _connection: AsyncHTTP11Connection
    _is_over: bool = field(default=False, init=False)
    _broken: h11.RemoteProtocolError | None = field(default=None, init=False)

    @classmethod
    def of(cls, response: httpx.Response) -> "Http1Body | None":
        """The body of a response whose head was read; None where it is not h11's."""
        stream: object = response.stream
        if isinstance(stream, BoundAsyncStream):
            stream = stream._stream
        stream = getattr(stream, "_httpcore_stream", None)
        inner = stream._stream if isinstance(stream, PoolByteStream) else None
        if not isinstance(inner, HTTP11ConnectionByteStream):
            return None
        return cls(inner._connection)

    async def next(self) -> bytes | None:
        """All that has arrived, waiting for it; None at the end. Raises httpx's exceptions."""
        while not self._is_over:
            if data := self._arrived():
                return data
            if not self._is_over:
                await self._read()
        return None

    def _arrived(self) -> bytes:
        """What h11 has of the body. What breaks it is told when what came before was taken."""
        if self._broken is not None:
            raise httpx.RemoteProtocolError(str(self._broken)) from self._broken
        pieces = []
        try:
            while isinstance(event := self._connection._h11_state.next_event(), h11.Data):
                pieces.append(event.data)
            self._is_over = event is not h11.NEED_DATA
        except h11.RemoteProtocolError as error:
            if not pieces:
                raise httpx.RemoteProtocolError(str(error)) from error
            self._broken = error
        return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)

    async def _read(self) -> None:
        connection = self._connection
        try:
            data = await connection._network_stream.read(connection.READ_NUM_BYTES, None)
        except tuple(_MAPPED) as error:
            raise _MAPPED[type(error)](str(error)) from error
        connection._h11_state.receive_data(data)
