"""`POST /v1/generate`: what QS asks of LLMGW, and what comes back (CONTRACT §4)."""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Literal

from attrs import frozen

from contracts import limits
from contracts.chat import (
    ChunkId,
    Citations,
    Milliseconds,
    RequestId,
    Status,
    Title,
    TraceId,
    Url,
    Usage,
    Version,
    outcome_problems,
)
from contracts.reasons import MessageKey, ReasonCode
from contracts.rules import Between, Chars, Items, NotNull
from contracts.strict_json import Violation, child_path


@frozen
class PromptMessage:
    """One message of the conversation that the model continues."""

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, Chars(1, limits.CHUNK_CHARS)]


@frozen
class Chunk:
    """A retrieved passage. Title and url are copied into citations from here, never by a model."""

    chunk_id: ChunkId
    content: Annotated[str, Chars(1, limits.CHUNK_CHARS)]
    title: Annotated[Title | None, NotNull()] = None
    url: Annotated[Url | None, NotNull()] = None


@frozen
class Context:
    """What the answer may rest on."""

    chunks: Annotated[tuple[Chunk, ...], Items(0, limits.CHUNKS)] = ()


@frozen
class GenerateRequest:
    """One generation."""

    messages: Annotated[tuple[PromptMessage, ...], Items(1, limits.MESSAGES)]
    version: Version = "v1"
    trace_id: Annotated[TraceId | None, NotNull()] = None
    request_id: Annotated[RequestId | None, NotNull()] = None
    model: Annotated[Annotated[str, Chars(1, limits.MODEL_NAME_CHARS)] | None, NotNull()] = None
    max_tokens: Annotated[Annotated[int, Between(1, limits.MAX_TOKENS_MAX)] | None, NotNull()] = (
        None
    )
    temperature: Annotated[
        Annotated[float, Between(0, limits.TEMPERATURE_MAX)] | None, NotNull()
    ] = None
    context: Context = Context()
    citations_required: bool = True
    stream: bool = False

    def problems(self) -> Iterator[Violation]:
        """Something to cite, nothing twice, and a question at the end."""
        chunks = self.context.chunks
        if self.citations_required and not chunks:
            yield Violation("$.context.chunks", "must not be empty where citations are required")
        counts = Counter(chunk.chunk_id for chunk in chunks)
        for index, chunk in enumerate(chunks):
            if counts[chunk.chunk_id] > 1:
                path = child_path(child_path("$.context.chunks", index), "chunk_id")
                yield Violation(path, "stands more than once")
        if self.messages[-1].role != "user":
            yield Violation("$.messages", "the last message must be the user's")


@frozen
class GenerateResponse:
    """The proved answer, or the reason why there is none."""

    version: Version
    trace_id: TraceId
    request_id: RequestId
    model: str | None
    status: Status
    reason_code: ReasonCode | None
    message_key: MessageKey | None
    retry_after_ms: Milliseconds | None
    content: Annotated[str, Chars(1, limits.ANSWER_MAX_CHARS)] | None
    citations: Citations
    usage: Usage | None
    timings_ms: dict[str, int]

    def problems(self) -> Iterator[Violation]:
        """Status, reason, citations and content agree."""
        yield from outcome_problems(
            self.status, self.reason_code, self.message_key, len(self.citations)
        )
        if (self.content is None) is (self.status == "ok"):
            yield Violation("$.content", "must be text where status is ok, null otherwise")
