"""One chat turn of a conversation: retrieve → gate → generate, told to a sink as events.

What was searched is told before the model is asked. Nothing found, or nothing good enough, ends
the turn without a model call. Every failure is a fallback with the code of the phase it fell in.
"""

from collections.abc import Sequence

import trio
from attrs import frozen

from contracts.chat import ChatRequest, Source
from contracts.codec import encode
from contracts.events import SourcesFound
from contracts.generation import Chunk, Context, GenerateRequest, PromptMessage
from contracts.limits import SNIPPET_CHARS
from contracts.reasons import ReasonCode
from hop.call import HopFault, NextHop
from hop.incoming import Call
from hop.spans import span
from hop.stream import EventSink
from hop.waiting import waiting
from qs.config import QueryServiceSettings
from qs.llmgw_client import Generation
from qs.retrieval.followup import FUSED_HITS, fused, queries
from qs.retrieval.port import Hit, RetrievalFault, Retriever, best_score
from qs.sessions import Part
from qs.store.recorder import RecordingSink


@frozen
class Turn:
    """One question, what it is part of and what it needs.

    `stream`: whether the caller wants the answer streamed.
    """

    settings: QueryServiceSettings
    retriever: Retriever
    llmgw: NextHop
    request: ChatRequest
    part: Part
    stream: bool

    async def tell(self, sink: RecordingSink) -> None:
        """The whole turn, to `done`."""
        await sink.begin()
        if self.part.fault is not None:
            log = sink.call.program.log
            log.warning("store failed", phase=sink.call.phase, detail=self.part.fault)
            return await sink.fail(ReasonCode.STORE_UNAVAILABLE)
        try:
            with span("retrieve") as part:
                hits = await self._retrieve(sink.call)
                part.set("bsl.hits", len(hits))
            sink.found(hits)
            if hits:
                await sink.emit(SourcesFound(tuple(_source(hit) for hit in hits)))
            if gate := self._gate(hits):
                return await sink.fail(gate)
            with span("generate"):
                await self._generate(hits, sink)
        except (RetrievalFault, HopFault) as fault:
            sink.call.program.log.warning(
                "turn failed",
                reason_code=fault.code,
                phase=sink.call.phase,
                detail=fault.detail,
            )
            retry_after_ms = fault.retry_after_ms if isinstance(fault, HopFault) else None
            await sink.fail(fault.code, retry_after_ms=retry_after_ms)

    async def _retrieve(self, call: Call) -> Sequence[Hit]:
        call.phase = "retrieval"
        if self.settings.log_content:
            call.program.log.info("question", content=self.request.message.content)
        began = call.program.now()
        limit = began + self.settings.retrieval_timeout_ms / 1000
        with trio.move_on_at(min(limit, call.deadline.at)) as scope:
            hits = await self._search(self.request.options.top_k)
        call.timings_ms["retrieval"] = round((call.program.now() - began) * 1000)
        if scope.cancelled_caught:
            raise HopFault(ReasonCode.RAG_TIMEOUT, "the search took too long")
        return hits

    async def _search(self, top_k: int) -> Sequence[Hit]:
        asked = queries(self.request.message.content, self.part.earlier)
        many = max(top_k, FUSED_HITS) if len(asked) > 1 else top_k
        with waiting():
            return fused([await self.retriever.search(words, many) for words in asked], top_k)

    def _gate(self, hits: Sequence[Hit]) -> ReasonCode | None:
        if not hits:
            return ReasonCode.RAG_NO_CHUNKS
        if best_score(hits) < self.settings.min_score:
            return ReasonCode.RAG_LOW_SCORE
        return None

    async def _generate(self, hits: Sequence[Hit], sink: EventSink) -> None:
        call = sink.call
        call.phase = "generation"
        asked = self._asked(hits)
        chunks = {chunk.chunk_id: chunk for chunk in asked.context.chunks}
        generation = Generation(call.ids, chunks, asked.citations_required)
        with trio.move_on_at(call.deadline.at):
            headers = call.onward_headers()
            async with self.llmgw.ask("/v1/generate", headers, encode(asked)) as reply:
                if not reply.ok:
                    raise (await reply.error()).fault()
                relay = generation.relay_stream if asked.stream else generation.relay_body
                return await relay(reply, sink)
        raise HopFault(ReasonCode.HOP_TIMEOUT, "the gateway did not end its answer in time")

    def _asked(self, hits: Sequence[Hit]) -> GenerateRequest:
        """What the gateway is asked; the ids and the deadline go in headers."""
        question = PromptMessage("user", self.request.message.content)
        return GenerateRequest(
            messages=(*self.part.history, question),
            model=self.settings.llm_model or None,
            context=Context(tuple(_chunk(hit) for hit in hits)),
            citations_required=self.request.options.citations_required,
            stream=self.stream and self.settings.chat_stream_enabled,
        )


def _source(hit: Hit) -> Source:
    return Source(
        chunk_id=hit.chunk_id,
        doc_id=hit.doc_id,
        title=hit.title,
        url=hit.url,
        snippet=hit.content[:SNIPPET_CHARS],
        score=hit.score,
    )


def _chunk(hit: Hit) -> Chunk:
    return Chunk(hit.chunk_id, hit.content, hit.title, hit.url)
