"""The BFF: takes the client's call, opens one call to QS with what is left of the time, relays.

It answers 200 even where QS cannot be reached: a dead part behind it must not remove the one
program that can explain it. Its own refusals (bad input, draining) are errors with their status.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx
import trio
from attrs import evolve, frozen
from quart import Response

from bff.chat_page import add_pages, guard_answers
from bff.config import BffSettings
from bff.door import Door
from bff.qs_client import Answering, answered, relay
from bff.sessions import Sessions, owner_headers
from contracts.chat import ChatRequest
from contracts.codec import encode
from contracts.limits import CHAT_BODY_BYTES
from contracts.reasons import ReasonCode
from contracts.sessions import FeedbackRequest
from hop.app import Route, answer_calls, answer_named, body_response, make_app
from hop.call import HopFault, NextHop, Reply
from hop.chat_body import chat_response
from hop.incoming import Call, Outcome, Received, Refusal, shutting_down
from hop.lifetime import HopApp
from hop.program import Program
from hop.stream import EventSink, StreamSink, collected, streamed


@asynccontextmanager
async def open_app(
    program: Program, settings: BffSettings, client: httpx.AsyncClient
) -> AsyncIterator[HopApp]:
    """The BFF's app; it holds nothing but the client it was given."""
    connect_s = settings.hop_connect_timeout_ms / 1000
    qs = NextHop(client, settings.qs_url, connect_s, program.metrics, settings.qs_api_key)
    app = make_app(program, body_bytes=CHAT_BODY_BYTES, own={}, neighbours={"qs": qs.check})
    door = Door.of(settings)
    door.tell_pages(app)
    chat = _Chat(settings, qs)
    for path in ("/chat", "/v1/chat"):
        route = Route(path, ChatRequest, CHAT_BODY_BYTES, frozenset({"stream"}))
        answer_calls(app, program, route, door.admit, chat.answer)
    sessions = Sessions(settings, qs)
    answer_named(app, program, "GET", "/sessions", door.admit, sessions.read)
    answer_named(app, program, "DELETE", "/sessions", door.admit, sessions.erase)
    rated = Route("/feedback", FeedbackRequest, CHAT_BODY_BYTES)
    answer_calls(app, program, rated, door.admit, sessions.rate)
    add_pages(app)
    guard_answers(app)
    yield app


@frozen
class _Chat:
    settings: BffSettings
    qs: NextHop

    async def answer(self, call: Call, received: Received[ChatRequest]) -> Response:
        request = received.body
        call.named(request.request_id, request.trace_id)
        stream = received.stream or request.options.stream
        call.due(self.settings.chat_timeout_ms)
        call.session_id = request.session_id
        request = evolve(request, options=evolve(request.options, stream=stream))
        answer = self._streamed if stream else self._plain
        return await answer(call, request)

    async def _streamed(self, call: Call, request: ChatRequest) -> Response:
        required = request.options.citations_required
        try:
            reply = await self._asked(call, request)
        except HopFault as fault:
            failing = partial(_fail, fault=fault)
            return await streamed(call, failing, citations_required=required)

        async def produce(sink: EventSink) -> None:
            assert isinstance(sink, StreamSink)
            await _relayed(reply, sink, request)

        return await streamed(call, produce, citations_required=required)

    async def _plain(self, call: Call, request: ChatRequest) -> Response:
        try:
            with call.program.drain.work() as drain, trio.move_on_at(call.deadline.at):
                reply = await self._asked(call, request)
                whole = await answered(reply, Answering(call.ids, request))
                response = whole.response
                call.outcome = Outcome(response.status, response.reason_code)
                call.answer_told()
                return body_response(whole.raw, call.ids)
            if drain.cancelled_caught:
                raise shutting_down()
            raise HopFault(ReasonCode.HOP_TIMEOUT, "no answer from QS in time")
        except HopFault as fault:
            failing = partial(_fail, fault=fault)
            collector = await collected(
                call, failing, citations_required=request.options.citations_required
            )
            return body_response(encode(chat_response(collector)), call.ids)

    async def _asked(self, call: Call, request: ChatRequest) -> Reply:
        """QS's reply, its head read, open for the rest of the request. Raises HopFault, Refusal."""
        call.phase = "calling qs"
        headers = {**call.onward_headers(), **owner_headers(call)}
        post = self.qs.ask("/chat", headers, encode(request))
        with call.program.drain.work() as drain, trio.move_on_at(call.deadline.at):
            reply = await call.request.lifetime.enter_async_context(post)
            call.phase = "relaying"
            if reply.ok:
                return reply
            error = await reply.error()
            if error.code is ReasonCode.INPUT_NOT_FOUND:
                raise Refusal(error.code, error.message)
            raise error.fault()
        if drain.cancelled_caught:
            raise shutting_down()
        raise HopFault(ReasonCode.HOP_TIMEOUT, "no answer from QS in time")


async def _relayed(reply: Reply, sink: StreamSink, request: ChatRequest) -> None:
    """QS's stream, or where it breaks off what it left plus the end that it owes."""
    try:
        with trio.move_on_at(sink.call.deadline.at):
            return await relay(reply, sink, Answering(sink.call.ids, request))
        raise HopFault(ReasonCode.HOP_TIMEOUT, "QS did not end its answer in time")
    except HopFault as fault:
        await _fail(sink, fault=fault)


async def _fail(sink: EventSink, *, fault: HopFault) -> None:
    sink.call.program.log.warning("next hop failed", reason_code=fault.code, detail=fault.detail)
    await sink.fail(fault.code, retry_after_ms=fault.retry_after_ms)
