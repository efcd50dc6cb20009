"""The events of a streamed answer, the same on every hop: a closed tagged union (CONTRACT §5).

`EVENTS` maps the name on the wire to its type; nothing else is an event.
"""

from collections.abc import Iterator
from json.encoder import encode_basestring
from typing import Annotated

from attrs import frozen

from contracts import sse
from contracts.chat import (
    Citation,
    Citations,
    Milliseconds,
    RequestId,
    SessionId,
    Sources,
    Status,
    TraceId,
    Usage,
    Version,
    next_action_problems,
    outcome_problems,
)
from contracts.codec import decode, encode
from contracts.limits import ANSWER_MAX_CHARS, CITATIONS_MAX
from contracts.reasons import MessageKey, NextAction, ReasonCode
from contracts.rules import Chars, Items
from contracts.strict_json import ContractViolation, Violation


@frozen
class Meta:
    """Whose answer this is. First, once."""

    version: Version
    trace_id: TraceId
    request_id: RequestId
    session_id: SessionId | None


@frozen
class SourcesFound:
    """What was searched out. At most once, before citations and text."""

    sources: Sources


@frozen
class CitationsProved:
    """Every citation, each proved to name a chunk of this request. Before the first text."""

    citations: Annotated[tuple[Citation, ...], Items(1, CITATIONS_MAX)]


@frozen
class Delta:
    """A piece of the answer's text, as the model writes it. Never empty."""

    delta: Annotated[str, Chars(1, ANSWER_MAX_CHARS)]


@frozen
class Failed:
    """The answer failed. `message` is the fixed text; `discard`: text was sent, withdraw it."""

    code: ReasonCode
    message: str
    message_key: MessageKey
    discard: bool

    def problems(self) -> Iterator[Violation]:
        """The code is one a stream can end in, with its own message."""
        if not self.code.fallback:
            yield Violation("$.code", "must be a code a fallback can have")
        elif self.message_key is not self.code.message or self.message != self.code.text:
            yield Violation("$.message", f"must be the fixed text of {self.code}")


@frozen
class Done:
    """The end, with the outcome. Exactly once, last, always."""

    status: Status
    reason_code: ReasonCode | None
    message_key: MessageKey | None
    next_action: NextAction
    retry_after_ms: Milliseconds | None
    model: str | None
    citations: Citations
    usage: Usage | None
    timings_ms: dict[str, int]

    def problems(self) -> Iterator[Violation]:
        """Status, reason, next action and citations agree."""
        yield from outcome_problems(
            self.status, self.reason_code, self.message_key, len(self.citations)
        )
        yield from next_action_problems(self.reason_code, self.next_action)


StreamEvent = Meta | SourcesFound | CitationsProved | Delta | Failed | Done

EVENTS: dict[str, type[StreamEvent]] = {
    "meta": Meta,
    "sources": SourcesFound,
    "citations": CitationsProved,
    "delta": Delta,
    "error": Failed,
    "done": Done,
}
NAMES: dict[type[StreamEvent], str] = {kind: name for name, kind in EVENTS.items()}


def to_wire(event: StreamEvent) -> bytes:
    """The event as one frame of the stream."""
    if type(event) is Delta:  # there is one for each token, and its JSON is one string
        return sse.encode("delta", b'{"delta":%b}' % encode_basestring(event.delta).encode())
    return sse.encode(NAMES[type(event)], encode(event))


def from_frame(frame: sse.Frame) -> StreamEvent:
    """The event that a frame is. Raises ContractViolation."""
    kind = EVENTS.get(frame.event)
    if kind is None:
        raise ContractViolation([Violation("$", f"not an event: {frame.event[:64]!r}")])
    if frame.data is None or b"\n" in frame.data or frame.others:
        problem = f"`{frame.event}` must be one line of data and nothing else"
        raise ContractViolation([Violation("$", problem)])
    return decode(frame.data, kind)


def failed(code: ReasonCode, *, discard: bool) -> Failed:
    """The `error` event of a code, from its row of the table."""
    assert code.message is not None, f"{code} is only ever logged"
    return Failed(code, code.text, code.message, discard)
