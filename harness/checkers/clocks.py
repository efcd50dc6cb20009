"""When: every limit kept, no long silence, a leaving client felt at once, text that flows.

Time is virtual, so limits are met exactly but for the tenth of a second that CONTRACT §6 grants.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from posixpath import commonprefix
from typing import Final

from harness.checkers.answers import own_answers, stopped_reading, streams, told, wants_citations
from harness.checkers.truth import shown_text
from harness.evidence import LEFT, PROGRAMS, Evidence, last_word
from harness.model_text import Written, answers_in
from harness.wire_log import Exchange

LIMITS_S: Final = {"bff": 20.0, "qs": 19.0, "llmgw": 15.0}
_GRANTED_S: Final = 0.1
_MARGIN_S: Final = 0.25  # DEADLINE_HOP_MARGIN_MS
_MARGINS: Final = {"bff": 2, "qs": 1, "llmgw": 0}  # how many hops further in there are
_BODY_S: Final = 5.0
_SEARCH_S: Final = 1.5
_STALL_S: Final = 10.0
_QUEUE_S: Final = {"ADMISSION_QUEUE_FULL": 0.0, "ADMISSION_QUEUE_TIMEOUT": 2.0}
_SILENCE_S: Final = 10.0
_FELT_WITHIN_S: Final = 0.25
_GUARD_HOLD_CHARS: Final = 256
# What a marker, an image, a tag or a link can begin with, or what makes a link of what was shown.
_MAY_BECOME: Final = "[［【!<:]wW"


def deadlines_are_kept(evidence: Evidence) -> Iterator[str]:
    """No answer ends later than its hop's limit, or than its caller said it would wait.

    What is on its way to a client that reads slowly is that client's to fetch.
    """
    slow = {
        seen.request_id
        for seen in evidence.seen()
        if seen.call.client == "stops-reading" or seen.call.reads_every_s
    }
    for exchange in own_answers(evidence):
        granted = _GRANTED_S + (_STALL_S if exchange.request_id in slow else 0.0)
        granted += evidence.plan.late_s  # the request itself may come later
        end = exchange.left_at if exchange.ended_at is None else exchange.ended_at
        if end is None:
            yield f"{told(exchange)}: never ended"
        elif end > exchange.asked_at + _limit_s(exchange) + granted:
            yield f"{told(exchange)}: took {end - exchange.asked_at:.3f} s"


def _limit_s(exchange: Exchange) -> float:
    given = exchange.headers.get("x-deadline-ms", "")
    limit = LIMITS_S[exchange.host]
    word = last_word(exchange)
    if word == "INPUT_TIMEOUT":
        return _BODY_S
    if word == "RAG_TIMEOUT" and exchange.host == "qs":
        limit = _SEARCH_S
    if exchange.host == "llmgw" and word in _QUEUE_S:
        limit = _QUEUE_S[word]
    return min(limit, int(given) / 1000) if given.isdigit() else limit


def nobody_gives_up_early(evidence: Evidence) -> Iterator[str]:
    """Time is out when it is out: at the limit, or where too little is left for the next hop."""
    faulty = {
        seen.request_id for seen in evidence.seen() if seen.call.model or evidence.plan.server
    }
    for exchange in own_answers(evidence):
        if exchange.ended_at is None:
            continue
        word, took_s = last_word(exchange), exchange.ended_at - exchange.asked_at
        due_s = _limit_s(exchange)
        if word == "HOP_TIMEOUT":
            inner_s = LIMITS_S["qs"] + _MARGIN_S if exchange.host == "bff" else due_s
            due_s = min(due_s, inner_s) - _MARGINS[exchange.host] * _MARGIN_S
        elif (
            word != "PROVIDER_TIMEOUT" or exchange.request_id in faulty or exchange.host != "llmgw"
        ):
            continue
        if took_s < due_s - _GRANTED_S:
            yield f"{told(exchange)}: {word} after {took_s:.3f} s of {due_s:.3f} s"


def streams_are_never_silent(evidence: Evidence) -> Iterator[str]:
    """An event or a heartbeat at least every ten seconds, from the head of the answer on."""
    for exchange, _ in streams(evidence):
        if last_word(exchange) == LEFT or exchange.answered_at is None:
            continue
        if stopped_reading(evidence, exchange) and exchange.host == "bff":
            continue  # nothing can be written to it
        times = [exchange.answered_at, *(piece.at for piece in exchange.pieces)]
        times += [exchange.ended_at] if exchange.ended_at is not None else []
        gap = max((b - a for a, b in pairwise(times)), default=0.0)
        if gap > _SILENCE_S + _GRANTED_S:
            yield f"{told(exchange)}: {gap:.1f} s without a byte"


def leaving_is_felt(evidence: Evidence) -> Iterator[str]:
    """When a client goes, every hop closes what it holds further inside, and asks nothing more."""
    faulty = {link.number for link in evidence.wire.links if link.fault}
    within_s = _FELT_WITHIN_S + evidence.plan.late_s
    for exchange in evidence.exchanges:
        left_at = exchange.left_at
        if left_at is None or exchange.link in faulty:
            continue
        further_in = PROGRAMS[PROGRAMS.index(exchange.host) + 1 :]
        for inner in evidence.exchanges:
            if inner.request_id == exchange.request_id and inner.host in further_in:
                yield from _still_there(inner, left_at + within_s, told(exchange))
        for seen in evidence.seen():
            if seen.request_id == exchange.request_id:
                for call in evidence.model_calls(seen.topic):
                    gone = call.ended_at if call.client_left_at is None else call.client_left_at
                    if gone is None or gone > left_at + within_s:
                        yield f"{told(exchange)}: the model went on writing after it had left"


def _still_there(inner: Exchange, felt_by: float, who: str) -> Iterator[str]:
    if inner.asked_at > felt_by:
        yield f"{who}: {inner.host} was asked after it had left"
    ends = [at for at in (inner.ended_at, inner.left_at) if at is not None]
    if not ends or min(ends) > felt_by:
        yield f"{who}: {inner.host} was still held after it had left"


def text_flows(evidence: Evidence) -> Iterator[str]:
    """Once the citations are out, text leaves every hop as the model writes it.

    What may be held is what could become a marker, a link, an image or a tag, and no more.
    """
    if "false" in evidence.plan.environ.values():
        return  # An inner hop does not stream.
    seen = {one.request_id: one for one in evidence.seen()}
    for exchange, events in streams(evidence):
        call = seen.get(exchange.request_id)
        if call is None or last_word(exchange) != "ok" or not wants_citations(exchange):
            continue
        proved = min((event.at for event in events if event.name == "citations"), default=0.0)
        for model in evidence.model_calls(call.topic):
            line = _held_at(exchange, model.written, proved, evidence.plan.late_s)
            if line and call.call.client != "stops-reading" and not call.call.reads_every_s:
                yield f"{told(exchange)}: {line}"


def _held_at(exchange: Exchange, written: Written, proved: float, late_s: float) -> str:
    """The first moment at which too much of the written answer was not shown yet."""
    full, text = shown_text(exchange), ""
    deltas = [event for event in exchange.events() if event.name == "delta"]
    for at, piece in written.pieces:
        text += piece
        if at < proved:
            continue
        shown = sum(len(str(event.value("delta"))) for event in deltas if event.at <= at + late_s)
        said = max((len(commonprefix((full, said))) for said, _ in answers_in(text)), default=0)
        held = full[shown:said]
        if held and (len(held) > _GUARD_HOLD_CHARS or held[0] not in _MAY_BECOME):
            return f"{len(held)} characters were held at {at:.3f}"
    return ""


CHECKERS: Final[tuple[Callable[[Evidence], Iterator[str]], ...]] = (
    deadlines_are_kept,
    nobody_gives_up_early,
    streams_are_never_silent,
    leaving_is_felt,
    text_flows,
)
