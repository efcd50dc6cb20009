"""Sessions: what is kept of a conversation and how it is shown, and feedback (CONTRACT §3).

A session is shown to the owner that made it, in the order in which it was asked; of a long one the
newest turns. Turns are shown as they were answered: titles, addresses and snippets are those of
then, whatever has become of the documents.
"""

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from attrs import frozen

from contracts import limits
from contracts.chat import (
    Answer,
    Citations,
    RequestId,
    SessionId,
    Sources,
    Status,
    TraceId,
    UserMessage,
    Version,
    next_action_problems,
    outcome_problems,
)
from contracts.reasons import MessageKey, NextAction, ReasonCode
from contracts.rules import INSTANT, Chars, Items, NotNull
from contracts.strict_json import Violation

OWNER_HEADER: Final = "x-session-owner"
"""Whose sessions these are: from the BFF to QS only (CONTRACT §2)."""

Rating = Literal["up", "down"]
Comment = Annotated[str, Chars(1, limits.FEEDBACK_COMMENT_CHARS)]
Instant = Annotated[str, INSTANT]


@frozen
class TurnFeedback:
    """What its asker thought of an answer."""

    rating: Rating
    comment: Comment | None


@frozen
class SessionTurn:
    """One question and how it ended; `status` is null where nobody was answered."""

    request_id: RequestId
    asked_at: Instant
    message: UserMessage
    status: Status | None
    reason_code: ReasonCode | None
    message_key: MessageKey | None
    answer: Answer | None
    citations: Citations
    sources: Sources
    next_action: NextAction
    model: str | None
    feedback: TurnFeedback | None

    def problems(self) -> Iterator[Violation]:
        """Status, reason, text and citations agree; without a status there is no answer."""
        yield from next_action_problems(self.reason_code, self.next_action)
        if self.status is not None:
            yield from outcome_problems(
                self.status, self.reason_code, self.message_key, len(self.citations)
            )
        if (self.answer is None) is not (self.status is None):
            yield Violation("$.answer", "must be null where status is null, and only there")
        key = self.message_key
        if self.answer and self.status == "fallback" and key and self.answer.content != key.text:
            yield Violation("$.answer.content", f"must be the fixed text of {key}")


@frozen
class SessionResponse:
    """A session: its newest turns, oldest first; `more` where it has older ones than these."""

    version: Version
    trace_id: TraceId
    request_id: RequestId
    session_id: SessionId
    created_at: Instant
    turns: Annotated[tuple[SessionTurn, ...], Items(0, limits.SESSION_TURNS_MAX)]
    more: bool

    def problems(self) -> Iterator[Violation]:
        """Every turn keeps its own laws."""
        for index, turn in enumerate(self.turns):
            for violation in turn.problems():
                path = f"$.turns[{index}]" + violation.path.removeprefix("$")
                yield Violation(path, violation.problem)


@frozen
class FeedbackRequest:
    """What somebody thinks of the answer to the call of this request id; again: in its place."""

    request_id: RequestId
    rating: Rating
    version: Version = "v1"
    comment: Annotated[Comment | None, NotNull()] = None
