"""What is kept: every turn that was answered, exactly once, and in the session it was asked in."""

from collections import Counter
from collections.abc import Iterator

from harness.checkers.answers import own_answers
from harness.evidence import Evidence, last_word
from harness.wire_log import json_object


def every_answer_is_kept_once(evidence: Evidence) -> Iterator[str]:
    """Whatever QS answered to its end stands in the store as it was answered, once."""
    if evidence.kept is None:
        return
    kept = {request: status for request, _, status in evidence.kept}
    many = Counter(request for request, _, _ in evidence.kept)
    yield from (f"{request} is kept {count} times" for request, count in many.items() if count > 1)
    for exchange in own_answers(evidence):
        if exchange.host != "qs" or exchange.status != 200 or exchange.ended != "whole":
            continue
        word = last_word(exchange)
        status = "ok" if word == "ok" else "fallback"
        if word[0].isalpha() and kept.get(exchange.request_id) != status:
            found = kept.get(exchange.request_id)
            yield f"{exchange.request_id}: {word} is kept as {found or 'nothing'}"


def turns_are_kept_in_their_session(evidence: Evidence) -> Iterator[str]:
    """A turn that continued a session stands in it, and no other turn does."""
    if evidence.kept is None:
        return
    asked = {
        exchange.request_id: (json_object(exchange.body) or {}).get("session_id")
        for exchange in evidence.by_host["qs"]
    }
    began: dict[str, str] = {}
    for request, session, _ in evidence.kept:
        named = asked.get(request)
        if named == session:
            continue
        if session in began:
            yield f"{request} and {began[session]} both began {session}"
        began[session] = request


CHECKERS = (every_answer_is_kept_once, turns_are_kept_in_their_session)
