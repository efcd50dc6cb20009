"""The edge to LLMGW: what it sends back, proved again before any of it goes on.

LLMGW has proved every citation; here each is held against the passages that were searched out, so
that no mistake of the gateway's can name a source that was never found. Its `meta` is swallowed,
since QS has sent its own.
"""

from collections.abc import Mapping

from attrs import define, field

from contracts import sse
from contracts.chat import Citation
from contracts.codec import decode
from contracts.events import (
    CitationsProved,
    Delta,
    Done,
    Failed,
    Meta,
    SourcesFound,
    StreamEvent,
    from_frame,
)
from contracts.generation import Chunk, GenerateResponse
from contracts.order import StreamOrder
from contracts.reasons import ReasonCode
from hop.call import HopFault, Reply, mapped
from hop.stream import EventSink
from hop.tracing import CallIds


@define
class Generation:
    """One call's answer from the gateway, passed on to a sink."""

    ids: CallIds
    chunks: Mapping[str, Chunk]
    citations_required: bool
    _cited: tuple[Citation, ...] = field(default=(), init=False)

    async def relay_stream(self, reply: Reply, sink: EventSink) -> None:
        """Pass a stream on until `done`. Raises HopFault where it breaks off or breaks a law."""
        reply.expect("text/event-stream")
        order = StreamOrder(self.citations_required)
        while not sink.closed:
            frame = await reply.next_frame()
            if frame is None:
                raise HopFault(ReasonCode.HOP_DISCONNECTED, "the stream ended without `done`")
            with mapped():
                event = from_frame(frame)
                order.advance(event)
            await self._pass_on(event, frame, sink)

    async def relay_body(self, reply: Reply, sink: EventSink) -> None:
        """Pass a whole answer on as the same events, its text as one `delta`."""
        body = await reply.body("application/json")
        with mapped():
            response = decode(body, GenerateResponse)
        self._check_ids(response)
        sink.call.timings_ms["generation"] = response.timings_ms.get("total", 0)
        if response.reason_code is not None:
            await sink.fail(
                response.reason_code,
                retry_after_ms=response.retry_after_ms,
                model=response.model,
                usage=response.usage,
            )
            return
        assert response.content is not None, "the decoder has proved it"
        if bool(response.citations) is not self.citations_required:
            raise _broken("citations where none were asked for, or none where they were")
        if response.citations:
            self._prove(response.citations)
            await sink.emit(CitationsProved(response.citations))
        await sink.emit(Delta(response.content))
        await sink.done(response.model, response.usage)

    async def _pass_on(self, event: StreamEvent, frame: sse.Frame, sink: EventSink) -> None:
        match event:
            case Meta():
                self._check_ids(event)
            case SourcesFound():
                raise _broken("`sources` are not the gateway's to send")
            case CitationsProved():
                self._prove(event.citations)
                await sink.pass_on(event, frame)
            case Delta():
                await sink.pass_on(event, frame)
            case Failed():
                await sink.error(event.code)
            case Done():
                await self._end(event, sink)

    async def _end(self, done: Done, sink: EventSink) -> None:
        sink.call.timings_ms["generation"] = done.timings_ms.get("total", 0)
        if done.reason_code is not None:
            await sink.fail(
                done.reason_code,
                retry_after_ms=done.retry_after_ms,
                model=done.model,
                usage=done.usage,
            )
            return
        if done.citations != self._cited:
            raise _broken("`done` cites what `citations` did not")
        await sink.done(done.model, done.usage)

    def _prove(self, citations: tuple[Citation, ...]) -> None:
        """Every citation names a passage of this question, with its own title and url."""
        for citation in citations:
            chunk = self.chunks.get(citation.chunk_id)
            if chunk is None or (chunk.title, chunk.url) != (citation.title, citation.url):
                raise _broken("a citation names no passage of this question")
        self._cited = citations

    def _check_ids(self, told: GenerateResponse | Meta) -> None:
        if (told.request_id, told.trace_id) != (self.ids.request_id, self.ids.trace_id):
            raise _broken("the answer carries another call's ids")


def _broken(detail: str) -> HopFault:
    return HopFault(ReasonCode.HOP_PROTOCOL_ERROR, detail)
