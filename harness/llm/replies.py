"""What came of one question, read from the bytes the client got, by no code of the programs' own.

A reply of the model was *cleanly parsed* when the whole of it was read as the one object that was
asked for, or as much as was needed to refuse what it says: it ended `ok`, or in a code of
`JUDGED`; an answer that fills the length its schema allows is whole JSON too. Broken or missing
JSON, a wrong shape, an answer cut by `max_tokens` or by a limit of time, and anything else that is
wrong with a reply is not clean. Where the model was not asked, by RAG_ and ADMISSION_ codes, there
is no reply.
"""

import re
from collections.abc import Iterator
from typing import Final

from attrs import frozen

from harness.checkers.truth import shown_text
from harness.evidence import last_word
from harness.wire_log import Exchange, JsonObject

# The object was as it should be; what it says was not let through.
JUDGED: Final = frozenset(
    {
        "MODEL_ABSTAINED",
        "CITATIONS_INVALID",
        "CITATIONS_MISSING",
        "CITATIONS_TOO_MANY",
        "CITATIONS_UNKNOWN_MARKER",
        "OUTPUT_BLOCKED_CONTENT",
        "OUTPUT_TOO_LONG",
    }
)
_UNASKED: Final = ("RAG_", "ADMISSION_", "INPUT_")
_MARKER: Final = re.compile(r"\[(c\d+)\]")


@frozen
class Reply:
    """One answer. Times are seconds from asking; None where that never came.

    `wrong` has a line for each citation that the client must never have seen.
    """

    question: str
    stream: bool
    word: str
    total_s: float
    citations_s: float | None
    delta_s: float | None
    completion_tokens: int
    wrong: tuple[str, ...]

    @property
    def is_asked(self) -> bool:
        """Whether the model was."""
        return not self.word.startswith(_UNASKED)

    @property
    def is_clean(self) -> bool:
        return self.word == "ok" or self.word in JUDGED


def reply_of(question: str, exchange: Exchange) -> Reply:
    """The reply that this exchange was."""
    events = exchange.events() if exchange.streams else ()
    firsts = {event.name: event.at - exchange.asked_at for event in reversed(events)}
    ended_at = exchange.ended_at or exchange.asked_at
    last = _last(exchange)
    usage = last.get("usage")
    return Reply(
        question=question,
        stream=exchange.streams,
        word=last_word(exchange),
        total_s=ended_at - exchange.asked_at,
        citations_s=firsts.get("citations"),
        delta_s=firsts.get("delta"),
        completion_tokens=int(str(usage["completion_tokens"])) if isinstance(usage, dict) else 0,
        wrong=tuple(wrongly_cited(exchange)),
    )


def wrongly_cited(exchange: Exchange) -> Iterator[str]:
    """Each citation, in any event, that is no source of this very answer, or that the answer's
    text makes without the citation to it."""
    parts = _parts(exchange)
    sources = {_identity(it) for part in parts for it in _items(part, "sources")}
    markers = set()
    for part in parts:
        for it in _items(part, "citations"):
            markers.add(it["marker"])
            if _identity(it) not in sources:
                yield f"{it} is cited, and is no source of this answer"
    if last_word(exchange) == "ok":
        for marker in sorted(set(_MARKER.findall(shown_text(exchange))) - markers):
            yield f"[{marker}] stands in the answer, and is not among its citations"


def _identity(item: JsonObject) -> tuple[object, ...]:
    return item["chunk_id"], item["title"], item["url"]


def _items(part: JsonObject, key: str) -> list[JsonObject]:
    items = part.get(key)
    return [it for it in items if isinstance(it, dict)] if isinstance(items, list) else []


def _parts(exchange: Exchange) -> list[JsonObject]:
    if exchange.streams:
        return [event.data for event in exchange.events() if event.data is not None]
    return [exchange.answer_json or {}]


def _last(exchange: Exchange) -> JsonObject:
    parts = _parts(exchange)
    return parts[-1] if parts else {}
