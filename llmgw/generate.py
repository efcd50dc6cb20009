"""One generation, start to end: prompt → model → proof → events.

The model is asked with aliases for the passages; what it writes goes through `reply`, which proves
every citation before the first text is let out. The total deadline is a hard cancel scope: when it
passes, the connection to the model server is closed and the answer ends in PROVIDER_TIMEOUT.
"""

from collections.abc import Sequence

import trio
from attrs import define, field, frozen

from contracts.chat import Citation, Usage
from contracts.events import CitationsProved, Delta
from contracts.generation import Chunk, GenerateRequest
from contracts.reasons import ReasonCode
from hop.stream import EventSink
from llmgw import prompt
from llmgw.config import GatewaySettings
from llmgw.faults import GenerationFault
from llmgw.model_state import ModelState
from llmgw.providers.port import Content, ModelCall, ModelEvent, PromptMessage
from llmgw.reply import CitedChunks, Reply, TextOut


@frozen
class Generation:
    """One request, and what it needs. `boundary` is random hex, new for each request."""

    settings: GatewaySettings
    provider: ModelState
    request: GenerateRequest
    boundary: str

    async def tell(self, sink: EventSink) -> None:
        """The whole generation, to `done`."""
        await sink.begin()
        sink.call.phase = "model"
        call = self._model_call()
        reply = self._reply(call)
        try:
            await self._within_deadline(call, reply, sink)
        except GenerationFault as fault:
            log = sink.call.program.log
            # An abstention is an answer like any other; everything else asks for a look.
            tell = log.info if fault.code is ReasonCode.MODEL_ABSTAINED else log.warning
            tell("no answer", reason_code=fault.code, detail=fault.detail)
            await sink.fail(
                fault.code,
                retry_after_ms=fault.retry_after_ms,
                model=reply.model or call.model,
                usage=_usage(reply),
            )
            return
        if usage := _usage(reply):
            sink.call.program.metrics.tokens(usage.prompt_tokens, usage.completion_tokens)
        await sink.done(reply.model or call.model, usage)

    async def _within_deadline(self, call: ModelCall, reply: Reply, sink: EventSink) -> None:
        with trio.move_on_at(sink.call.deadline.at):
            with sink.call.program.metrics.upstream_streams.track_inprogress():
                await self._generate(call, reply, sink)
            return
        if sink.call.phase == "loading":
            raise GenerationFault(ReasonCode.PROVIDER_LOADING, "the model was still loading")
        raise GenerationFault(ReasonCode.PROVIDER_TIMEOUT, "the generation took too long")

    async def _generate(self, call: ModelCall, reply: Reply, sink: EventSink) -> None:
        """Ask the model and let out what is proved, as it comes."""
        outlet = _Outlet(sink, self.request.context.chunks, whole=not call.stream)
        sink.call.phase = "loading"
        await self.provider.wait_ready(call.model)
        sink.call.phase = "model"
        async with self.provider.open(call) as events:
            async for event in events:
                self._log_content(event, sink)
                await outlet.let_out(reply.feed(event))
        await outlet.let_out(reply.close())
        await outlet.close()

    def _log_content(self, event: ModelEvent, sink: EventSink) -> None:
        """What the model writes, before it is judged; only where LOG_CONTENT asks for it."""
        if self.settings.log_content and isinstance(event, Content):
            sink.call.program.log.info("model wrote", content=event.text)

    def _model_call(self) -> ModelCall:
        """The request as the model server gets it: the one mapping from ours to theirs."""
        request, settings = self.request, self.settings
        chunks = request.context.chunks
        messages = prompt.build(
            [PromptMessage(message.role, message.content) for message in request.messages],
            [prompt.PromptChunk(chunk.title or "", chunk.content) for chunk in chunks],
            boundary=self.boundary,
            citations_required=request.citations_required,
        )
        model, max_tokens = request.model or settings.model, request.max_tokens
        max_tokens = max_tokens or settings.max_tokens
        return ModelCall(
            model=model,
            messages=messages,
            max_tokens=max_tokens,
            temperature=(
                settings.temperature if request.temperature is None else request.temperature
            ),
            stream=request.stream and settings.stream_enabled,
            schema=(
                self.provider.schema_for(model, len(chunks), max_tokens)
                if request.citations_required
                else None
            ),
        )

    def _reply(self, call: ModelCall) -> Reply:
        chunks = self.request.context.chunks
        return Reply(
            alias_count=len(chunks),
            citations_required=self.request.citations_required,
            allowed_urls=[chunk.url for chunk in chunks if chunk.url],
            allowed_texts=[chunk.content for chunk in chunks],
            prompt_chars=sum(len(message.content) for message in call.messages),
        )


@define
class _Outlet:
    """What was proved, on its way to the caller. `whole`: all text in one `delta` at the end."""

    sink: EventSink
    chunks: Sequence[Chunk]
    whole: bool
    _held: list[str] = field(factory=list, init=False)

    async def let_out(self, outputs: Sequence[CitedChunks | TextOut]) -> None:
        for output in outputs:
            if isinstance(output, CitedChunks):
                cited = tuple(self._citation(alias) for alias in output.aliases)
                await self.sink.emit(CitationsProved(cited))
            elif self.whole:
                self._held.append(output.text)
            else:
                await self.sink.emit(Delta(output.text))

    async def close(self) -> None:
        if self._held:
            await self.sink.emit(Delta("".join(self._held)))

    def _citation(self, alias: str) -> Citation:
        """The passage an alias stands for: title and url are the request's, never the model's."""
        chunk = self.chunks[int(alias.removeprefix("c")) - 1]
        return Citation(chunk.chunk_id, alias, chunk.title, chunk.url)


def _usage(reply: Reply) -> Usage | None:
    if reply.usage is None:
        return None
    return Usage(reply.usage.prompt_tokens, reply.usage.completion_tokens)
