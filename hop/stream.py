"""An answer's events on their way out: streamed as they come, or collected into one body.

Both are an `EventSink`, which advances the one legal order before anything leaves. A producer
tells its answer to the sink and never sees which of the two it is; it runs in a nursery of the
request's own lifetime, under the program's drain, and ends in `done` whatever happens to it.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Self

import trio
from attrs import frozen
from quart import Response
from quart.wrappers.response import ResponseBody

from contracts import sse
from contracts.chat import Citation, Source, Usage
from contracts.events import (
    NAMES,
    CitationsProved,
    Delta,
    Done,
    Failed,
    Meta,
    SourcesFound,
    StreamEvent,
    failed,
    to_wire,
)
from contracts.limits import HEARTBEAT_MS
from contracts.order import Seen, State, Step, StreamOrder, seen
from contracts.reasons import NextAction, ReasonCode
from hop.incoming import Call, Outcome, shutting_down
from hop.waiting import waiting

Produce = Callable[["EventSink"], Awaitable[None]]
_EVENTS_AHEAD = 4
_ENDS = frozenset({Step.DONE_OK, Step.DONE_FALLBACK})
# Before the contract's 10 s, so that it is met with room to spare.
_HEARTBEAT_S = HEARTBEAT_MS / 1000 / 2


class EventSink(ABC):
    """Where a producer's events go, checked against the order before they do."""

    def __init__(self, call: Call, *, citations_required: bool) -> None:
        self.call = call
        self.citations_required = citations_required
        self._order = StreamOrder(citations_required)
        self._citations: tuple[Citation, ...] = ()

    @property
    def closed(self) -> bool:
        """Whether `done` is out."""
        return self._order.state is State.CLOSED

    async def emit(self, event: StreamEvent) -> None:
        """Send one event. An event out of order is our own mistake (OrderViolation)."""
        with self._taking(seen(event)):
            await self._deliver(event)
        if isinstance(event, CitationsProved):
            self._citations = event.citations

    @contextmanager
    def _taking(self, step: Seen) -> Iterator[None]:
        """Advance the order by one step; an event that never left has not moved it."""
        before = self._order.state, self._order.failure
        self._order.see(step)
        if step.step in _ENDS:
            self.call.answer_told()
        try:
            yield
        except BaseException:
            self._order.state, self._order.failure = before
            raise

    @property
    def opened(self) -> bool:
        """Whether `meta` is out."""
        return self._order.state is not State.OPENING

    async def begin(self) -> None:
        """Send `meta`."""
        ids = self.call.ids
        await self.emit(Meta("v1", ids.trace_id, ids.request_id, self.call.session_id))

    async def error(self, code: ReasonCode) -> None:
        """Send `error`, withdrawing whatever text is out."""
        await self.emit(failed(code, discard=self._order.state is State.ANSWERING))

    async def done(self, model: str | None, usage: Usage | None) -> None:
        """End well: every condition of success was proved by the producer."""
        await self.emit(
            Done(
                status="ok",
                reason_code=None,
                message_key=None,
                next_action=NextAction.NONE,
                retry_after_ms=None,
                model=model,
                citations=self._citations,
                usage=usage,
                timings_ms=self.call.timings(),
            )
        )

    async def fail(
        self,
        code: ReasonCode,
        *,
        retry_after_ms: int | None = None,
        model: str | None = None,
        usage: Usage | None = None,
    ) -> None:
        """End in a fallback: `meta` and `error` where they are not out yet, then `done`.

        The first cause wins: where an `error` is out, `done` carries its code.
        """
        if not self.opened:
            await self.begin()
        if self._order.state is not State.FAILED:
            await self.error(code)
        code = self._order.failure or code
        await self.emit(
            Done(
                status="fallback",
                reason_code=code,
                message_key=code.message,
                next_action=code.next_action,
                retry_after_ms=retry_after_ms,
                model=model,
                citations=(),
                usage=usage,
                timings_ms=self.call.timings(),
            )
        )

    @abstractmethod
    async def _deliver(self, event: StreamEvent) -> None: ...


@frozen
class _Told:
    """One event on the wire, and what it does to the call once it is taken."""

    frame: bytes
    step: Seen


def note(call: Call, step: Seen) -> None:
    """Keep what an event says of how the call goes, for its closing line."""
    if step.step is Step.DELTA:
        call.delta_sent()
    elif step.step is Step.DONE_OK:
        call.outcome = Outcome("ok", None)
    elif step.step is Step.DONE_FALLBACK:
        call.outcome = Outcome("fallback", step.code)


class StreamSink(EventSink):
    """Events as frames, into the bounded channel that the response body reads."""

    def __init__(
        self, call: Call, send: trio.MemorySendChannel[_Told], *, citations_required: bool
    ) -> None:
        super().__init__(call, citations_required=citations_required)
        self._send = send

    async def relay(self, step: Seen, frame: sse.Frame) -> None:
        """Pass on a frame that the next hop has checked; only its place in the order is."""
        assert frame.data is not None
        with self._taking(step):
            await self._tell(_Told(sse.encode(frame.event, frame.data), step))

    async def _deliver(self, event: StreamEvent) -> None:
        await self._tell(_Told(to_wire(event), seen(event)))

    async def _tell(self, told: _Told) -> None:
        with waiting():  # for the client to take what went before
            await self._send.send(told)


class Collector(EventSink):
    """The same events, kept, for an answer in one body."""

    def __init__(self, call: Call, *, citations_required: bool) -> None:
        super().__init__(call, citations_required=citations_required)
        self.sources: tuple[Source, ...] = ()
        self.citations: tuple[Citation, ...] = ()
        self.done_event: Done | None = None
        self._text: list[str] = []

    @property
    def text(self) -> str:
        """The answer's text."""
        return "".join(self._text)

    async def _deliver(self, event: StreamEvent) -> None:
        if isinstance(event, SourcesFound):
            self.sources = event.sources
        elif isinstance(event, CitationsProved):
            self.citations = event.citations
        elif isinstance(event, Delta):
            self._text.append(event.delta)
        elif isinstance(event, Failed):
            self._text.clear()
        elif isinstance(event, Done):
            self.done_event = event
            note(self.call, seen(event))


async def collected(call: Call, produce: Produce, *, citations_required: bool) -> Collector:
    """The whole answer of a producer. Raises Refusal where a drain ended it."""
    collector = Collector(call, citations_required=citations_required)
    with call.program.drain.work() as scope:
        await produce(collector)
    if scope.cancelled_caught:
        raise shutting_down()
    assert collector.closed, "a producer ends in done"
    return collector


async def streamed(call: Call, produce: Produce, *, citations_required: bool) -> Response:
    """A response that streams what the producer tells."""
    call.streaming = True
    frames = await call.request.lifetime.enter_async_context(
        _produced(call, produce, citations_required=citations_required)
    )
    response = Response(_EventBody(call, frames), content_type="text/event-stream; charset=utf-8")
    response.timeout = None
    response.headers.update(call.ids.response())
    response.headers["cache-control"] = "no-cache"
    response.headers["x-accel-buffering"] = "no"
    return response


@asynccontextmanager
async def _produced(
    call: Call, produce: Produce, *, citations_required: bool
) -> AsyncIterator[trio.MemoryReceiveChannel[_Told]]:
    """The producer, running; leaving cancels it and waits for its cleanup."""
    send, receive = trio.open_memory_channel[_Told](_EVENTS_AHEAD)
    sink = StreamSink(call, send, citations_required=citations_required)
    async with trio.open_nursery() as nursery, receive:
        nursery.start_soon(_tell, sink, produce, send)
        try:
            yield receive
        finally:
            nursery.cancel_scope.cancel()


async def _tell(sink: StreamSink, produce: Produce, send: trio.MemorySendChannel[_Told]) -> None:
    """Run the producer to `done`, whatever it meets: here a fault can only become an event."""
    async with send:
        log = sink.call.program.log
        try:
            with sink.call.program.drain.work() as scope:
                await produce(sink)
        except Exception:
            log.exception("unforeseen", phase=sink.call.phase)
        else:
            if not (sink.closed or scope.cancelled_caught):
                log.error("unforeseen", phase=sink.call.phase, cause="no `done` from the producer")
        if sink.closed:
            return
        drained = scope.cancelled_caught
        await sink.fail(
            ReasonCode.ADMISSION_SHUTTING_DOWN if drained else ReasonCode.INTERNAL_ERROR
        )


class _EventBody(ResponseBody):
    """Frames as the response's body, with a heartbeat wherever they are silent for long."""

    def __init__(self, call: Call, frames: trio.MemoryReceiveChannel[_Told]) -> None:
        self._call = call
        self._frames = frames

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        with trio.move_on_after(_HEARTBEAT_S):
            try:
                told = await self._frames.receive()
            except trio.EndOfChannel:
                raise StopAsyncIteration from None
            note(self._call, told.step)
            return told.frame
        return sse.HEARTBEAT


assert set(NAMES.values()) <= {step.value.partition(" ")[0] for step in Step}
