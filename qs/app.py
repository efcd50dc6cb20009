"""QS: `POST /chat` on top of one search index and one gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx
from attrs import frozen
from quart import Response

from contracts.chat import ChatRequest
from contracts.codec import encode
from contracts.limits import CHAT_BODY_BYTES
from contracts.reasons import ReasonCode
from hop.app import Route, answer_calls, body_response, make_app
from hop.call import NextHop
from hop.chat_body import chat_response
from hop.incoming import Call, Received, Refusal, known_caller
from hop.lifetime import HopApp
from hop.program import Program
from hop.stream import collected, streamed
from qs.config import QueryServiceSettings
from qs.retrieval.engines import open_retriever
from qs.retrieval.port import Retriever
from qs.turn import Turn


@asynccontextmanager
async def open_app(
    program: Program, settings: QueryServiceSettings, client: httpx.AsyncClient
) -> AsyncIterator[HopApp]:
    """QS's app on the search engine that the settings name, which it holds open."""
    async with open_retriever(settings) as retriever:
        yield make_qs(program, settings, client, retriever)


def make_qs(
    program: Program,
    settings: QueryServiceSettings,
    client: httpx.AsyncClient,
    retriever: Retriever,
) -> HopApp:
    """QS's app over any retriever."""
    connect_s = settings.hop_connect_timeout_ms / 1000
    llmgw = NextHop(client, settings.llm_url, connect_s, program.metrics, settings.llm_api_key)

    async def index_usable() -> tuple[bool, str]:
        state = await retriever.check()
        return state.ok, state.detail

    app = make_app(
        program,
        body_bytes=CHAT_BODY_BYTES,
        own={"index": index_usable},
        neighbours={"llmgw": llmgw.check},
    )
    chat = _Chat(settings, retriever, llmgw)
    route = Route("/chat", ChatRequest, CHAT_BODY_BYTES, frozenset({"stream"}))
    admit = partial(known_caller, keys=settings.api_keys)
    answer_calls(app, program, route, admit, chat.answer)
    return app


@frozen
class _Chat:
    settings: QueryServiceSettings
    retriever: Retriever
    llmgw: NextHop

    async def answer(self, call: Call, received: Received[ChatRequest]) -> Response:
        request = received.body
        call.named(request.request_id, request.trace_id)
        stream = received.stream or request.options.stream
        call.due(self.settings.chat_timeout_ms)
        if request.session_id is not None:
            raise Refusal(ReasonCode.INPUT_NOT_FOUND, "no session has this id")
        required = request.options.citations_required
        turn = Turn(self.settings, self.retriever, self.llmgw, request, stream)
        if stream:
            return await streamed(call, turn.tell, citations_required=required)
        collector = await collected(call, turn.tell, citations_required=required)
        return body_response(encode(chat_response(collector)), call.ids)
