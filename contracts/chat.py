"""`POST /chat`: what a client asks of the BFF and the BFF of QS, and what comes back (CONTRACT §3).

Requests may leave out all but `message`; responses always carry every key, null where unknown.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from attrs import frozen

from contracts import limits
from contracts.reasons import MessageKey, NextAction, ReasonCode
from contracts.rules import ALIAS, REQUEST_ID, SESSION_ID, TRACE_ID, Between, Chars, Items, NotNull
from contracts.strict_json import Violation, child_path

Version = Literal["v1"]
Status = Literal["ok", "fallback"]
RequestId = Annotated[str, REQUEST_ID]
TraceId = Annotated[str, TRACE_ID]
SessionId = Annotated[str, SESSION_ID]
ChunkId = Annotated[str, Chars(1, limits.CHUNK_ID_CHARS)]
Title = Annotated[str, Chars(0, limits.TITLE_CHARS)]
Url = Annotated[str, Chars(0, limits.URL_CHARS)]
Milliseconds = Annotated[int, Between(0)]
MessageText = Annotated[str, Chars(1, limits.MESSAGE_CHARS)]


@frozen
class UserMessage:
    """The question."""

    role: Literal["user"]
    content: MessageText


@frozen
class HistoryMessage:
    """One earlier turn."""

    role: Literal["user", "assistant"]
    content: Annotated[str, Chars(1, limits.ANSWER_MAX_CHARS)]


@frozen
class ChatOptions:
    """How the question is to be answered."""

    stream: bool = False
    top_k: Annotated[int, Between(limits.TOP_K_MIN, limits.TOP_K_MAX)] = limits.TOP_K_DEFAULT
    citations_required: bool = True


@frozen
class ChatRequest:
    """The client's one call."""

    message: UserMessage
    version: Version = "v1"
    trace_id: Annotated[TraceId | None, NotNull()] = None
    request_id: Annotated[RequestId | None, NotNull()] = None
    session_id: Annotated[SessionId | None, NotNull()] = None
    history: Annotated[tuple[HistoryMessage, ...], Items(0, limits.HISTORY_MESSAGES)] = ()
    options: ChatOptions = ChatOptions()

    def problems(self) -> Iterator[Violation]:
        """A session has its own history: a request carries one or the other."""
        if self.session_id is not None and self.history:
            yield Violation("$.session_id", "must be left out where history is given")
            yield Violation("$.history", "must be empty where session_id is given")


@frozen
class Citation:
    """A retrieved chunk that the answer rests on; `marker` is how the text names it (`[c1]`)."""

    chunk_id: ChunkId
    marker: Annotated[str, ALIAS]
    title: Title | None
    url: Url | None


@frozen
class Source:
    """A chunk that was searched out and shown to the model; `score` is the search's own, ≥ 0."""

    chunk_id: ChunkId
    doc_id: ChunkId
    title: Title | None
    url: Url | None
    snippet: Annotated[str, Chars(0, limits.SNIPPET_CHARS)]
    score: Annotated[float, Between(0)]


@frozen
class Answer:
    """The assistant's turn; in a fallback the fixed text of `message_key`."""

    role: Literal["assistant"]
    content: Annotated[str, Chars(1, limits.ANSWER_MAX_CHARS)]


@frozen
class Usage:
    """Tokens, as the model server counted them."""

    prompt_tokens: Annotated[int, Between(0)]
    completion_tokens: Annotated[int, Between(0)]


Citations = Annotated[tuple[Citation, ...], Items(0, limits.CITATIONS_MAX)]
Sources = Annotated[tuple[Source, ...], Items(0, limits.CHUNKS)]


@frozen
class ChatResponse:
    """The answer, or a controlled non-answer with its reason."""

    version: Version
    trace_id: TraceId
    request_id: RequestId
    session_id: SessionId | None
    status: Status
    reason_code: ReasonCode | None
    message_key: MessageKey | None
    answer: Answer
    citations: Citations
    sources: Sources
    next_action: NextAction
    retry_after_ms: Milliseconds | None
    model: str | None
    usage: Usage | None
    timings_ms: dict[str, int]

    def problems(self) -> Iterator[Violation]:
        """Status, reason, text and citations agree; every citation names one of the sources."""
        yield from outcome_problems(
            self.status, self.reason_code, self.message_key, len(self.citations)
        )
        yield from next_action_problems(self.reason_code, self.next_action)
        key = self.message_key
        if self.status == "fallback" and key and self.answer.content != key.text:
            yield Violation("$.answer.content", f"must be the fixed text of {key}")
        known = {source.chunk_id for source in self.sources}
        for index, citation in enumerate(self.citations):
            if citation.chunk_id not in known:
                path = child_path(child_path("$.citations", index), "chunk_id")
                yield Violation(path, "is not among the sources")


@frozen
class Detail:
    """One violation of a request, by its place."""

    path: str
    problem: str


@frozen
class ErrorInfo:
    """Why a request was refused."""

    code: ReasonCode
    message: str
    details: Annotated[tuple[Detail, ...], Items(0, limits.VIOLATIONS_LISTED)]


@frozen
class ErrorBody:
    """The body of every answer that is not 200."""

    error: ErrorInfo
    trace_id: TraceId
    request_id: RequestId


def outcome_problems(
    status: Status, code: ReasonCode | None, key: MessageKey | None, citations: int
) -> Iterator[Violation]:
    """What does not fit together about how an answer ended; the same law for every shape of it."""
    if status == "ok" and code is not None:
        yield Violation("$.reason_code", "must be null where status is ok")
    if status == "ok" and key is not None:
        yield Violation("$.message_key", "must be null where status is ok")
    if status == "fallback":
        if code is None or not code.fallback:
            yield Violation("$.reason_code", "must be a code a fallback can have")
        elif key is not code.message:
            yield Violation("$.message_key", f"must be {code.message} where the code is {code}")
        if citations:
            yield Violation("$.citations", "must be empty in a fallback")


def next_action_problems(code: ReasonCode | None, action: NextAction) -> Iterator[Violation]:
    """The next action is the code's own, and NONE where there is no code."""
    expected = NextAction.NONE if code is None else code.next_action
    if action is not expected:
        yield Violation("$.next_action", f"must be {expected}")
