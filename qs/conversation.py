"""A session's turns as a conversation: what the model is told of them, how they are shown. Pure.

    history_of(transcript, max_tokens)     the messages before a question, oldest first
    questions_of(transcript)               what was asked before it, oldest first
    shown(transcript, ids)                 the session as `GET /sessions/{id}` answers it

The model is told turns that ended well and no others: a fallback's text is nothing that it said.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from contracts.chat import Answer, Status, UserMessage
from contracts.codec import encode
from contracts.generation import PromptMessage
from contracts.limits import HISTORY_MESSAGES, RESPONSE_BODY_BYTES, SESSION_TURNS_MAX
from contracts.reasons import NextAction
from contracts.sessions import SessionResponse, SessionTurn, TurnFeedback
from contracts.tokens import message_tokens
from hop.tracing import CallIds
from qs.store.port import KeptTurn, Transcript

# Turns that end without an answer stand between those that did: as many again are looked at first.
TURNS_READ: Final = HISTORY_MESSAGES
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HEAD_BYTES: Final = 4_096  # what stands round the turns


def history_of(transcript: Transcript, max_tokens: int) -> tuple[PromptMessage, ...]:
    """The newest turns that fit, each question with its answer."""
    history: list[PromptMessage] = []
    for turn in transcript.turns:
        if turn.answer is None:
            continue
        question, answer = turn.asked.question, turn.answer
        max_tokens -= message_tokens(question) + message_tokens(answer)
        if max_tokens < 0 or len(history) + 2 > HISTORY_MESSAGES:
            break
        history += [PromptMessage("assistant", answer), PromptMessage("user", question)]
    return tuple(reversed(history))


def is_crowded(transcript: Transcript) -> bool:
    """Whether turns without an answer may hide some that the model is to be told of."""
    answered = [turn for turn in transcript.turns if turn.answer is not None]
    return len(transcript.turns) == TURNS_READ and 2 * len(answered) < HISTORY_MESSAGES


def questions_of(transcript: Transcript) -> tuple[str, ...]:
    """Every question, whatever became of it: it was asked, and the next one may lean on it."""
    return tuple(turn.asked.question for turn in reversed(transcript.turns))


def shown(transcript: Transcript, ids: CallIds) -> SessionResponse:
    """The session with as many of its newest turns as one answer holds."""
    turns = list(_fitting(map(_turn, transcript.turns[:SESSION_TURNS_MAX])))
    return SessionResponse(
        version="v1",
        trace_id=ids.trace_id,
        request_id=ids.request_id,
        session_id=transcript.session.session_id,
        created_at=instant(transcript.session.created_ms),
        turns=tuple(reversed(turns)),
        more=len(turns) < len(transcript.turns),
    )


def instant(since_epoch_ms: int) -> str:
    """A time as the contract writes it."""
    at = _EPOCH + timedelta(milliseconds=since_epoch_ms)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fitting(turns: Iterable[SessionTurn]) -> Iterator[SessionTurn]:
    left = RESPONSE_BODY_BYTES - _HEAD_BYTES
    for turn in turns:
        left -= len(encode(turn)) + 1
        if left < 0:
            return
        yield turn


def _turn(kept: KeptTurn) -> SessionTurn:
    status, code = _status(kept), kept.ended.reason_code
    text = code.text if status == "fallback" and code else kept.answer
    return SessionTurn(
        request_id=kept.asked.request_id,
        asked_at=instant(kept.asked.asked_ms),
        message=UserMessage("user", kept.asked.question),
        status=status,
        reason_code=code,
        message_key=code.message if status == "fallback" and code else None,
        answer=Answer("assistant", text) if status and text else None,
        citations=kept.citations if status == "ok" else (),
        sources=kept.sources,
        next_action=code.next_action if code else NextAction.NONE,
        model=kept.ended.model,
        feedback=_feedback(kept),
    )


def _status(kept: KeptTurn) -> Status | None:
    status = kept.ended.status
    return status if status in ("ok", "fallback") else None


def _feedback(kept: KeptTurn) -> TurnFeedback | None:
    given = kept.feedback
    return None if given is None else TurnFeedback(given.rating, given.comment)
