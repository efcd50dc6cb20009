"""The bytes of one HTTP exchange over httpx, ended cleanly however it is left.

httpx and httpcore nest generators; one left suspended is the garbage collector's to close, which
says so in a ResourceWarning. `RequestBytes` is a body without one; `ResponseBytes` reads its
own generators to an end, or cuts them, before it closes. Exceptions are httpx's own: whoever knows
what they mean maps them.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from functools import lru_cache

import httpx
import trio
from attrs import define, field

from contracts.limits import CLEANUP_MS
from hop.http1_body import Http1Body

# What a kept connection raises when its peer had closed it before this request was sent.
DEAD_CONNECTION = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)


_url = lru_cache(maxsize=256)(httpx.URL)  # most calls go to the same few
_HEADERS = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "bsl"}


class HopClient(httpx.AsyncClient):
    """httpx's client, straight to its transport. What it does besides, no hop may do: keep cookies
    for the next caller, follow redirects, authenticate, log urls; and it is a tenth of a call."""

    async def send(
        self, request: httpx.Request, *, stream: bool = False, **_: object
    ) -> httpx.Response:
        """As httpx's own."""
        response = await self._transport.handle_async_request(request)
        response.request = request
        if not stream:
            try:
                await response.aread()
            finally:
                await response.aclose()
        return response


def request_of(
    method: str,
    url: str,
    headers: Mapping[str, str],
    content: bytes | None = None,
    *,
    connect_timeout_s: float | None = None,
) -> httpx.Request:
    """A request with these headers and those of every hop. It has no time limit but `connect`."""
    timeout = {"connect": connect_timeout_s, "read": None, "write": None, "pool": None}
    return httpx.Request(
        method,
        _url(url),
        headers={**_HEADERS, **headers},
        content=content,
        extensions={"timeout": timeout},
    )


@define
class RequestBytes(httpx.AsyncByteStream):
    """A request's body."""

    _data: bytes

    def __aiter__(self) -> "RequestBytes":
        return self

    async def __anext__(self) -> bytes:
        data, self._data = self._data, b""
        if not data:
            raise StopAsyncIteration
        return data


@define
class ResponseBytes:
    """A response's body, as it comes: all that has arrived at once, in one piece."""

    response: httpx.Response
    _http1: "Http1Body | None" = field(init=False)
    _chunks: AsyncIterator[bytes] | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._http1 = Http1Body.of(self.response)

    async def next(self) -> bytes | None:
        """The next bytes; None at the end. Raises httpx's exceptions."""
        if self._http1 is not None:
            data = await self._http1.next()
            if data is None:
                await self.response.aclose()
            return data
        if self._chunks is None:
            self._chunks = self.response.aiter_raw()
        return await anext(self._chunks, None)

    async def aclose(self, linger_s: float) -> None:
        """Read on to an end that is near, so that the connection can be kept, else cut it.

        Bounded, and shielded: reading on in a cancelled scope is what ends httpx's generators. On
        a machine so busy that the bound is over before the first turn, it is cut all the same.
        """
        with trio.move_on_after(CLEANUP_MS / 1000, shield=True):
            try:
                with trio.move_on_after(linger_s), suppress(httpx.HTTPError, httpx.StreamError):
                    while await self.next() is not None:
                        pass
            finally:
                await self.response.aclose()


async def send(client: httpx.AsyncClient, make: Callable[[], httpx.Request]) -> httpx.Response:
    """Send what `make` makes and read the response's head.

    A kept connection that turns out to be dead is redone, until it is on a new one.
    """
    while True:
        request, connecting = make(), _Connecting()
        request.stream = RequestBytes(request.content)
        request.extensions["trace"] = connecting.trace
        try:
            return await client.send(request, stream=True)
        except DEAD_CONNECTION:
            if connecting.begun:
                raise


@define
class _Connecting:
    """What httpcore tells of the connection that a request is sent on: whether it is a new one."""

    begun: bool = False

    async def trace(self, event: str, _: Mapping[str, object]) -> None:
        if event == "connection.connect_tcp.started":
            self.begun = True
