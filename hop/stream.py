"""An answer's events on their way out: streamed as they come, or collected into one body.

Both are an `EventSink`, which advances the one legal order before anything leaves. A producer
tells its answer to the sink and never sees which of the two it is; it runs in a nursery of the
request's own lifetime, under the program's drain, and ends in `done` whatever happens to it.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple, Self

import trio
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
# So few that the first of them does not wait until many are made; they leave in one write.
_EVENTS_AHEAD = 16
_ENDS = frozenset({Step.DONE_OK, Step.DONE_FALLBACK})
# Before the contract's 10 s, so that it is met with room to spare.
_HEARTBEAT_S = HEARTBEAT_MS / 1000 / 2


class Told(NamedTuple):
    """One event on its way: what it is, as far as it was read, and the frame that it came as."""

    step: Seen
    event: StreamEvent | None
    frame: sse.Frame | None

    def on_the_wire(self) -> bytes:
        """Its bytes: those it came as, where it came from elsewhere."""
        if self.frame is None:
            assert self.event is not None, "an event is one or the other"
            return to_wire(self.event)
        assert self.frame.data is not None, "a frame that was checked has data"
        return sse.encode(self.frame.event, self.frame.data)


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
        await self.pass_on(event, None)

    async def pass_on(self, event: StreamEvent, frame: sse.Frame | None) -> None:
        """The same for an event that came as this frame: a stream sends its bytes as they came."""
        await self._take(Told(seen(event), event, frame))
        if isinstance(event, CitationsProved):
            self._citations = event.citations

    async def _take(self, told: Told) -> None:
        """Advance the order by one step; an event that never left has not moved it."""
        before = self._order.state, self._order.failure
        self._order.see(told.step)
        if told.step.step in _ENDS:
            self.call.answer_told()
        try:
            await self._deliver(told)
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
    async def _deliver(self, told: Told) -> None: ...


class _Told(NamedTuple):
    """One event on the wire, and what it does to the call once it is taken; a heartbeat is no
    event. `out` is set when it is written."""

    frame: bytes
    step: Seen | None
    out: trio.Event | None = None


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
        self._told_at = trio.current_time()
        self._first_text: trio.Event | None = None

    async def relay(self, step: Seen, frame: sse.Frame) -> None:
        """Pass on a frame that the next hop has checked; only its place in the order is."""
        await self._take(Told(step, None, frame))

    async def beat(self) -> None:
        """A heartbeat wherever nothing was told for long, until the producer has ended."""
        while True:
            await trio.sleep_until(self._told_at + _HEARTBEAT_S)
            if trio.current_time() < self._told_at + _HEARTBEAT_S:
                continue
            self._told_at = trio.current_time()
            # A client that has yet to take what was told needs no sign of life.
            if not self._send.statistics().current_buffer_used:
                try:
                    self._send.send_nowait(_Told(sse.HEARTBEAT, None))
                except trio.ClosedResourceError:
                    return

    async def _deliver(self, told: Told) -> None:
        """Into the channel, and on at once while it has room: what has arrived together is then
        taken together. Whoever tells an answer waits elsewhere, for what it is made of.

        The first text goes out alone, before there is more: it is what somebody waits for.
        """
        going = _Told(told.on_the_wire(), told.step)
        if told.step.step is Step.DELTA:
            if self._first_text is None:
                self._first_text = trio.Event()
                going = going._replace(out=self._first_text)
            elif not self._first_text.is_set():
                with waiting():
                    await self._first_text.wait()
        # Nothing is told after its time, though there is room for it.
        await trio.lowlevel.checkpoint_if_cancelled()
        self._told_at = trio.current_time()
        try:
            self._send.send_nowait(going)
        except trio.WouldBlock:
            with waiting():  # for the client to take what went before
                await self._send.send(going)


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

    async def _deliver(self, told: Told) -> None:
        event = told.event
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
            note(self.call, told.step)


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
        nursery.start_soon(sink.beat)
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
    """Frames as the response's body."""

    def __init__(self, call: Call, frames: trio.MemoryReceiveChannel[_Told]) -> None:
        self._call = call
        self._frames = frames
        self._writing: trio.Event | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._writing is not None:
            self._writing.set()
            self._writing = None
        frames = self._ready()
        if not frames:
            try:
                told = await self._frames.receive()
            except trio.EndOfChannel:
                raise StopAsyncIteration from None
            frames = [self._taken(told), *self._ready()]
        return b"".join(frames)

    def _ready(self) -> list[bytes]:
        """All frames that can be had without waiting: they leave in one write."""
        frames = []
        with suppress(trio.WouldBlock, trio.EndOfChannel):
            while True:
                frames.append(self._taken(self._frames.receive_nowait()))
        return frames

    def _taken(self, told: _Told) -> bytes:
        if told.step is not None:
            note(self._call, told.step)
        if told.out is not None:
            self._writing = told.out
        return told.frame


assert set(NAMES.values()) <= {step.value.partition(" ")[0] for step in Step}
