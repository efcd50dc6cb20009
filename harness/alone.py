"""One program alone, its next hop played byte for byte: the BFF without QS, QS without LLMGW.

    async with open_alone("qs", upstream) as stage:     the program is `http://hop`
        await stage.post(ask(cited=True), "/chat?stream=true")

Beside them good messages of every type, written out, as the hop before it would send them: what
the tests spoil. `IDS` are in all of them, so that an answer is the asked call's own.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, Literal

import httpx
from attrs import frozen

from bff.app import open_app as open_bff
from bff.config import BffSettings
from contracts import sse
from contracts.chat import ChatRequest, ChatResponse
from contracts.events import CitationsProved, Delta, Done, Failed, Meta, SourcesFound
from contracts.generation import GenerateRequest, GenerateResponse
from contracts.reasons import ReasonCode
from harness.hop_stage import Stage, Upstream, chat, open_stage
from harness.memory_store import keeping_in_memory
from harness.places import Json
from harness.world import FixedRetriever
from hop.lifetime import HopApp
from hop.program import Program
from qs.app import make_qs
from qs.config import QueryServiceSettings
from qs.retrieval.port import Hit

Hop = Literal["bff", "qs"]
HOPS: Final[tuple[Hop, ...]] = ("bff", "qs")
TRACE, REQUEST = "ab" * 16, "r-1"
IDS: Final = {"trace_id": TRACE, "request_id": REQUEST}
CODE: Final = ReasonCode.PROVIDER_TIMEOUT
HITS: Final = (
    Hit("d#1", "d", "First", "https://x.example/1", "One.", 0.9),
    Hit("d#2", "d", None, None, "Two.", 1.0),
)
_NO_CITATIONS: Final = {"options": {"citations_required": False}}


@asynccontextmanager
async def open_alone(
    hop: Hop, upstream: Upstream, environ: Mapping[str, str] | None = None
) -> AsyncIterator[Stage]:
    """The program, running, whose next hop is `upstream`; QS finds `HITS` for every question."""
    given = environ or {}
    if hop == "bff":
        env = {"BFF_QS_URL": "http://next", **given}
        async with open_stage(BffSettings, open_bff, upstream=upstream, environ=env) as stage:
            yield stage
    else:
        env = {"QS_LLM_URL": "http://next", **given}
        async with open_stage(
            QueryServiceSettings, _open_qs, upstream=upstream, environ=env
        ) as stage:
            yield stage


@asynccontextmanager
async def _open_qs(
    program: Program, settings: QueryServiceSettings, client: httpx.AsyncClient
) -> AsyncIterator[HopApp]:
    async with keeping_in_memory(program) as keeping:
        yield make_qs(program, settings, client, FixedRetriever(HITS), keeping)


def ask(*, cited: bool) -> bytes:
    """A question that carries `IDS`."""
    return chat("Why?", **IDS, **({} if cited else _NO_CITATIONS))


# Good requests, with every key that they can have at once.

CHAT: Final[Json] = {
    "version": "v1",
    **IDS,
    "message": {"role": "user", "content": "Why “so”?"},
    "history": [
        {"role": "user", "content": "What is it?"},
        {"role": "assistant", "content": "It is one."},
    ],
    "options": {"stream": False, "top_k": 6, "citations_required": True},
}
GENERATE: Final[Json] = {
    "version": "v1",
    **IDS,
    "model": "fake",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why “so”?"},
    ],
    "max_tokens": 512,
    "temperature": 0.2,
    "context": {"chunks": [{"chunk_id": "d#1", "title": "T", "url": "u", "content": "One."}]},
    "citations_required": True,
    "stream": False,
}


# Good answers. What ends well and what does not differ in these keys alone.


@frozen
class Ending:
    """The keys that say how an answer ended."""

    status: str
    code: ReasonCode | None

    def keys(self, *, action: bool) -> Json:
        """As they stand in a body; `action`: the message has a `next_action`."""
        code = self.code
        return {
            "status": self.status,
            "reason_code": code,
            "message_key": code.message if code else None,
            "retry_after_ms": 9 if code else None,
            **({"next_action": code.next_action if code else "NONE"} if action else {}),
        }


OK, FELL_BACK = Ending("ok", None), Ending("fallback", CODE)
CITATIONS: Final[list[Json]] = [
    {"chunk_id": "d#1", "marker": "c1", "title": "First", "url": "https://x.example/1"},
    {"chunk_id": "d#2", "marker": "c2", "title": None, "url": None},
]
SOURCES: Final[list[Json]] = [
    {"chunk_id": "d#1", "doc_id": "d", "title": "First", "url": "https://x.example/1",
     "snippet": "One.", "score": 0.9},
    {"chunk_id": "d#2", "doc_id": "d", "title": None, "url": None, "snippet": "Two.", "score": 1},
]  # fmt: skip
_TOLD: Final[Json] = {
    "model": "m",
    "usage": {"prompt_tokens": 3, "completion_tokens": 4},
    "timings_ms": {"total": 7},
}
TEXT: Final = "One\u2028[c1] and “two” [c2]."


def chat_answer(ending: Ending) -> Json:
    """A whole answer of QS."""
    text = ending.code.text if ending.code else TEXT
    return {
        "version": "v1",
        **IDS,
        "session_id": None,
        **ending.keys(action=True),
        "answer": {"role": "assistant", "content": text},
        "citations": [] if ending.code else CITATIONS,
        "sources": SOURCES,
        **_TOLD,
    }


def generated_answer(ending: Ending) -> Json:
    """A whole answer of LLMGW."""
    return {
        "version": "v1",
        **IDS,
        **ending.keys(action=False),
        "content": None if ending.code else TEXT,
        "citations": [] if ending.code else CITATIONS,
        **_TOLD,
    }


def plain_answer(hop: Hop, ending: Ending) -> tuple[type, Json]:
    """What the hop after this one answers in one body, and its type."""
    if hop == "bff":
        return ChatResponse, chat_answer(ending)
    return GenerateResponse, generated_answer(ending)


META: Final[Json] = {"version": "v1", **IDS, "session_id": None}


def error_data(*, discard: bool, code: ReasonCode = CODE) -> Json:
    """The data of an `error`."""
    return {"code": code, "message": code.text, "message_key": code.message, "discard": discard}


def done_data(ending: Ending, *, cited: bool = True) -> Json:
    """The data of a `done`."""
    citations = CITATIONS if cited and not ending.code else []
    return {**ending.keys(action=True), "citations": citations, **_TOLD}


def frame(name: str, data: Json) -> bytes:
    """One event on the wire."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return sse.encode(name, text.encode())


def deltas(*texts: str) -> list[tuple[str, Json]]:
    """These texts as events."""
    return [("delta", {"delta": text}) for text in texts]


def good_stream(hop: Hop, ending: Ending) -> Sequence[tuple[str, Json]]:
    """A whole stream of the hop after this one: names and data."""
    sources: list[tuple[str, Json]] = [("sources", {"sources": SOURCES})]
    failed: list[tuple[str, Json]] = [("error", error_data(discard=True))]
    return [
        ("meta", META),
        *(sources if hop == "bff" else []),
        ("citations", {"citations": CITATIONS}),
        *deltas("One\u2028[c1]", " and “two” [c2]."),
        *(failed if ending.code else []),
        ("done", done_data(ending)),
    ]


# One of each type, of an answer with each end.
GOOD: Final[tuple[tuple[type, Json], ...]] = (
    (ChatRequest, CHAT),
    (GenerateRequest, GENERATE),
    (ChatResponse, chat_answer(OK)),
    (ChatResponse, chat_answer(FELL_BACK)),
    (GenerateResponse, generated_answer(OK)),
    (GenerateResponse, generated_answer(FELL_BACK)),
    (Meta, META),
    (SourcesFound, {"sources": SOURCES}),
    (CitationsProved, {"citations": CITATIONS}),
    (Delta, {"delta": "One."}),
    (Failed, error_data(discard=True)),
    (Done, done_data(OK)),
    (Done, done_data(FELL_BACK)),
)
