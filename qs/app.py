"""QS: `POST /chat` on top of one search index and one gateway, and the sessions that it keeps."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx
from attrs import frozen
from quart import Response

from contracts.chat import ChatRequest
from contracts.codec import encode
from contracts.limits import CHAT_BODY_BYTES
from contracts.sessions import FeedbackRequest
from hop.app import Route, answer_calls, answer_named, body_response, make_app
from hop.call import NextHop
from hop.chat_body import chat_response
from hop.incoming import Call, Received
from hop.lifetime import HopApp
from hop.program import Program
from hop.stream import collected, streamed
from qs.config import QueryServiceSettings
from qs.retrieval.engines import open_retriever
from qs.retrieval.port import Retriever
from qs.sessions import Sessions, known_owner
from qs.store.keeping import Keeping, open_keeping
from qs.store.kept import Kept
from qs.turn import Turn


@asynccontextmanager
async def open_app(
    program: Program, settings: QueryServiceSettings, client: httpx.AsyncClient
) -> AsyncIterator[HopApp]:
    """QS's app on the search engine that the settings name, and on what it keeps."""
    async with (
        open_retriever(settings) as retriever,
        open_keeping(program, settings) as keeping,
    ):
        yield make_qs(program, settings, client, retriever, keeping)


def make_qs(
    program: Program,
    settings: QueryServiceSettings,
    client: httpx.AsyncClient,
    retriever: Retriever,
    keeping: Keeping,
) -> HopApp:
    """QS's app over any retriever, and over whatever keeps conversations."""
    connect_s = settings.hop_connect_timeout_ms / 1000
    llmgw = NextHop(client, settings.llm_url, connect_s, program.metrics, settings.llm_api_key)

    async def index_usable() -> tuple[bool, str]:
        state = await retriever.check()
        return state.ok, state.detail

    app = make_app(
        program,
        body_bytes=CHAT_BODY_BYTES,
        own={"index": index_usable, **keeping.own},
        neighbours={"llmgw": llmgw.check, **keeping.neighbours},
    )
    sessions = Sessions(settings, keeping.kept)
    chat = _Chat(settings, retriever, llmgw, keeping.kept, sessions)
    route = Route("/chat", ChatRequest, CHAT_BODY_BYTES, frozenset({"stream"}))
    admit = partial(known_owner, keys=settings.api_keys)
    answer_calls(app, program, route, admit, chat.answer)
    answer_named(app, program, "GET", "/sessions", admit, sessions.read)
    answer_named(app, program, "DELETE", "/sessions", admit, sessions.erase)
    rated = Route("/feedback", FeedbackRequest, CHAT_BODY_BYTES)
    answer_calls(app, program, rated, admit, sessions.rate)
    return app


@frozen
class _Chat:
    settings: QueryServiceSettings
    retriever: Retriever
    llmgw: NextHop
    kept: Kept
    sessions: Sessions

    async def answer(self, call: Call, received: Received[ChatRequest]) -> Response:
        request = received.body
        call.named(request.request_id, request.trace_id)
        stream = received.stream or request.options.stream
        call.due(self.settings.chat_timeout_ms)
        part = await self.sessions.part_of(call, request)
        call.session_id = part.told
        required = request.options.citations_required
        turn = Turn(self.settings, self.retriever, self.llmgw, request, part, stream)
        question = request.message.content
        tell = self.kept.recorded(call, question, part.session_id, opens=part.opens, tell=turn.tell)
        if stream:
            return await streamed(call, tell, citations_required=required)
        collector = await collected(call, tell, citations_required=required)
        return body_response(encode(chat_response(collector)), call.ids)
