"""LLMGW: `POST /v1/generate` on top of one model server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx
import trio
from attrs import frozen
from quart import Response

from contracts.codec import encode
from contracts.generation import GenerateRequest, GenerateResponse
from contracts.limits import GENERATE_BODY_BYTES
from hop.app import Route, answer_calls, body_response, make_app
from hop.incoming import Call, Received, known_caller
from hop.lifetime import HopApp
from hop.program import Program
from hop.stream import Collector, collected, streamed
from hop.waiting import waiting
from llmgw.admission import Admission
from llmgw.breaker import Breaker
from llmgw.config import GatewaySettings
from llmgw.gen_ai import ModelFigures
from llmgw.generate import Generation
from llmgw.model_state import ModelState
from llmgw.providers.openai_compat import OpenAICompat
from llmgw.providers.port import Provider
from llmgw.providers.toy import Toy
from llmgw.providers.upstream import Clocks

_BOUNDARY_HEX = 16
# The toy's pace: slow enough that a stream is seen to stream.
_TOY_PAUSE_S = 0.01


@asynccontextmanager
async def open_app(
    program: Program, settings: GatewaySettings, client: httpx.AsyncClient
) -> AsyncIterator[HopApp]:
    """The gateway's app with the provider that its settings name."""
    models = make_models(program, settings, client)
    async with trio.open_nursery() as nursery:
        models.begin()
        nursery.start_soon(models.run)
        yield make_llmgw(program, settings, models)
        nursery.cancel_scope.cancel()


def make_models(
    program: Program, settings: GatewaySettings, client: httpx.AsyncClient
) -> ModelState:
    """The model server that the settings name, with what is known of its model."""
    return ModelState(
        make_provider(settings, client),
        settings.model,
        program.log,
        settings.load_timeout_ms / 1000,
        settings.preload,
        settings.answer_chars,
        settings.schema_enabled,
        settings.stream_enabled,
    )


def make_provider(settings: GatewaySettings, client: httpx.AsyncClient) -> Provider:
    """The model server that the settings name."""
    if settings.provider == "toy":
        return Toy(_toy_pause)
    clocks = Clocks(
        connect_s=settings.connect_timeout_ms / 1000,
        first_token_s=settings.first_token_timeout_ms / 1000,
        idle_s=settings.idle_timeout_ms / 1000,
    )
    return OpenAICompat(client, settings.base_url, settings.api_key, clocks)


async def _toy_pause() -> None:
    with waiting():
        await trio.sleep(_TOY_PAUSE_S)


def make_llmgw(program: Program, settings: GatewaySettings, models: ModelState) -> HopApp:
    """The gateway's app over any model server."""
    admission = Admission(settings.max_concurrency, settings.max_queue, settings.queue_timeout_ms)
    program.metrics.watch("bsl_slots_taken", "Calls that hold a slot", lambda: admission.taken)
    program.metrics.watch("bsl_queue_length", "Calls in the queue", lambda: admission.waiting)
    app = make_app(
        program,
        body_bytes=GENERATE_BODY_BYTES,
        own={},
        neighbours={
            "slots": admission.check,
            "model_server": models.check,
            "constrained_decoding": models.check_constraint,
        },
    )
    breaker = Breaker(settings.breaker_failures, settings.breaker_cooldown_ms / 1000)
    figures = ModelFigures(settings, program.metrics)
    gateway = _Gateway(settings, admission, models, breaker, figures)
    route = Route("/v1/generate", GenerateRequest, GENERATE_BODY_BYTES)
    admit = partial(known_caller, keys=settings.api_keys)
    answer_calls(app, program, route, admit, gateway.answer)
    return app


@frozen
class _Gateway:
    settings: GatewaySettings
    admission: Admission
    models: ModelState
    breaker: Breaker
    figures: ModelFigures

    async def answer(self, call: Call, received: Received[GenerateRequest]) -> Response:
        request = received.body
        call.named(request.request_id, request.trace_id)
        call.due(self.settings.timeout_ms)
        await self.admission.admit(call)
        boundary = call.program.new_hex(_BOUNDARY_HEX)
        generation = Generation(
            self.settings, self.models, self.breaker, self.figures, request, boundary
        )
        required = request.citations_required
        if request.stream:
            return await streamed(call, generation.tell, citations_required=required)
        collector = await collected(call, generation.tell, citations_required=required)
        return body_response(encode(_response(collector)), call.ids)


def _response(collector: Collector) -> GenerateResponse:
    done = collector.done_event
    assert done is not None, "a producer ends in done"
    return GenerateResponse(
        version="v1",
        trace_id=collector.call.ids.trace_id,
        request_id=collector.call.ids.request_id,
        model=done.model,
        status=done.status,
        reason_code=done.reason_code,
        message_key=done.message_key,
        retry_after_ms=done.retry_after_ms,
        content=collector.text if done.status == "ok" else None,
        citations=done.citations,
        usage=done.usage,
        timings_ms=done.timings_ms,
    )
