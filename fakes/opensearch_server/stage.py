"""The server over a trio stream: its engine, what befalls its answers, and a journal.

server = FakeOpenSearch()
await server.serve(stream)          one connection, to its end
server.befall("_search", FAULTS["429"], times=2)
server.journal                      each request, and how it ended: answered, or left
"""

import json
import struct
from contextlib import suppress
from socket import SO_LINGER, SOL_SOCKET
from typing import Final

import trio
from attrs import define, field

from fakes.openai_compat_server.http_request import HttpRequest, RequestReader
from fakes.opensearch_server.engine import Engine
from fakes.opensearch_server.faults import Fault, busy_for_every, http
from fakes.opensearch_server.query import Json

_BODY_BYTES_MAX: Final = 64 * 1024 * 1024
_RECEIVE_BYTES: Final = 64 * 1024


@define
class Entry:
    """One request, and what became of it."""

    line: str
    headers: dict[str, str]
    ended: str = "running"  # then: answered, broken (by us), left (by the client)


@define
class _Ahead:
    what: str
    fault: Fault
    times: int


@define
class FakeOpenSearch:
    """A server that answers, or fails as it was told to. `busy_every`: of a bulk's records."""

    engine: Engine = field(factory=Engine)
    journal: list[Entry] = field(factory=list)
    busy_every: int = 0
    _ahead: list[_Ahead] = field(factory=list)

    def befall(self, what: str, fault: Fault, times: int = 1) -> None:
        """The next requests whose target holds `what` end as the fault says."""
        self._ahead.append(_Ahead(what, fault, times))

    async def serve(self, stream: trio.abc.Stream) -> None:
        """One connection, to its end."""
        reader = RequestReader(_BODY_BYTES_MAX)
        try:
            async with stream:
                while (request := await _next(reader, stream)) is not None:
                    entry = Entry(request.line, dict(request.headers))
                    self.journal.append(entry)
                    if not await self._answer(stream, request, entry):
                        return
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async def _answer(self, stream: trio.abc.Stream, request: HttpRequest, entry: Entry) -> bool:
        """Whether the connection goes on."""
        status, told = self._told(request)
        fault = self._fault(request)
        if fault is None:
            await stream.send_all(http(status, json.dumps(told).encode()))
            entry.ended = "answered"
            return True
        entry.ended = "left"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_left, stream, nursery.cancel_scope)
            with suppress(trio.BrokenResourceError):
                for part in fault.wire(status, told):
                    if isinstance(part, bytes):
                        await stream.send_all(part)
                    else:
                        await trio.sleep(part)
                entry.ended = "broken"
            nursery.cancel_scope.cancel()
        if fault.resets:
            _reset(stream)
        return False

    def _told(self, request: HttpRequest) -> tuple[int, Json]:
        every, self.busy_every = (
            self.busy_every,
            0 if "_bulk" in request.target else self.busy_every,
        )
        if every and "_bulk" in request.target:
            return busy_for_every(self.engine, request.target, request.body, every)
        return self.engine.answer(request.method, request.target, request.body)

    def _fault(self, request: HttpRequest) -> Fault | None:
        for ahead in self._ahead:
            if ahead.what in request.target and ahead.times:
                ahead.times -= 1
                return ahead.fault
        return None


async def _next(reader: RequestReader, stream: trio.abc.Stream) -> HttpRequest | None:
    while (request := reader.next_request()) is None:
        data = await stream.receive_some(_RECEIVE_BYTES)
        if not data:
            return None
        reader.feed(bytes(data))
    return request


async def _until_left(stream: trio.abc.Stream, scope: trio.CancelScope) -> None:
    """The client asks for nothing more while it waits, so anything that comes is its leaving."""
    with suppress(trio.BrokenResourceError):
        await stream.receive_some(1)
    scope.cancel()


def _reset(stream: trio.abc.Stream) -> None:
    """Make the close that follows an RST, where the stream is a socket or can do so itself."""
    if isinstance(stream, trio.SocketStream):
        stream.socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    elif (reset := getattr(stream, "reset", None)) is not None:
        reset()
