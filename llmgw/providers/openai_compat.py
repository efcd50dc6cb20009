"""Any OpenAI-compatible model server, over HTTP: one POST per attempt, and three of the clocks.

The clocks run only while we wait for the server, never while our own client keeps us waiting:
connecting, the first content, and the silence between contents (CONTRACT §6). Heartbeats, empty
deltas and reasoning are not content. A call that is plain upstream has the first clock alone; the
whole generation's deadline is the caller's scope.

Refuses redirects, encoded bodies, streams that are none. A connection that was kept alive and
turns out to be dead is redone once; a schema the server rejects is left out once. The key goes
into one header and nowhere else.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf
from typing import Final

import attrs
import httpx
import trio
from attrs import define, field, frozen

from contracts import limits
from contracts.reasons import ReasonCode
from hop.exchange import DEAD_CONNECTION, ResponseBytes, request_of
from hop.spans import onward
from llmgw.faults import GenerationFault
from llmgw.providers import openai_errors, openai_wire
from llmgw.providers.port import Content, ModelCall, ModelEvent, SchemaRefused
from llmgw.providers.upstream import TRANSPORT_ERRORS, Body, Clocks, Sending, Wait, fault_of

CHECK_S: Final = 1.0
ERROR_BODY_BYTES: Final = 64 * 1024
ERROR_BODY_S: Final = 1.0
# After `[DONE]` the end of the body is due at once; reading it keeps the connection.
LINGER_S: Final = 0.02
# What one token costs on the wire, generously: an endless stream is cut, a long one is not.
STREAM_BYTES_PER_TOKEN: Final = 512


@frozen
class OpenAICompat:
    """The provider. `base_url` ends in `/v1`; an empty `api_key` sends none.

    `client` is the process's one (`hop.call.make_client`), without timeouts and without a cap on
    connections.
    """

    client: httpx.AsyncClient
    base_url: str
    api_key: str = field(default="", repr=False)
    clocks: Clocks = field(factory=Clocks)
    wall_clock: Callable[[], float] = time.time

    @asynccontextmanager
    async def open(self, call: ModelCall) -> AsyncIterator[AsyncIterator[ModelEvent]]:
        """One attempt. Raises GenerationFault, here or between events."""
        wait = Wait(self.clocks, call.stream)
        body, has_schema = await self._answer(call, wait)
        is_refused = call.schema is not None and not has_schema
        reply = _Reply(body, wait, _decoder(call), is_refused)
        try:
            if call.stream:
                await _check_event_stream(body)
            yield reply
        finally:
            await body.aclose(LINGER_S if reply.is_done else 0)

    async def check(self) -> tuple[bool, str]:
        """Whether `GET /models` answers 200 within a second; the detail names the address."""
        try:
            with trio.move_on_after(CHECK_S):
                body = await self._exchange("GET", "/models", None, Wait(self.clocks, False))
                try:
                    await body.read_capped(ERROR_BODY_BYTES, inf)
                finally:
                    await body.aclose(0)
                status = body.response.status_code
                return status == httpx.codes.OK, f"{self.base_url}: HTTP {status}"
        except GenerationFault as fault:
            return False, f"{self.base_url}: {fault}"
        return False, f"{self.base_url}: no answer within {CHECK_S:g} s"

    async def _answer(self, call: ModelCall, wait: Wait) -> tuple[Body, bool]:
        """The body of a 200, and whether the server took the schema: a rejected one is left out
        and the call made once more (CONTRACT §7)."""
        content = openai_wire.encode_call(call)
        body = await self._exchange("POST", "/chat/completions", content, wait)
        status, headers = body.response.status_code, body.response.headers
        if status == httpx.codes.OK and not _is_encoded(headers):
            return body, call.schema is not None
        try:
            refusal = await body.read_capped(ERROR_BODY_BYTES, ERROR_BODY_S)
        finally:
            await body.aclose(0)
        if status == httpx.codes.OK:
            detail = "a content-encoding nobody asked for"
            raise GenerationFault(ReasonCode.PROVIDER_INVALID_ENCODING, detail)
        if call.schema is not None and openai_errors.rejects_schema(status, refusal):
            return await self._answer(attrs.evolve(call, schema=None), wait)
        raise openai_errors.fault_of_status(
            status, headers.get("retry-after"), refusal, self.wall_clock()
        )

    async def _exchange(self, method: str, path: str, content: bytes | None, wait: Wait) -> Body:
        """The response, of whatever status. A dead kept-alive connection is redone, uncounted."""
        for may_redo in (True, False):
            sending = Sending(self.client, self._request(method, path, content), wait)
            try:
                return Body(ResponseBytes(await sending.run()))
            except TRANSPORT_ERRORS as error:
                if not (may_redo and sending.is_reused and isinstance(error, DEAD_CONNECTION)):
                    raise fault_of(error) from error
        raise AssertionError("the second try returns or raises")

    def _request(self, method: str, path: str, content: bytes | None) -> httpx.Request:
        headers = onward()
        if content is not None:
            headers["content-type"] = "application/json"
        if self.api_key:
            headers["authorization"] = f"Bearer {self.api_key}"
        return request_of(method, self.base_url.rstrip("/") + path, headers, content)


@define
class _Reply:
    """The events of one reply, under the clocks."""

    _body: Body
    _wait: Wait
    _decoder: openai_wire.StreamDecoder | openai_wire.PlainDecoder
    _must_tell_refusal: bool
    _ended: bool = field(default=False, init=False)

    @property
    def is_done(self) -> bool:
        return self._decoder.is_done

    def __aiter__(self) -> "_Reply":
        return self

    async def __anext__(self) -> ModelEvent:
        if self._must_tell_refusal:
            self._must_tell_refusal = False
            return SchemaRefused()
        while (event := self._decoder.next_event()) is None:
            if self._ended or self._decoder.is_done:
                raise StopAsyncIteration
            await self._read()
        if isinstance(event, Content):
            self._wait.heard()
        return event

    async def _read(self) -> None:
        started = trio.current_time()
        with trio.CancelScope(deadline=started + self._wait.left_s) as scope:
            data = await self._body.read()
        if scope.cancelled_caught:
            raise self._wait.fault()
        self._wait.waited(started)
        if data is None:
            self._ended = True
            self._decoder.end()
        else:
            self._decoder.feed(data)


def _decoder(call: ModelCall) -> openai_wire.StreamDecoder | openai_wire.PlainDecoder:
    if not call.stream:
        return openai_wire.PlainDecoder()
    return openai_wire.StreamDecoder(
        limits.RESPONSE_BODY_BYTES + call.max_tokens * STREAM_BYTES_PER_TOKEN
    )


async def _check_event_stream(body: Body) -> None:
    """Refuses a 200 that is no stream; an error object in its place speaks for itself."""
    kind = body.response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/event-stream":
        return
    if openai_errors.is_error_body(await body.read_capped(ERROR_BODY_BYTES, ERROR_BODY_S)):
        raise GenerationFault(ReasonCode.PROVIDER_ERROR_EVENT, "an error object in place of SSE")
    raise GenerationFault(ReasonCode.PROVIDER_NOT_SSE, "not text/event-stream")


def _is_encoded(headers: httpx.Headers) -> bool:
    return headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")
