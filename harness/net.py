"""A network in memory: bounded byte streams between named hosts, for servers and httpx alike.

    MemoryNetwork(nursery)
        .listener(host) -> MemoryListener       a trio listener: `hop.serve.serve(app, [listener])`;
                                                with backlog=0 a dial waits for its accept
        .listen(host, handler) -> None          serves `handler(stream)` in the network's nursery
        .connect(host) -> MemoryStream          a raw stream, for tests that speak bytes
        .client(**kwargs) -> httpx.AsyncClient  an httpx client whose only network this is
        .transport(trust) -> httpx.AsyncHTTPTransport  the same, for a client that others build;
                                                `trust` is whom it trusts where it speaks TLS
        .links                                  the connections still open at either end
    serve_memory(network, host, app, drain=…)   serves a `HopApp` here as sockets would

Whoever sets `way` decides what befalls each new connection, and may watch it (`Way`). Streams keep
TCP's promises as `harness.memory_stream` tells them. A host that nobody listens on refuses. Ports
are ignored, bytes take no time unless a way says so, and clients have no address. TLS is the real
one, at both ends: a server's end is its own to secure.
"""

import errno
import os
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial

import attrs
import httpcore
import httpx
import trio

from harness.memory_stream import WIRE_BYTES, Arrives, End, MemoryStream, Tap, memory_pair
from hop.lifetime import Drain, HopApp
from hop.pool import make_transport
from hop.serve import Limits, serve

BACKLOG = 128  # connections made and not yet accepted; the next connect waits


@attrs.frozen(eq=False)
class Link:
    """One connection made over the network: who was dialled, and both of its ends."""

    host: str
    client: MemoryStream
    server: MemoryStream


@attrs.define(eq=False, repr=False)
class MemoryListener(trio.abc.Listener[MemoryStream]):
    """Accepts what is dialled to `host`; closing it refuses later dials and resets waiting ones."""

    host: str
    _network: "MemoryNetwork"
    _send: trio.MemorySendChannel[MemoryStream]
    _receive: trio.MemoryReceiveChannel[MemoryStream]

    async def accept(self) -> MemoryStream:
        return await self._receive.receive()

    async def aclose(self) -> None:
        self._network.forget(self)
        self._send.close()
        with suppress(trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
            while True:
                self._receive.receive_nowait().reset()
        self._receive.close()
        await trio.lowlevel.checkpoint()

    async def dial(self, stream: MemoryStream) -> None:
        await self._send.send(stream)


@attrs.frozen
class Way:
    """What befalls one new connection. The taps see what the dialling end sends, and the other.

    `instead` is who takes it in place of the listener; one that is `lost` is never made.
    """

    tap_up: Tap | None = None
    tap_down: Tap | None = None
    instead: Callable[[MemoryStream], Awaitable[object]] | None = None
    lost: bool = False
    capacity: int = WIRE_BYTES
    arrives: Arrives | None = None


Sever = Callable[[End], None]


def clear_way(host: str, sever: Sever) -> Way:
    """Nothing befalls it."""
    return Way()


def refused(host: str) -> ConnectionRefusedError:
    """What the kernel says where nobody listens."""
    return ConnectionRefusedError(errno.ECONNREFUSED, f"nobody listens on {host}")


@attrs.define(eq=False, repr=False)
class MemoryNetwork(httpcore.AsyncNetworkBackend):
    """Hosts by name, and the connections between them."""

    nursery: trio.Nursery
    # Decides for each dial; may refuse it. The function it is given breaks the connection.
    way: Callable[[str, Sever], Way] = clear_way
    _listeners: dict[str, MemoryListener] = attrs.field(factory=dict, init=False)
    _links: list[Link] = attrs.field(factory=list, init=False)

    @property
    def links(self) -> list[Link]:
        self._links = [k for k in self._links if not (k.client.closed and k.server.closed)]
        return list(self._links)

    def listener(self, host: str, backlog: int = BACKLOG) -> MemoryListener:
        """Whoever accepts what is dialled to `host`; so many connections may wait for it."""
        if host in self._listeners:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), host)
        send, receive = trio.open_memory_channel[MemoryStream](backlog)
        self._listeners[host] = MemoryListener(host, self, send, receive)
        return self._listeners[host]

    def listen(self, host: str, handler: Callable[[MemoryStream], Awaitable[object]]) -> None:
        """Serve `handler` at `host`, from this moment on, in the network's own nursery."""
        listener = self.listener(host)
        self.nursery.start_soon(partial(trio.serve_listeners, handler, [listener]))

    def forget(self, listener: MemoryListener) -> None:
        if self._listeners.get(listener.host) is listener:
            del self._listeners[listener.host]

    async def connect(self, host: str) -> MemoryStream:
        """Dial `host`; ConnectionRefusedError when nobody listens there."""
        await trio.lowlevel.checkpoint()
        ends: list[MemoryStream] = []

        def sever(end: End) -> None:
            for one in ends[:1]:  # none where nobody listened
                one.sever(end)

        way = self.way(host, sever)
        if way.lost:
            await trio.sleep_forever()
        listener = self._listeners.get(host)
        if listener is None and way.instead is None:
            raise refused(host)
        ends[:] = client, server = memory_pair(way.tap_up, way.tap_down, way.capacity, way.arrives)
        self._links = [*self.links, Link(host, client, server)]
        if way.instead is not None or listener is None:
            assert way.instead is not None
            self.nursery.start_soon(way.instead, server)
            return client
        try:
            await listener.dial(server)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            server.reset()
            raise refused(host) from None
        except BaseException:
            client.reset()
            server.reset()
            raise
        return client

    async def connect_tcp(
        self,
        host: str,
        port: int,  # noqa: ARG002 - httpcore's signature
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002
        socket_options: object = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        try:
            with _within(timeout):
                stream = await self.connect(host)
                return _HttpcoreStream(stream, stream)
        except trio.TooSlowError as error:
            raise httpcore.ConnectTimeout from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    def client(self, **kwargs: object) -> httpx.AsyncClient:
        """An httpx client on this network; the keywords are `httpx.AsyncClient`'s."""
        return httpx.AsyncClient(transport=self.transport(), trust_env=False, **kwargs)  # type: ignore[arg-type]  # keywords pass through unread

    def transport(self, trust: ssl.SSLContext | None = None) -> httpx.AsyncHTTPTransport:
        """What puts an httpx client on this network. Without `trust`, it trusts nobody.

        No cap on connections and no expiry: httpcore measures expiry with the real clock.
        """
        nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return make_transport(trust=trust or nobody, keep_idle_s=None, backend=self)


def _within(timeout: float | None) -> AbstractContextManager[object]:
    """Without need no scope: it costs a world more than what is read in it."""
    return nullcontext() if timeout is None else trio.fail_after(timeout)


@attrs.frozen(eq=False)
class _HttpcoreStream(httpcore.AsyncNetworkStream):
    """A memory stream as httpcore wants it, itself or with TLS over it."""

    _stream: trio.abc.Stream
    _carrier: MemoryStream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            with _within(timeout):
                return bytes(await self._stream.receive_some(max_bytes))
        except trio.TooSlowError as error:
            raise httpcore.ReadTimeout from error
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.ReadError from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return  # httpcore's own backends let this pass on a broken stream too
        try:
            with _within(timeout):
                await self._stream.send_all(buffer)
        except trio.TooSlowError as error:
            raise httpcore.WriteTimeout from error
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.WriteError from error

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """As httpcore's own backend for trio does it."""
        secured = trio.SSLStream(
            self._carrier, ssl_context, server_hostname=server_hostname, https_compatible=True
        )
        try:
            with _within(timeout):
                await secured.do_handshake()
        except trio.TooSlowError as error:
            await self.aclose()
            raise httpcore.ConnectTimeout from error
        except trio.BrokenResourceError as error:
            await self.aclose()
            raise httpcore.ConnectError from error
        return _HttpcoreStream(secured, self._carrier)

    def get_extra_info(self, info: str) -> object:
        return self._carrier.is_readable if info == "is_readable" else None


def serve_memory(
    network: MemoryNetwork,
    host: str,
    app: HopApp,
    *,
    drain: Drain | None = None,
    limits: Limits | None = None,
    stop: Callable[[], Awaitable[object]] = trio.sleep_forever,
) -> None:
    """Serve `app` at `host` from this moment on, in the network's nursery, as `serve` would."""
    listener = network.listener(host)
    run = partial(serve, drain=drain or Drain(), limits=limits or Limits(), stop=stop)
    network.nursery.start_soon(run, app, [listener])
