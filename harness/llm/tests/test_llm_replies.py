"""Goal: what came of a question is read rightly, and no citation from nowhere is overlooked.

Method: answers as a client gets them, byte for byte, with one thing wrong at a time.
"""

import json
from collections.abc import Sequence

import pytest

from harness.llm.replies import JUDGED, Reply, reply_of
from harness.wire_log import Exchange, Piece

SOURCE = {"chunk_id": "a#1", "title": "A", "url": None}
OTHER = {"chunk_id": "b#1", "title": "B", "url": None}
CITED = {**SOURCE, "marker": "c1"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 4}
DONE = {"status": "ok", "reason_code": None, "citations": [CITED], "usage": USAGE}
Event = tuple[str, object]


def exchange(content_type: str, pieces: Sequence[bytes]) -> Exchange:
    return Exchange(
        link=0,
        host="bff",
        asked_at=10.0,
        method="POST",
        target="/chat",
        headers={},
        body=b"",
        status=200,
        answered_at=10.5,
        answer_headers={"content-type": content_type},
        pieces=tuple(Piece(11.0 + at, data) for at, data in enumerate(pieces)),
        ended="whole",
        ended_at=20.0,
        left_at=None,
    )


def streamed(*events: Event) -> Reply:
    """Each event a second after the one before, the first after one second."""
    frames = [f"event: {name}\ndata: {json.dumps(data)}\n\n".encode() for name, data in events]
    return reply_of("Why?", exchange("text/event-stream", frames))


def plain(**fields: object) -> Reply:
    answer = {"role": "assistant", "content": "So. [c1]"}
    body = {**DONE, "sources": [SOURCE, OTHER], "answer": answer, **fields}
    return reply_of("Why?", exchange("application/json", [json.dumps(body).encode()]))


def answered(
    sources: object = (SOURCE, OTHER), citations: object = (CITED,), text: str = "So. [c1]"
) -> Reply:
    return streamed(
        ("sources", {"sources": sources}),
        ("citations", {"citations": citations}),
        ("delta", {"delta": text[:4]}),
        ("delta", {"delta": text[4:]}),
        ("done", {**DONE, "citations": citations}),
    )


def test_a_stream_is_timed_from_asking() -> None:
    reply = answered()
    assert (reply.word, reply.stream, reply.is_clean, reply.wrong) == ("ok", True, True, ())
    assert (reply.citations_s, reply.delta_s, reply.total_s) == (2.0, 3.0, 10.0)
    assert reply.completion_tokens == 4


def test_a_plain_answer_has_no_first_delta() -> None:
    reply = plain()
    assert (reply.word, reply.stream, reply.wrong) == ("ok", False, ())
    assert (reply.citations_s, reply.delta_s, reply.total_s) == (None, None, 10.0)
    assert reply.completion_tokens == 4


@pytest.mark.parametrize("changed", [{"chunk_id": "x#9"}, {"title": "Z"}, {"url": "http://z"}])
def test_a_citation_of_no_source_is_seen_in_both_modes(changed: dict[str, str]) -> None:
    invented = {**CITED, **changed}
    # In `citations` and in `done`.
    assert len(answered(citations=[CITED, invented]).wrong) == 2
    assert len(plain(citations=[CITED, invented]).wrong) == 1


def test_a_citation_before_any_source_is_seen() -> None:
    assert answered(sources=[]).wrong


def test_a_marker_without_its_citation_is_seen() -> None:
    (line,) = answered(text="So. [c1] [c2]").wrong
    assert line == "[c2] stands in the answer, and is not among its citations"


@pytest.mark.parametrize("code", sorted(JUDGED))
def test_what_was_read_and_refused_is_clean(code: str) -> None:
    assert plain(status="fallback", reason_code=code, citations=[]).is_clean


@pytest.mark.parametrize(
    "code",
    [
        "OUTPUT_TRUNCATED",
        "OUTPUT_NOT_JSON",
        "OUTPUT_SCHEMA_MISMATCH",
        "OUTPUT_WHITESPACE_LOOP",
        "CITATIONS_MALFORMED",
        "PROVIDER_TIMEOUT",
        "HOP_TIMEOUT",
    ],
)
def test_what_was_cut_or_has_a_wrong_shape_is_not_clean(code: str) -> None:
    reply = plain(status="fallback", reason_code=code, citations=[])
    assert (reply.is_asked, reply.is_clean) == (True, False)


def test_no_reply_is_counted_when_the_model_was_not_asked() -> None:
    assert not plain(status="fallback", reason_code="RAG_NO_CHUNKS", citations=[]).is_asked
