"""One generation, start to end: prompt → attempts at the model → proof → events.

The model is asked with aliases for the passages; what it writes goes through `reply`, which proves
every citation before the first text is let out. An attempt that fails is followed by another one
where `attempts` says so, and only while nothing but `meta` was sent; no connection to the model
server is held in the pause. Where the circuit breaker has had enough of that server, nobody asks.

The total deadline is a hard cancel scope around each attempt: when it passes, the connection to the
model server is closed and the answer ends in PROVIDER_TIMEOUT. No pause is
begun that would pass it.
"""

import math
from collections.abc import Sequence

import trio
from attrs import define, field, frozen

from contracts.chat import Citation, Usage
from contracts.events import CitationsProved, Delta
from contracts.generation import Chunk, GenerateRequest
from contracts.reasons import ReasonCode
from hop.spans import span
from hop.stream import EventSink
from hop.waiting import waiting
from llmgw.asked import Asked, asked_by
from llmgw.attempts import next_pause_s
from llmgw.breaker import Breaker, Verdict, verdict_on
from llmgw.config import GatewaySettings
from llmgw.faults import GenerationFault
from llmgw.gen_ai import ModelFigures
from llmgw.model_state import ModelState
from llmgw.providers.port import Content, ModelCall, ModelEvent
from llmgw.reply import CitedChunks, Reply, TextOut


@frozen
class Generation:
    """One request, and what it needs. `boundary` is random hex, new for each request.

    The breaker is the model server's, shared by all who ask it.
    """

    settings: GatewaySettings
    provider: ModelState
    breaker: Breaker
    figures: ModelFigures
    request: GenerateRequest
    boundary: str

    async def tell(self, sink: EventSink) -> None:
        """The whole generation, to `done`."""
        with span("generate"):
            await self._tell(sink)

    async def _tell(self, sink: EventSink) -> None:
        await sink.begin()
        sink.call.phase = "model"
        asked = asked_by(self.request, self.settings, self.boundary, self.provider.schema_for)
        if asked.prompt.left_out:
            sink.call.program.log.info("prompt shortened", detail=asked.prompt.left_out)
        attempt = await self._last_attempt(asked, sink)
        model, usage = attempt.reply.model or asked.call.model, _usage(attempt.reply)
        if (fault := attempt.fault) is not None:
            log = sink.call.program.log
            # An abstention is an answer like any other; everything else asks for a look.
            tell = log.info if fault.code is ReasonCode.MODEL_ABSTAINED else log.warning
            tell("no answer", reason_code=fault.code, detail=fault.detail)
            retry_after_ms = fault.retry_after_ms
            await sink.fail(fault.code, retry_after_ms=retry_after_ms, model=model, usage=usage)
            return
        await sink.done(model, usage)

    async def _last_attempt(self, asked: Asked, sink: EventSink) -> "_Attempt":
        """The attempt that was answered, or whose fault stands; as far as the breaker lets it."""
        program = sink.call.program
        try:
            asked.prompt.must_fit()
        except GenerationFault as fault:
            return self._unasked(fault, asked, sink)
        permit = self.breaker.permit(program.now())
        if permit is None:
            return self._unasked(self._circuit_open(program.now()), asked, sink)
        verdict = Verdict.UNKNOWN  # Whoever is cancelled has proved nothing.
        try:
            attempt = await self._ask(asked, sink)
            verdict = self._verdict(attempt, program.now())
            return attempt
        finally:
            if state := self.breaker.settle(permit, verdict, program.now()):
                program.log.warning("circuit changed", state=state.name.lower())

    def _unasked(self, fault: GenerationFault, asked: Asked, sink: EventSink) -> "_Attempt":
        """The attempt that is not made."""
        outlet = self._outlet(asked, sink)
        return _Attempt(sink.call.program.now(), asked.reply(), outlet, fault=fault)

    def _circuit_open(self, now: float) -> GenerationFault:
        return GenerationFault(
            ReasonCode.PROVIDER_CIRCUIT_OPEN,
            "the model server keeps failing; it is not asked for now",
            retry_after_ms=math.ceil(self.breaker.closed_in_s(now) * 1000),
        )

    def _verdict(self, attempt: "_Attempt", now: float) -> Verdict:
        """What the last attempt says of the server's health."""
        if attempt.fault is None:
            return Verdict.WORKS
        return verdict_on(
            attempt.fault.code,
            silent_for_s=0.0 if attempt.has_heard else now - attempt.began,
            patience_s=self.settings.first_token_timeout_ms / 1000,
        )

    async def _ask(self, asked: Asked, sink: EventSink) -> "_Attempt":
        """Ask until there is an answer, or a fault that stands."""
        made, attempt = 1, await self._attempt(asked, sink)
        while (pause_s := self._pause_s(attempt, made, sink)) is not None:
            with waiting(), span("pause"):
                await trio.sleep(pause_s)
            made, attempt = made + 1, await self._attempt(asked, sink)
        return attempt

    def _pause_s(self, attempt: "_Attempt", made: int, sink: EventSink) -> float | None:
        """Seconds until the next attempt; None where this one is the last."""
        fault, program = attempt.fault, sink.call.program
        if fault is None or attempt.outlet.has_told:
            return None
        pause_s = next_pause_s(
            fault,
            made=made,
            max_attempts=self.settings.max_attempts,
            now=program.now(),
            due=sink.call.deadline,
            chance=int(program.new_hex(8), 16) / 0xFFFF_FFFF,
        )
        if pause_s is not None:
            about = {"reason_code": fault.code, "detail": fault.detail}
            program.log.info("asking again", made=made, pause_ms=round(pause_s * 1000), **about)
        return pause_s

    async def _attempt(self, asked: Asked, sink: EventSink) -> "_Attempt":
        """One attempt, with a reply of its own, over when this returns."""
        began = sink.call.program.now()
        attempt = _Attempt(began, asked.reply(), self._outlet(asked, sink))
        try:
            with span("attempt"):
                await self._within_deadline(asked.call, attempt, sink)
        except GenerationFault as fault:
            attempt.fault = fault
        return attempt

    async def _within_deadline(self, call: ModelCall, attempt: "_Attempt", sink: EventSink) -> None:
        with trio.move_on_at(sink.call.deadline.at):
            with sink.call.program.metrics.upstream_streams.track_inprogress():
                await self._generate(call, attempt, sink)
            return
        if sink.call.phase == "loading":
            raise GenerationFault(ReasonCode.PROVIDER_LOADING, "the model was still loading")
        raise GenerationFault(ReasonCode.PROVIDER_TIMEOUT, "the generation took too long")

    async def _generate(self, call: ModelCall, attempt: "_Attempt", sink: EventSink) -> None:
        """Ask the model and let out what is proved, as it comes."""
        reply, outlet = attempt.reply, attempt.outlet
        sink.call.phase = "loading"
        with waiting():
            await self.provider.wait_ready(call.model)
        sink.call.phase = "model"
        with self.figures.asking(call, sink.call.program.now) as asking:
            async with self.provider.open(call) as events:
                async for event in events:
                    attempt.has_heard = True
                    asking.heard(event)
                    self._log_content(event, sink)
                    await outlet.let_out(reply.feed(event))
            await outlet.let_out(reply.close())
        await outlet.close()

    def _log_content(self, event: ModelEvent, sink: EventSink) -> None:
        """What the model writes, before it is judged; only where LOG_CONTENT asks for it."""
        if self.settings.log_content and isinstance(event, Content):
            sink.call.program.log.info("model wrote", content=event.text)

    def _outlet(self, asked: Asked, sink: EventSink) -> "_Outlet":
        whole = not (self.request.stream and asked.call.stream)
        return _Outlet(sink, self.request.context.chunks, whole)


@define
class _Outlet:
    """What was proved, on its way to the caller. `whole`: all at the end, its text in one `delta`.

    Nothing is told of a whole answer before it is proved, so that another attempt can be made.
    """

    sink: EventSink
    chunks: Sequence[Chunk]
    whole: bool
    has_told: bool = field(default=False, init=False)
    _held: list[CitedChunks | TextOut] = field(factory=list, init=False)

    async def let_out(self, outputs: Sequence[CitedChunks | TextOut]) -> None:
        if self.whole:
            self._held += outputs
            return
        for output in outputs:
            await self._tell(output)

    async def close(self) -> None:
        cited = [output for output in self._held if isinstance(output, CitedChunks)]
        text = "".join(output.text for output in self._held if isinstance(output, TextOut))
        for output in (*cited, *([TextOut(text)] if text else ())):
            await self._tell(output)

    async def _tell(self, output: CitedChunks | TextOut) -> None:
        self.has_told = True
        if isinstance(output, CitedChunks):
            cited = tuple(self._citation(alias) for alias in output.aliases)
            await self.sink.emit(CitationsProved(cited))
        else:
            await self.sink.emit(Delta(output.text))

    def _citation(self, alias: str) -> Citation:
        """The passage an alias stands for: title and url are the request's, never the model's."""
        chunk = self.chunks[int(alias.removeprefix("c")) - 1]
        return Citation(chunk.chunk_id, alias, chunk.title, chunk.url)


@define
class _Attempt:
    """One call of the model: what it said, what was let out of that, and what went wrong."""

    began: float
    reply: Reply
    outlet: _Outlet
    has_heard: bool = False
    fault: GenerationFault | None = None


def _usage(reply: Reply) -> Usage | None:
    if reply.usage is None:
        return None
    return Usage(reply.usage.prompt_tokens, reply.usage.completion_tokens)
