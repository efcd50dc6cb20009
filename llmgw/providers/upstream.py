"""One HTTP exchange with the model server: the clocks, the bytes, and the exceptions' names.

The clocks run only while we wait for the server, never while our own client keeps us waiting.
Foreign exceptions are mapped once, here (CONTRACT §7). A response is closed in a bounded time,
however it is left.
"""

from collections.abc import Mapping
from contextlib import suppress
from math import inf
from typing import Final

import httpcore
import httpx
import trio
from attrs import define, field, frozen

from contracts import limits
from contracts.reasons import ReasonCode
from hop.exchange import RequestBytes, ResponseBytes
from llmgw.faults import GenerationFault

# httpx's exceptions, each once. What is not here is our own mistake and is not translated.
CODES: Final[Mapping[type[Exception], ReasonCode]] = {
    httpx.ConnectError: ReasonCode.PROVIDER_UNREACHABLE,
    httpx.ProxyError: ReasonCode.PROVIDER_UNREACHABLE,
    httpx.ConnectTimeout: ReasonCode.PROVIDER_CONNECT_TIMEOUT,
    httpx.ReadError: ReasonCode.PROVIDER_DISCONNECTED,
    httpx.WriteError: ReasonCode.PROVIDER_DISCONNECTED,
    httpx.CloseError: ReasonCode.PROVIDER_DISCONNECTED,
    httpx.RemoteProtocolError: ReasonCode.PROVIDER_DISCONNECTED,
}
TRANSPORT_ERRORS: Final = tuple(CODES)
# How httpcore names the TLS handshake: with a server or a proxy, and with a server behind a proxy.
_HANDSHAKES: Final = ("connection.start_tls.", "proxy.start_tls.")


@frozen
class Clocks:
    """The limits on waiting for the server, in seconds."""

    connect_s: float = limits.LLM_CONNECT_TIMEOUT_MS / 1000
    first_token_s: float = limits.LLM_FIRST_TOKEN_TIMEOUT_MS / 1000
    idle_s: float = limits.LLM_IDLE_TIMEOUT_MS / 1000


@define
class Wait:
    """How much longer we wait for content, and the code that says so when it is over."""

    clocks: Clocks
    _streaming: bool
    code: ReasonCode = field(default=ReasonCode.PROVIDER_FIRST_TOKEN_TIMEOUT, init=False)
    left_s: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.left_s = self.clocks.first_token_s if self._streaming else inf

    def heard(self) -> None:
        """Content came: from now on it is the silence that counts."""
        if self._streaming:
            self.code, self.left_s = ReasonCode.PROVIDER_IDLE_TIMEOUT, self.clocks.idle_s

    def waited(self, since: float) -> None:
        """The clock has run since then. A busy machine may see an arrival when it has run out: then
        less than nothing is left."""
        self.left_s -= trio.current_time() - since

    def fault(self) -> GenerationFault:
        return GenerationFault(self.code, "no content in time")


@define
class Sending:
    """One request on its way, under the connect clock until it is connected, then the next one.

    httpcore tells its progress to a `trace`; it is the only way to see where connecting ends.
    """

    _client: httpx.AsyncClient
    _request: httpx.Request
    _wait: Wait
    is_reused: bool = field(default=True, init=False)
    _connected_at: float | None = field(default=None, init=False)
    _shaking_hands: bool = field(default=False, init=False)
    _scope: trio.CancelScope = field(factory=trio.CancelScope, init=False)

    async def run(self) -> httpx.Response:
        """The response's head. Raises GenerationFault when a clock runs out, httpx's else."""
        self._request.extensions["trace"] = self._trace
        self._request.stream = RequestBytes(self._request.content)
        self._scope.deadline = trio.current_time() + self._wait.clocks.connect_s
        try:
            with self._scope:
                return await self._client.send(self._request, stream=True)
        except httpx.ConnectError as error:
            if self._shaking_hands:
                # It was reached: whatever ended the handshake, a reset too, ended TLS.
                raise GenerationFault(ReasonCode.PROVIDER_TLS_ERROR, "no handshake") from error
            raise
        finally:
            self._account()
        if self._connected_at is None:
            raise GenerationFault(ReasonCode.PROVIDER_CONNECT_TIMEOUT, "not connected in time")
        raise self._wait.fault()

    async def _trace(self, event: str, info: Mapping[str, object]) -> None:
        if event == "connection.connect_tcp.started":
            self.is_reused = False
        elif event.startswith(_HANDSHAKES):
            self._shaking_hands = not event.endswith(".complete")
        elif event == "http11.send_request_headers.started" and _is_ours(info["request"]):
            self._connected()

    def _connected(self) -> None:
        if self._scope.cancel_called:
            return  # On a busy machine the last step may come when the connect clock is over.
        self._connected_at = trio.current_time()
        self._scope.deadline = self._connected_at + self._wait.left_s

    def _account(self) -> None:
        if self._connected_at is not None:
            self._wait.waited(self._connected_at)


@define
class Body:
    """A response's bytes as they come, closed in a bounded time."""

    _bytes: ResponseBytes

    @property
    def response(self) -> httpx.Response:
        """The response's head."""
        return self._bytes.response

    async def read(self) -> bytes | None:
        """The next bytes; None at the end. Raises GenerationFault."""
        try:
            return await self._bytes.next()
        except TRANSPORT_ERRORS as error:
            raise fault_of(error) from error

    async def read_capped(self, max_bytes: int, limit_s: float) -> bytes:
        """What comes of the body within these limits, however it ends."""
        taken = bytearray()
        with trio.move_on_after(limit_s), suppress(GenerationFault):
            while len(taken) < max_bytes and (chunk := await self.read()) is not None:
                taken += chunk
        return bytes(taken[:max_bytes])

    async def aclose(self, linger_s: float) -> None:
        """Close, after reading on for `linger_s` at most to an end that is near."""
        await self._bytes.aclose(linger_s)


def fault_of(error: Exception) -> GenerationFault:
    """The fault for one of TRANSPORT_ERRORS. Its text is not kept: it may name addresses."""
    return GenerationFault(CODES[type(error)], type(error).__name__)


def _is_ours(request: object) -> bool:
    """Not a proxy's CONNECT."""
    return isinstance(request, httpcore.Request) and request.method != b"CONNECT"
