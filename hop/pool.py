"""The connections of an HTTP client, none of them ever lost: httpcore's pool, and what it forgets.

httpcore 1.0.9 loses two things when a call is cancelled at the wrong moment. A connection that was
opened and not used yet stays in the pool, open and for nobody, as long as the process lives; one
whose TLS handshake is under way is dropped unclosed. `LosslessPool` gives back the first,
`Closing` the second. Both hold behind a proxy too. Cleanup is shielded, and bounded. And where
httpcore asks each connection about each other one, for every call, this pool does not. A request's
head leaves together with its body, so that its server reads both at once.
"""

import ssl
from collections.abc import Iterable
from typing import Final

import httpcore
import httpx
import trio
from attrs import define, field, frozen
from httpcore._backends.trio import TrioStream

from contracts.limits import CLEANUP_MS
from hop.waiting import waiting

_CONNECTIONS_IDLE: Final = 100
_KEEP_IDLE_S: Final = 2.0  # Well under the 30 s after which our servers close an idle connection.
_IDLE_LOOKED_AT: Final = 2  # for each call's beginning and end
_TUNNEL: Final = b"CONNECT "  # a head that no body follows


def make_transport(
    *,
    trust: ssl.SSLContext | None = None,
    proxy_url: str = "",
    keep_idle_s: float | None = _KEEP_IDLE_S,
    backend: httpcore.AsyncNetworkBackend | None = None,
) -> httpx.AsyncHTTPTransport:
    """What carries an httpx client's calls. No cap on connections: admission is the cap (a capped
    pool of httpcore 1.0.9 jams when callers are cancelled while they wait for a place in it).

    `trust`: None is whom the system trusts. `proxy_url`: an http or https proxy that carries every
    call, to https by CONNECT, with the user and the password that stand in it. An idle connection
    is kept for `keep_idle_s` seconds, None: until its peer closes it; httpcore measures that with
    the real clock. `backend`: None is the system's sockets.
    """
    context = trust or httpx.create_ssl_context(trust_env=False)
    transport = httpx.AsyncHTTPTransport(verify=context, trust_env=False)
    proxy = _proxy(proxy_url, context) if proxy_url else None
    transport._pool = LosslessPool(
        ssl_context=context,
        proxy=proxy,
        max_connections=None,
        max_keepalive_connections=_CONNECTIONS_IDLE,
        keepalive_expiry=keep_idle_s,
        network_backend=Closing(backend or httpcore.TrioBackend()),
    )
    return transport


def trust_of(ca_file: str) -> ssl.SSLContext:
    """Trusts the authorities in a PEM file, and no others. Raises UnusableAuthorities."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise UnusableAuthorities("holds no certificates in PEM form") from None
    except OSError as error:
        raise UnusableAuthorities(error.strerror or type(error).__name__) from None
    except ValueError as error:  # a NUL in the name
        raise UnusableAuthorities(str(error)) from None
    if not context.cert_store_stats()["x509"]:
        raise UnusableAuthorities("holds no certificates in PEM form")
    return context


class UnusableAuthorities(Exception):
    """A file of authorities can not be used; the message says why."""


def _proxy(url: str, trust: ssl.SSLContext) -> httpcore.Proxy:
    read = httpx.Proxy(url)
    secured = read.url.scheme == "https"
    return httpcore.Proxy(str(read.url), read.raw_auth, ssl_context=trust if secured else None)


class LosslessPool(httpcore.AsyncConnectionPool):
    """A pool that closes a connection which a call left before it could use it."""

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """As httpcore's own."""
        try:
            return await super().handle_async_request(request)
        except BaseException:
            for connection in self._lost():
                self._connections.remove(connection)
                await _closed(connection)
            raise

    def _assign_requests_to_connections(self) -> list[httpcore.AsyncConnectionInterface]:
        """As httpcore's own where nothing is capped, without asking every connection about every
        other, and the system about every idle one, at each call's beginning and end.

        Calls take the first that is idle, so it is the last ones that grow old.
        """
        self._connections[:] = [c for c in self._connections if not c.is_closed()]
        idle = [c for c in self._connections if c.is_idle()]
        closing = idle[self._max_keepalive_connections :]
        kept = idle[: self._max_keepalive_connections]
        closing += [c for c in kept[-_IDLE_LOOKED_AT:] if c.has_expired()]
        free = [c for c in kept if c not in closing]
        for request in [r for r in self._requests if r.is_queued()]:
            origin = request.request.url.origin
            while (taken := _first_for(origin, free)) is not None:
                free.remove(taken)
                if not taken.has_expired():
                    break
                closing.append(taken)
            if taken is None:
                taken = self.create_connection(origin)
                self._connections.append(taken)
            request.assign_to_connection(taken)
        for connection in closing:
            self._connections.remove(connection)
        return closing

    def _lost(self) -> list[httpcore.AsyncConnectionInterface]:
        """Those that are neither at rest nor any call's."""
        held = {waiting.connection for waiting in self._requests}
        return [
            connection
            for connection in self._connections
            if connection not in held and not connection.is_idle() and not connection.is_closed()
        ]


def _first_for(
    origin: httpcore.Origin, connections: Iterable[httpcore.AsyncConnectionInterface]
) -> httpcore.AsyncConnectionInterface | None:
    return next((c for c in connections if c.can_handle_request(origin)), None)


@frozen
class Closing(httpcore.AsyncNetworkBackend):
    """A network whose streams are closed when their TLS handshake comes to nothing.

    What is done on it is a call's waiting; what httpx and httpcore do round it is its own work.
    """

    _network: httpcore.AsyncNetworkBackend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """As the network's own."""
        options = timeout, local_address, socket_options
        with waiting():
            return _Stream(await self._network.connect_tcp(host, port, *options))

    async def sleep(self, seconds: float) -> None:
        """As the network's own."""
        await self._network.sleep(seconds)


@define(eq=False)
class _Stream(httpcore.AsyncNetworkStream):
    _stream: httpcore.AsyncNetworkStream
    # Trio's own within it, where it is httpcore's.
    _trio: trio.abc.Stream | None = field(init=False)
    _rests: bool = field(default=True, init=False)  # what is written next begins a request
    _head: bytes = field(default=b"", init=False)  # written, and not sent yet

    @_trio.default
    def _inner(self) -> trio.abc.Stream | None:
        return self._stream._stream if isinstance(self._stream, TrioStream) else None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """As httpcore's own, without a clock where there is no time limit: a model server sends
        a piece for each token, and that clock would be a good part of what one costs to read."""
        self._rests = True
        with waiting():
            if self._trio is None or timeout is not None:
                return await self._stream.read(max_bytes, timeout)
            try:
                return bytes(await self._trio.receive_some(max_bytes))
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise httpcore.ReadError(error) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Likewise. The head waits for what is written next, were it nothing, to leave with it."""
        if self._rests and not buffer.startswith(_TUNNEL):
            self._rests = False
            self._head = buffer
            return
        buffer, self._head = self._head + buffer, b""
        if buffer:
            await self._send(buffer, timeout)

    async def _send(self, data: bytes, timeout: float | None) -> None:
        with waiting():
            if self._trio is None or timeout is not None:
                return await self._stream.write(data, timeout)
            try:
                return await self._trio.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise httpcore.WriteError(error) from error

    async def aclose(self) -> None:
        with waiting():
            await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            with waiting():
                secured = await self._stream.start_tls(ssl_context, server_hostname, timeout)
            return _Stream(secured)
        except BaseException:
            await _closed(self._stream)
            raise

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


async def _closed(held: httpcore.AsyncConnectionInterface | httpcore.AsyncNetworkStream) -> None:
    with trio.move_on_after(CLEANUP_MS / 1000, shield=True):
        await held.aclose()
