"""Each service alone as its callers see it: what it takes, and a stage on which it answers well.

    for provider in PROVIDERS:
        async with open_provider(provider) as client:
            await client.post(provider.url(), content=provider.good)

Behind the BFF and QS a next hop is played that answers whatever it is asked, well and with the
asked ids; behind LLMGW stands the fake model server.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal

import httpx
from attrs import frozen

from contracts.chat import ChatRequest
from contracts.generation import GenerateRequest
from contracts.limits import CHAT_BODY_BYTES, GENERATE_BODY_BYTES
from harness.alone import (
    CHAT,
    CITATIONS,
    GENERATE,
    OK,
    Hop,
    done_data,
    frame,
    good_stream,
    open_alone,
    plain_answer,
)
from harness.hop_stage import Asked, Upstream, sse, whole
from harness.memory_stream import MemoryStream
from harness.places import Json
from harness.world import open_world

JSON: Final = {"content-type": "application/json"}


@frozen
class Provider:
    """One call of one service (CONTRACT §1): its path, its body, and the schema of its answer."""

    service: Literal["bff", "qs", "llmgw"]
    path: str
    kind: type[ChatRequest] | type[GenerateRequest]
    answer: Literal["chat-response", "generate-response"]
    good: Json
    body_bytes: int

    @property
    def name(self) -> str:
        """For the names of tests."""
        return self.service + self.path.replace("/", "-")

    @property
    def host(self) -> str:
        """Where it listens on its stage."""
        return "http://llmgw" if self.service == "llmgw" else "http://hop"

    def url(self, *, stream: bool = False) -> str:
        """Where to post; `/v1/generate` is told in its body whether to stream."""
        query = "?stream=true" if stream and self.kind is ChatRequest else ""
        return f"{self.host}{self.path}{query}"


def _chat(service: Hop, path: str) -> Provider:
    return Provider(service, path, ChatRequest, "chat-response", CHAT, CHAT_BODY_BYTES)


PROVIDERS: Final = (
    _chat("bff", "/chat"),
    _chat("bff", "/v1/chat"),
    _chat("qs", "/chat"),
    Provider(
        "llmgw", "/v1/generate", GenerateRequest, "generate-response", GENERATE, GENERATE_BODY_BYTES
    ),
)


@asynccontextmanager
async def open_provider(provider: Provider) -> AsyncIterator[httpx.AsyncClient]:
    """The service, running, and a client whose only network it is on."""
    if provider.service == "llmgw":
        async with open_world([], only=("model", "llmgw")) as world:
            yield world.client
    else:
        async with open_alone(provider.service, answering(provider.service)) as stage:
            yield stage.client
            await stage.at_rest()


def answering(hop: Hop) -> Upstream:
    """A next hop that answers each call well, with its ids and what it may cite."""

    async def play(connection: MemoryStream) -> None:
        asked = upstream.asked[-1]
        if asked.line.startswith("GET "):
            return await whole(200, {"status": "ok"})(connection)
        answer = _streamed if _is_stream(asked) else _plain
        return await answer(hop, asked, connection)

    upstream = Upstream(play)
    return upstream


def _is_stream(asked: Asked) -> bool:
    body = json.loads(asked.body)
    return bool(body.get("stream") or body.get("options", {}).get("stream"))


async def _plain(hop: Hop, asked: Asked, connection: MemoryStream) -> None:
    _, answer = plain_answer(hop, OK)
    citations = _citable(asked)
    await whole(200, {**answer, **_ids(asked), "citations": citations})(connection)


async def _streamed(hop: Hop, asked: Asked, connection: MemoryStream) -> None:
    citations = _citable(asked)
    events = dict(good_stream(hop, OK))
    events["meta"] = {**events["meta"], **_ids(asked)}
    events["citations"] = {"citations": citations}
    events["done"] = {**done_data(OK), "citations": citations}
    if not citations:
        del events["citations"]
    await sse(*(frame(name, data) for name, data in events.items()))(connection)


def _ids(asked: Asked) -> Json:
    trace_id = asked.headers["traceparent"].split("-")[1]
    return {"request_id": asked.headers["x-request-id"], "trace_id": trace_id}


def _citable(asked: Asked) -> list[Json]:
    """What the asked call may be answered with: citations of its own chunks, where any are due."""
    body = json.loads(asked.body)
    required = {"citations_required": True, **body.get("options", {}), **body}
    if not required["citations_required"]:
        return []
    chunks = body.get("context", {}).get("chunks")
    known = None if chunks is None else {chunk["chunk_id"] for chunk in chunks}
    return [one for one in CITATIONS if known is None or one["chunk_id"] in known]
