"""A kept turn as rows of the tables, and back. Pure: takes rows, returns records."""

import json
from collections.abc import Mapping, Sequence
from typing import cast

from contracts.chat import Citation, Source, Usage
from contracts.reasons import ReasonCode
from qs.store.port import Asked, Ended, Feedback, KeptTurn, Rating, Session, TurnStatus

Row = Mapping[str, object]


def session_of(row: Row) -> Session:
    """The session that a row is."""
    return Session(
        _text(row["session_id"]),
        _text(row["owner"]),
        _whole(row["created_ms"]),
        _whole(row["used_ms"]),
    )


def session_row(session: Session) -> Row:
    """A session's row in `sessions`."""
    return {
        "session_id": session.session_id,
        "owner": session.owner,
        "created_ms": session.created_ms,
        "used_ms": session.used_ms,
    }


def turn_row(turn: KeptTurn) -> Row:
    """A turn's row in `turns`."""
    asked, ended = turn.asked, turn.ended
    return {
        "turn_id": asked.turn_id,
        "session_id": asked.session_id,
        "owner": asked.owner,
        "request_id": asked.request_id,
        "trace_id": asked.trace_id,
        "asked_ms": asked.asked_ms,
        "question": asked.question,
        "prompt_version": asked.prompt_version,
        "status": ended.status,
        "reason_code": ended.reason_code and ended.reason_code.value,
        "answer": turn.answer,
        "model": ended.model,
        "prompt_tokens": ended.usage and ended.usage.prompt_tokens,
        "completion_tokens": ended.usage and ended.usage.completion_tokens,
        "timings_ms": json.dumps(ended.timings_ms, separators=(",", ":")),
        "ended_ms": ended.ended_ms,
    }


def source_rows(turn: KeptTurn) -> list[Row]:
    """A turn's rows in `sources`."""
    return [
        {
            "turn_id": turn.asked.turn_id,
            "position": position,
            "chunk_id": source.chunk_id,
            "doc_id": source.doc_id,
            "title": source.title,
            "url": source.url,
            "snippet": source.snippet,
            "score": source.score,
            "content_hash": turn.content_hashes.get(source.chunk_id),
        }
        for position, source in enumerate(turn.sources)
    ]


def citation_rows(turn: KeptTurn) -> list[Row]:
    """A turn's rows in `citations`."""
    return [
        {
            "turn_id": turn.asked.turn_id,
            "position": position,
            "chunk_id": citation.chunk_id,
            "marker": citation.marker,
            "title": citation.title,
            "url": citation.url,
            "content_hash": turn.content_hashes.get(citation.chunk_id),
        }
        for position, citation in enumerate(turn.citations)
    ]


def feedback_row(turn_id: str, feedback: Feedback) -> Row:
    """A row in `feedback`."""
    return {
        "turn_id": turn_id,
        "rating": feedback.rating,
        "comment": feedback.comment,
        "given_ms": feedback.given_ms,
    }


def turn_of(
    row: Row, sources: Sequence[Row], citations: Sequence[Row], feedback: Row | None, opens: bool
) -> KeptTurn:
    """The turn that these rows are; those of its sources and citations in their order."""
    return KeptTurn(
        asked=_asked(row, opens),
        ended=_ended(row),
        answer=_text_or_none(row["answer"]),
        sources=tuple(map(_source, sources)),
        citations=tuple(map(_citation, citations)),
        content_hashes={
            _text(found["chunk_id"]): _text(found["content_hash"])
            for found in sources
            if found["content_hash"] is not None
        },
        feedback=None if feedback is None else _feedback(feedback),
    )


def _asked(row: Row, opens: bool) -> Asked:
    return Asked(
        turn_id=_text(row["turn_id"]),
        request_id=_text(row["request_id"]),
        trace_id=_text(row["trace_id"]),
        session_id=_text(row["session_id"]),
        owner=_text(row["owner"]),
        opens=opens,
        question=_text(row["question"]),
        asked_ms=_whole(row["asked_ms"]),
        prompt_version=_text(row["prompt_version"]),
    )


def _ended(row: Row) -> Ended:
    code = _text_or_none(row["reason_code"])
    prompt, completion = row["prompt_tokens"], row["completion_tokens"]
    counted = prompt is not None and completion is not None
    return Ended(
        status=cast(TurnStatus, row["status"]),
        reason_code=None if code is None else ReasonCode[code],
        model=_text_or_none(row["model"]),
        usage=Usage(_whole(prompt), _whole(completion)) if counted else None,
        timings_ms=json.loads(_text(row["timings_ms"])),
        ended_ms=_whole(row["ended_ms"]),
    )


def _source(row: Row) -> Source:
    return Source(
        chunk_id=_text(row["chunk_id"]),
        doc_id=_text(row["doc_id"]),
        title=_text_or_none(row["title"]),
        url=_text_or_none(row["url"]),
        snippet=_text(row["snippet"]),
        score=cast(float, row["score"]),
    )


def _citation(row: Row) -> Citation:
    return Citation(
        chunk_id=_text(row["chunk_id"]),
        marker=_text(row["marker"]),
        title=_text_or_none(row["title"]),
        url=_text_or_none(row["url"]),
    )


def _feedback(row: Row) -> Feedback:
    rating, comment = cast(Rating, row["rating"]), _text_or_none(row["comment"])
    return Feedback(rating, comment, _whole(row["given_ms"]))


def _text(value: object) -> str:
    assert isinstance(value, str), value
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _whole(value: object) -> int:
    assert isinstance(value, int), value
    return value
