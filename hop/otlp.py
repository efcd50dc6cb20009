"""Finished spans on their way to a collector: queued, sent in batches, never in anybody's way.

    exporter = Exporter.of(settings, log, metrics)      None where no collector is named
    program = Program(…, spans=exporter.spans(new_hex))
    async with exporter.running(): …                    sends while it is open, and when it ends

A span that ends is put into a queue and the call goes on. What does not fit is dropped and counted:
a collector that is slow, dead or wrong costs `SPANS_HELD_MAX` spans of memory, no more. A batch
that could not be delivered stays and is tried again; one that was refused is dropped. Sending has
an HTTP client of its own, since the program's may go through the model server's proxy, and it lives
in a nursery that ends with the program: the last batches have `SPANS_FLUSH_MS`, or less where the
drain leaves less of the time in which a program must be gone.
"""

import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final, Self

import httpx
import trio
from attrs import define, field

from contracts.limits import (
    DRAIN_FLUSH_MS,
    GONE_MS,
    SPANS_BATCH_MAX,
    SPANS_FLUSH_LEAST_MS,
    SPANS_FLUSH_MS,
    SPANS_HELD_MAX,
    SPOOL_FLUSH_MS,
)
from hop.call import make_client
from hop.exchange import ResponseBytes, send
from hop.log import Log
from hop.metrics import Metrics
from hop.otlp_json import CONTENT_TYPE, encode
from hop.program import Clock
from hop.settings import HopSettings, headers_in
from hop.spans import Span, Spans
from hop.tracing import NewHex

EVERY_S: Final = 5.0
_POST_S: Final = 10.0  # the standard's own limit on one request
_PATH: Final = "/v1/traces"
# What the protocol calls retryable; every other refusal would only be repeated.
_TRY_AGAIN: Final = frozenset({429, 502, 503, 504})
_UNFORESEEN: Final = 0
_NS_PER_S: Final = 1_000_000_000


@define(eq=False)
class Exporter:
    """One program's way to its collector. `url` is complete; seconds."""

    service: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    log: Log
    metrics: Metrics
    flush_s: float = SPANS_FLUSH_MS / 1000
    now: Clock = trio.current_time
    transport: httpx.AsyncBaseTransport | None = None  # None: the system's network
    _held: deque[Span] = field(factory=deque, init=False)
    _enough: trio.Event = field(factory=trio.Event, init=False)
    _is_well: bool = field(default=True, init=False)

    @classmethod
    def of(cls, settings: HopSettings, log: Log, metrics: Metrics) -> Self | None:
        """What the settings say; None where they name no collector."""
        if not settings.otlp_endpoint:
            return None
        url = settings.otlp_endpoint + _PATH
        headers, flush_s = headers_in(settings.otlp_headers), _flush_s(settings.drain_timeout_ms)
        return cls(settings.SERVICE, url, headers, log, metrics, flush_s)

    def spans(self, new_hex: NewHex) -> Spans:
        """Spans that come here when they end."""
        return Spans(new_hex, self.now, self.keep)

    def keep(self, span: Span) -> None:
        """Queue a finished span, or drop it. Never blocks and never fails."""
        if len(self._held) >= SPANS_HELD_MAX:
            self.metrics.spans("dropped", 1)
            return
        self._held.append(span)
        if len(self._held) >= SPANS_BATCH_MAX:
            self._enough.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send while this is open; at its end, what is left, within `flush_s`."""
        async with make_client(self.transport) as client:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._run, client)
                yield
                nursery.cancel_scope.cancel()
            with trio.move_on_after(self.flush_s):
                await self._send_all(client)

    async def _run(self, client: httpx.AsyncClient) -> None:
        while True:
            with trio.move_on_after(EVERY_S):
                await self._enough.wait()
            await self._send_all(client)
            self._enough = trio.Event()
            if len(self._held) >= SPANS_BATCH_MAX:  # It was not taken: not before the next turn.
                await trio.sleep(EVERY_S)

    async def _send_all(self, client: httpx.AsyncClient) -> None:
        """Batch after batch, until nothing is left or one was not delivered."""
        while self._held:
            batch = [self._held[place] for place in range(min(SPANS_BATCH_MAX, len(self._held)))]
            try:
                status = await self._post(client, batch)
            except Exception:  # This must not end the program that it tells about.
                self.log.exception("unforeseen", phase="sending spans")
                status = _UNFORESEEN
            if status is None or status in _TRY_AGAIN:
                self._told(f"HTTP {status}" if status else "no answer", well=False)
                return
            for _ in batch:
                self._held.popleft()
            taken = status == httpx.codes.OK
            self.metrics.spans("sent" if taken else "dropped", len(batch))
            self._told(f"HTTP {status}", well=taken)

    async def _post(self, client: httpx.AsyncClient, batch: list[Span]) -> int | None:
        """The status of the collector's answer; None where there is none."""
        body = encode(self.service, batch, time.time_ns() - round(self.now() * _NS_PER_S))
        headers = {**self.headers, "content-type": CONTENT_TYPE}
        request = partial(
            client.build_request, "POST", self.url, content=body, headers=headers, timeout=None
        )
        with trio.move_on_after(_POST_S), suppress(httpx.HTTPError, httpx.StreamError):
            response = await send(client, request)
            await ResponseBytes(response).aclose(0)
            return response.status_code
        return None

    def _told(self, detail: str, *, well: bool) -> None:
        """One line when it stops working, and one when it works again."""
        if well is self._is_well:
            return
        self._is_well = well
        if well:
            self.log.info("spans are taken", detail=detail)
        else:
            self.log.warning("spans are not taken", detail=f"{self.url}: {detail}")


def _flush_s(drain_timeout_ms: int) -> float:
    """What is left of the time in which a program must be gone, when all else took its own."""
    others_ms = drain_timeout_ms + DRAIN_FLUSH_MS + SPOOL_FLUSH_MS + SPANS_FLUSH_LEAST_MS
    return min(SPANS_FLUSH_MS, max(SPANS_FLUSH_LEAST_MS, GONE_MS - others_ms)) / 1000
