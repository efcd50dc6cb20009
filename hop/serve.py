"""Serving a `HopApp`: hypercorn's HTTP/1.1 per guarded connection, and the drain (CONTRACT §6).

    Limits(stall_s=10, idle_s=30, head_bytes=16384, notice_s=.5, drain_s=3, flush_s=1, …)
    await open_listeners(host, port) -> list[SocketListener]     or CannotListen, an OSError
    await serve(app, listeners, drain=…, limits=…, stop=…)       returns when all is drained
    await serve_connection(app, stream, drain=…, limits=…)       one connection, any stream
    and, from hop.lifetime: HopApp, Drain, current_request

What a client can rest on, exactly on a virtual clock:
 - It leaves (closes, half-closes, resets): its request is cancelled in the same instant, in any
   phase and whatever bytes are waiting.
 - It stops reading: dropped `stall_s` after the write that blocked.
 - It sends no request, or only part of a head: closed after `idle_s`, counted from the connection's
   opening or the end of the last answer.
 - Its whole answer is received only when the request's lifetime is over: what it held is free.
 - An answer given before its body has arrived is sent at once; the rest of the body is thrown away
   for `linger_s` at most, and the connection lives on if it ended by then.

Draining, t counted from `stop()` returning: at 0 `drain.draining` turns true (the app refuses new
calls; every answer says `connection: close`); at `notice_s` listeners and idle connections close;
at `drain_s` the `drain.work()` scopes are cancelled; at `drain_s + flush_s` every connection still
open is cut. `serve` returns as soon as none is left. A failure in one connection goes to
`app.on_error` and ends that connection only.
"""

import errno
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import lru_cache, partial

import attrs
import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import (
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    HTTPResponseBodyEvent,
    Scope,
)

from contracts import limits as contract
from hop.http1 import Http1Server
from hop.lifetime import Drain, HopApp, HopRequest, current_request
from hop.peer import GuardedStream

__all__ = [
    "CannotListen",
    "Drain",
    "HopApp",
    "HopRequest",
    "Limits",
    "current_request",
    "open_listeners",
    "serve",
    "serve_connection",
]

BACKLOG = 1024
SEND_BUFFER_BYTES = 16 * 1024  # the kernel's default swallows 148 KB before a stall shows
KEPT_BYTES = 16 * 1024  # of an answer's end: small enough for any socket to take without blocking
KEEP_ALIVE_REQUESTS = 10_000


@attrs.frozen
class Limits:
    """The clocks and caps of serving; the module's page says what each begins and ends."""

    stall_s: float = contract.CLIENT_STALL_TIMEOUT_MS / 1000
    idle_s: float = 30.0
    head_bytes: int = 16 * 1024
    notice_s: float = contract.DRAIN_NOTICE_MS / 1000
    drain_s: float = contract.DRAIN_TIMEOUT_MS / 1000
    flush_s: float = contract.DRAIN_FLUSH_MS / 1000
    linger_s: float = 1.0
    unread_s: float = 1.0
    unread_bytes: int = 64 * 1024


class CannotListen(OSError):
    """The address cannot be served; its text is one line for the operator."""


async def open_listeners(host: str, port: int) -> list[trio.SocketListener]:
    """Listen on `host`, with send buffers small enough that a client who stops reading shows."""
    try:
        listeners = await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        why = "the port is in use" if in_use else (error.strerror or str(error)).lower()
        raise CannotListen(f"cannot listen on {host}:{port}: {why}") from error
    for listener in listeners:  # what is accepted inherits it
        listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    return listeners


async def serve(
    app: HopApp,
    listeners: Sequence[trio.abc.Listener[trio.abc.HalfCloseableStream]],
    *,
    drain: Drain,
    limits: Limits,
    stop: Callable[[], Awaitable[object]],
) -> None:
    """Serve until `stop()` returns, then drain and close; returns when no connection is left."""
    handler = partial(serve_connection, app, drain=drain, limits=limits)
    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as accepting:
            accept = partial(
                trio.serve_listeners, handler, list(listeners), handler_nursery=connections
            )
            accepting.start_soon(accept)
            await stop()
            asked = trio.current_time()
            drain.begin(asked + limits.drain_s)
            await trio.sleep(min(limits.notice_s, limits.drain_s))
            accepting.cancel_scope.cancel()
        await drain.idle_must_go.set()
        connections.cancel_scope.deadline = asked + limits.drain_s + limits.flush_s


async def serve_connection(
    app: HopApp, stream: trio.abc.HalfCloseableStream, *, drain: Drain, limits: Limits
) -> None:
    """Carry one connection to its end and close it. What fails in it goes to `app.on_error`."""
    try:
        await _Connection(app, stream, drain, limits).run()
    except* Exception as errors:
        app.on_error(errors)
    finally:
        await trio.aclose_forcefully(stream)


class _Connection:
    """One connection: its guarded stream, hypercorn's server on it, and the calls it carries."""

    def __init__(
        self, app: HopApp, stream: trio.abc.HalfCloseableStream, drain: Drain, limits: Limits
    ) -> None:
        self.app, self.drain, self.limits = app, drain, limits
        self.peer = GuardedStream(
            stream,
            stall_s=limits.stall_s,
            unread_s=limits.unread_s,
            unread_bytes=limits.unread_bytes,
        )
        self.scope = trio.CancelScope()
        self.server: Http1Server
        self.calls = 0  # two for a moment, when a pipelined request follows an answer

    async def run(self) -> None:
        context = WorkerContext(max_requests=None)
        context.terminated = self.drain.idle_must_go
        config = _hypercorn_config(self.limits)
        server = self.server = Http1Server(
            self._call, config, context, self.peer, self.limits.linger_s, self.app.on_unserved
        )
        with self.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch)
                await server.run()
                nursery.cancel_scope.cancel()

    async def _watch(self) -> None:
        """Pump, and end the connection when the peer is gone.

        A peer that half-closed with no call running may have left an unparsable request behind:
        hypercorn gets `linger_s` to say so.
        """
        try:
            await self.peer.pump()
            if self.peer.half_closed and not self.calls:
                await trio.sleep(self.limits.linger_s)
            self.scope.cancel()
        finally:
            self.peer.abandon()  # hypercorn shields its writes: a cancelled one must be let go

    async def _call(
        self,
        scope: Scope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        sync_spawn: object,  # noqa: ARG002 - hypercorn's bridges to threads,
        call_soon: object,  # noqa: ARG002 - for WSGI apps
    ) -> None:
        """One request through the app: hypercorn's `AppWrapper`."""
        self.calls += 1
        try:
            if self.peer.gone:
                self.app.on_unserved(None)
            await self._stop_if_gone()
            answer = _Answer(receive, partial(self._send, send), self.drain)
            try:
                await self.app(scope, answer.receive, answer.send)
            except* Exception as errors:
                self.app.on_error(errors)
            await answer.finish(self.limits.linger_s)
        finally:
            self.calls -= 1

    async def _send(self, send: ASGISendCallable, message: ASGISendEvent) -> None:
        """Send a message in one write, an answer's head with what follows it."""
        chunk = None
        if message["type"] == "http.response.body" and message["more_body"]:
            chunk = self.server.chunk_of(message["body"])
        if chunk is not None:
            await self.server.write_chunk(chunk)
        else:
            self.server.hold()
            await send(message)
            if message["type"] != "http.response.start":
                await self.server.let_go()
        await self._stop_if_gone()

    async def _stop_if_gone(self) -> None:
        """Be cancelled here when the peer is gone: hypercorn hides that a write has failed."""
        if self.peer.gone:
            self.scope.cancel()
            await trio.lowlevel.checkpoint_if_cancelled()


@attrs.define(eq=False)
class _Answer:
    """One answer's messages on their way to hypercorn, its end kept back until the app returned.

    Sent by the app, the last message would be cut off by Quart, which cancels itself in the middle
    of it; the connection would then never be idle again. Kept back, it is sent outside of Quart,
    and nobody sees the end of an answer whose request still holds something. With a content-length
    the end is the last piece of what it announces.
    """

    _receive: ASGIReceiveCallable
    _send: ASGISendCallable
    _drain: Drain
    _kept: list[ASGISendEvent] = attrs.field(factory=list, init=False)
    _due_bytes: int | None = attrs.field(default=None, init=False)
    _whole: bool = attrs.field(default=False, init=False)
    _asking: bool = attrs.field(default=True, init=False)  # the request's body may still arrive

    async def receive(self) -> ASGIReceiveEvent:
        message = await self._receive()
        self._asking = message["type"] == "http.request" and message["more_body"]
        return message

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start":
            self._due_bytes = _content_length(message["headers"])
            if self._drain.draining:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
        elif message["type"] == "http.response.body":
            if self._due_bytes is not None:
                self._due_bytes -= len(message["body"])
            self._whole = not message["more_body"]
            if self._whole or self._due_bytes == 0:
                self._kept.append(await self._without_bulk(message))
                return
        await self._send(message)

    async def _without_bulk(self, last: HTTPResponseBodyEvent) -> HTTPResponseBodyEvent:
        """Send all but the last piece: whether the client takes it is the request's affair."""
        bulk, rest = last["body"][:-KEPT_BYTES], last["body"][-KEPT_BYTES:]
        if bulk:
            await self._send({**last, "body": bulk, "more_body": True})
        return {**last, "body": rest}

    async def finish(self, linger_s: float) -> None:
        """Send what was kept; nothing when the app never came to its end, so that it shows."""
        if not self._whole:
            return
        for message in self._kept[:-1]:
            await self._send(message)
        with trio.move_on_after(linger_s):
            while self._asking:
                await self.receive()
        await self._send(self._kept[-1])


def _content_length(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    for name, value in headers:
        if name.lower() == b"content-length":
            return int(value)
    return None


@lru_cache
def _hypercorn_config(limits: Limits) -> Config:
    """hypercorn's settings: our clocks, and no log of its own."""
    config = Config()
    config.accesslog = None
    config.errorlog = None
    config.include_server_header = False
    config.h11_max_incomplete_size = limits.head_bytes
    config.keep_alive_timeout = limits.idle_s
    config.keep_alive_max_requests = KEEP_ALIVE_REQUESTS
    return config
