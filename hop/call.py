"""Calling the next hop: one call, its body or its events, foreign exceptions mapped once.

The caller holds the deadline; only connecting has a limit of its own here. Whatever httpx raises
becomes a `HopFault` with a HOP_* code. What came back is bytes until the contract's decoder says
otherwise, and a body is never longer than its cap.
"""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

import httpx
from attrs import define, field, frozen

from contracts import sse
from contracts.chat import ErrorBody
from contracts.codec import decode
from contracts.limits import EVENT_BYTES, RESPONSE_BODY_BYTES, RETRY_AFTER_MAX_MS
from contracts.reasons import ReasonCode
from contracts.strict_json import ContractViolation
from hop.exchange import HopClient, ResponseBytes, request_of, send
from hop.metrics import Metrics
from hop.pool import make_transport
from hop.spans import at, span

_STATUS_OK = 200
_STATUS_UNAUTHORIZED = 401
_LINGER_S = 0.02  # for the empty chunk that follows `done`
_WHOLE_SECONDS = re.compile(r"[0-9]{1,6}")
# The literal map of foreign exceptions; the first that fits counts.
_FAULTS: tuple[tuple[type[Exception], ReasonCode], ...] = (
    (httpx.ConnectTimeout, ReasonCode.HOP_UNREACHABLE),
    (httpx.ConnectError, ReasonCode.HOP_UNREACHABLE),
    (httpx.UnsupportedProtocol, ReasonCode.HOP_UNREACHABLE),
    (UnicodeError, ReasonCode.HOP_UNREACHABLE),  # a host that is no name
    (httpx.TransportError, ReasonCode.HOP_DISCONNECTED),
    (httpx.StreamError, ReasonCode.HOP_DISCONNECTED),
    (sse.FrameTooLarge, ReasonCode.HOP_PROTOCOL_ERROR),
    (ContractViolation, ReasonCode.HOP_PROTOCOL_ERROR),
)


class HopFault(Exception):
    """The next hop failed us: an **F** code, or the inner hop's own ADMISSION_* code."""

    def __init__(self, code: ReasonCode, detail: str, *, retry_after_ms: int | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.retry_after_ms = retry_after_ms


def make_client(transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """The one client of a process; `transport` stands in for `hop.pool`'s own."""
    return HopClient(
        transport=transport or make_transport(),
        trust_env=False,
        timeout=None,  # every call is inside a deadline of its own
        headers={"accept-encoding": "identity"},
    )


@define
class Reply:
    """What the next hop answered, its body not yet read."""

    _bytes: ResponseBytes
    _decoder: sse.Decoder = field(factory=lambda: sse.Decoder(EVENT_BYTES), init=False)
    _ended: bool = field(default=False, init=False)

    @property
    def response(self) -> httpx.Response:
        """Its head."""
        return self._bytes.response

    @property
    def ok(self) -> bool:
        """Whether it is the answer; anything else is an error body."""
        return self.response.status_code == _STATUS_OK

    @property
    def media_type(self) -> str:
        """The content-type, without its parameters."""
        value: str = self.response.headers.get("content-type", "")
        return value.partition(";")[0].strip().lower()

    def expect(self, media_type: str) -> None:
        """Raises HopFault where the answer is of another media type."""
        if self.media_type != media_type:
            detail = f"content-type {self.media_type!r} where {media_type} was due"
            raise HopFault(ReasonCode.HOP_PROTOCOL_ERROR, detail)

    async def body(self, media_type: str) -> bytes:
        """The whole body, of this type. Raises HopFault."""
        self.expect(media_type)
        data = bytearray()
        with mapped():
            while (chunk := await self._bytes.next()) is not None:
                data += chunk
                if len(data) > RESPONSE_BODY_BYTES:
                    raise HopFault(ReasonCode.HOP_PROTOCOL_ERROR, "the body is over its cap")
        return bytes(data)

    async def next_frame(self) -> sse.Frame | None:
        """The next event, None at the stream's end; heartbeats are swallowed. Raises HopFault."""
        with mapped():
            while (frame := self._decoder.next_frame()) is None:
                if (chunk := await self._bytes.next()) is None:
                    return None
                self._decoder.feed(chunk)
        self._ended = frame.event == "done"
        return frame

    async def aclose(self) -> None:
        """Close it: after `done` the connection's end of it is near, and it can be kept."""
        await self._bytes.aclose(_LINGER_S if self._ended else 0)

    async def error(self, *, elsewhere: bool = False) -> "InnerError":
        """The error body. One that breaks the contract is a HopFault.

        `elsewhere`: of a route that answers no question, where some codes have another status.
        """
        body = await self.body("application/json")
        with mapped():
            parsed = decode(body, ErrorBody)
        code = parsed.error.code
        if (code.elsewhere if elsewhere else code.http) != self.response.status_code:
            detail = f"{self.response.status_code} with {code}"
            raise HopFault(ReasonCode.HOP_PROTOCOL_ERROR, detail)
        return InnerError(code, parsed.error.message, _retry_after_ms(self.response.headers))


@frozen
class InnerError:
    """An error that the next hop answered, by the contract."""

    code: ReasonCode
    message: str
    retry_after_ms: int | None

    def fault(self) -> HopFault:
        """What it is to our own caller (CONTRACT §7): busy stays busy, the rest is our mistake."""
        if self.code.fallback:
            detail = "answered by the next hop"
            return HopFault(self.code, detail, retry_after_ms=self.retry_after_ms)
        return HopFault(ReasonCode.HOP_PROTOCOL_ERROR, f"our call was refused: {self.code}")


@define
class NextHop:
    """The way to one neighbour. `base_url` without a trailing slash; seconds; `api_key` is ours."""

    client: httpx.AsyncClient
    base_url: str
    connect_timeout_s: float
    metrics: Metrics
    api_key: str = field(default="", repr=False)
    _key_refused: bool = field(default=False, init=False)  # by the last answer there was

    @asynccontextmanager
    async def ask(
        self,
        path: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        method: str = "POST",
        shown: str | None = None,
    ) -> AsyncIterator[Reply]:
        """One call, open until it is left. `shown`: its path, for spans. Raises HopFault."""
        typed = {"content-type": "application/json"} if body else {}
        ours = {"authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        url = self.base_url + path

        def make() -> httpx.Request:
            all_headers = {**headers, **part.onward(), **ours, **typed}
            limit_s = self.connect_timeout_s
            return request_of(method, url, all_headers, body, connect_timeout_s=limit_s)

        with self.metrics.upstream_streams.track_inprogress(), span(method, "client") as part:
            part.set("http.request.method", method)
            part.set("url.full", self.base_url + (shown or path))
            at(part, url)
            with mapped():
                reply = Reply(ResponseBytes(await send(self.client, make)))
            part.set("http.response.status_code", reply.response.status_code)
            self._key_refused = reply.response.status_code == _STATUS_UNAUTHORIZED
            try:
                yield reply
            finally:
                await reply.aclose()

    async def check(self) -> tuple[bool, str]:
        """Whether the neighbour's `/health` answers, and it has not just refused our key."""
        try:
            response = await self.client.get(
                self.base_url + "/health", timeout=httpx.Timeout(self.connect_timeout_s)
            )
        except (httpx.HTTPError, UnicodeError) as error:
            return False, f"{self.base_url}: {type(error).__name__}"
        if self._key_refused:
            return False, f"{self.base_url}: it refuses our key"
        return response.status_code == _STATUS_OK, f"{self.base_url}: {response.status_code}"


@contextmanager
def mapped() -> Iterator[None]:
    """Foreign exceptions become ours, here and nowhere else."""
    try:
        yield
    except tuple(kind for kind, _ in _FAULTS) as error:
        code = next(code for kind, code in _FAULTS if isinstance(error, kind))
        raise HopFault(code, f"{type(error).__name__}: {error}") from error


def _retry_after_ms(headers: Mapping[str, str]) -> int | None:
    """`Retry-After` where it is whole seconds, an hour at most."""
    value = headers.get("retry-after", "")
    if not _WHOLE_SECONDS.fullmatch(value):
        return None
    return min(int(value) * 1000, RETRY_AFTER_MAX_MS)
