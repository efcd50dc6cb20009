"""HTTP/1.1 on one guarded connection: hypercorn's protocol, less what this project refuses.

Refused with a bare answer (no body, `connection: close`) and a close:
 - 400: bytes that are no HTTP/1.1 request, a version other than 1.0 and 1.1 (HTTP/2 by prior
   knowledge included), an upgrade to h2c or websocket, CONNECT, a target that is no path;
 - 431: a head over `h11_max_incomplete_size`, however it arrived;
 - 408: a head begun and not finished when the connection's idle time is over.
h11 chooses the status where it refuses itself (501 for an unknown transfer-encoding).

hypercorn's own server would answer h2c with 101 and speak HTTP/2, and would keep an idle timer's
task alive for the whole idle time after the client has left.
"""

import re
from collections.abc import Callable
from typing import cast

import h11
import trio
from h11._writers import ChunkedWriter
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState
from hypercorn.utils import parse_socket_addr

from hop.peer import GuardedStream

UPGRADES_REFUSED = frozenset({b"h2c", b"websocket"})
ABSOLUTE_FORM = re.compile(rb"https?://[^/?#]+(/.*)", re.IGNORECASE | re.DOTALL)
Address = tuple[str, int]

HEAD_FRAMING_BYTES = 4  # ": " and CRLF round each header


def origin_form(target: bytes) -> bytes | None:
    """The path and query a target asks for; None when it names none."""
    if target.startswith(b"/") or target == b"*":
        return target
    match = ABSOLUTE_FORM.fullmatch(target)
    return match.group(1) if match else None


def refusal(request: h11.Request, head_bytes: int) -> int | None:
    """The status that refuses this request before any app sees it; None when it is welcome."""
    size = sum(len(n) + len(v) + HEAD_FRAMING_BYTES for n, v in request.headers.raw_items())
    if len(request.target) + size > head_bytes:
        return 431
    offered = {
        token.strip().lower()
        for name, value in request.headers
        if name == b"upgrade"
        for token in value.split(b",")
    }
    if offered & UPGRADES_REFUSED or request.http_version not in {b"1.0", b"1.1"}:
        return 400
    if request.method == b"CONNECT" or origin_form(request.target) is None:
        return 400
    return None


class Http1Protocol(H11Protocol):
    """One connection's requests, one after another."""

    peer: GuardedStream
    linger_s: float
    on_refused: Callable[[int], None]

    @property
    def head_begun(self) -> bool:
        """Whether part of a request's head has arrived, and not all of it."""
        return self.connection.their_state is h11.IDLE and self.connection.trailing_data[0] != b""

    async def refuse_late_head(self) -> None:
        """Answer 408. The peer fell silent, so there is nothing to linger for."""
        self.on_refused(408)
        await super()._send_error_response(408)

    async def _check_protocol(self, event: h11.Request) -> None:
        """There is one protocol here; hypercorn would switch to HTTP/2."""

    async def _create_stream(self, request: h11.Request) -> None:
        status = refusal(request, self.config.h11_max_incomplete_size)
        if status is not None:
            await self._send_error_response(status)
            await self.send(Closed())
            return
        await super()._create_stream(
            h11.Request(
                method=request.method,
                target=origin_form(request.target) or b"/",
                headers=request.headers,
                http_version=request.http_version,
            )
        )

    async def _send_error_response(self, status_code: int) -> None:
        """Refuse, end the request that runs, and hear the peer out before closing."""
        self.on_refused(status_code)
        await super()._send_error_response(status_code)
        await self._close_stream()
        await self.peer.linger(self.linger_s)


class Http1Server(TCPServer):
    """hypercorn's server for one guarded connection. It ends when either side closes.

    The connection's idle time runs from its opening, and from the end of each answer, to the end of
    the next request's head.
    """

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        peer: GuardedStream,
        linger_s: float,
        on_refused: Callable[[int], None],
    ) -> None:
        super().__init__(
            app, config, context, {"peer": peer}, cast(trio.SSLStream[trio.SocketStream], peer)
        )
        self._peer = peer
        self._linger_s = linger_s
        self._on_refused = on_refused
        self._http1: Http1Protocol
        self._held: bytearray | None = None

    def hold(self) -> None:
        """Keep what is written from here on, until `let_go` or a chunk: it is sent in one piece."""
        if self._held is None:
            self._held = bytearray()

    async def let_go(self) -> None:
        """Send what was held."""
        held, self._held = self._held, None
        if held:
            await self.write(held)

    async def protocol_send(self, event: Event) -> None:
        """hypercorn's own, but for bytes."""
        if isinstance(event, RawData):
            if self._held is None:
                await self.write(event.data)
            else:
                self._held += event.data
        else:
            await self.let_go()
            await super().protocol_send(event)

    async def write(self, data: bytes | bytearray) -> None:
        """Send bytes. hypercorn waits a turn for its lock, which is free but when two answers meet;
        the peer shields its own writes."""
        try:
            self.send_lock.acquire_nowait()
        except trio.WouldBlock:
            await self.send_lock.acquire()
        try:
            await self._peer.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await self.protocol.handle(Closed())
        finally:
            self.send_lock.release()

    async def write_chunk(self, chunk: bytes) -> None:
        """Send a piece of an answer's body as `chunk_of` made it, behind what was held."""
        if self._held:
            self._held += chunk
            await self.let_go()
        else:
            await self.write(chunk)

    def chunk_of(self, body: bytes) -> bytes | None:
        """A piece of an answer's body as it goes on the wire; None where it does not go in chunks.

        What h11 would make of it, without the six calls on the way there.
        """
        http1 = self._http1.connection
        if not isinstance(http1, h11.Connection) or type(http1._writer) is not ChunkedWriter:
            return None
        return b"%x\r\n%b\r\n" % (len(body), body) if body else None

    async def run(self) -> None:
        try:
            async with TaskGroup() as tasks:
                self._task_group = tasks
                self._http1 = self._protocol(tasks)
                self.protocol = cast(ProtocolWrapper, self._http1)  # same two methods
                await self.idle_task.restart(tasks, self._idle_timeout)
                await self._read_data()
                await self.idle_task.stop()
        finally:
            await self._close()

    def _protocol(self, tasks: TaskGroup) -> Http1Protocol:
        client, server = _addresses(self._peer.stream)
        protocol = Http1Protocol(
            self.app,
            self.config,
            self.context,
            tasks,
            ConnectionState(self.state),
            False,  # no TLS
            client,
            server,
            self.protocol_send,
        )
        protocol.peer = self._peer
        protocol.linger_s = self._linger_s
        protocol.on_refused = self._on_refused
        return protocol

    async def _initiate_server_close(self) -> None:
        if self._http1.head_begun:
            await self._http1.refuse_late_head()
        await super()._initiate_server_close()


def _addresses(stream: trio.abc.Stream) -> tuple[Address | None, Address | None]:
    """The client's address and ours; unknown where there is no socket, or the client is gone."""
    if not isinstance(stream, trio.SocketStream):
        return None, None
    family = stream.socket.family
    try:
        return (
            parse_socket_addr(family, stream.socket.getpeername()),
            parse_socket_addr(family, stream.socket.getsockname()),
        )
    except OSError:
        return None, None
