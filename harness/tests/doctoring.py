"""True evidence, changed in one place: what a program that did wrong would have left behind.

`played(plan)` is the evidence of a world, played once. The rest give a copy of it with one thing
changed: an answer's events, body or head; what the model wrote; a line of a log; what was left.
Answers are changed in the wire log's bytes, so that whoever judges them reads them as ever.
"""

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

from attrs import evolve, frozen

from harness.evidence import Evidence, LogLine, request_id
from harness.plans import from_json
from harness.play import run
from harness.wire_log import Exchange, JsonObject, Piece, Record, WireLog

# As much of HTTP as the records of a program's own streams hold at their end.
_LAST_CHUNK: Final = b"0\r\n\r\n"
# Calls of GOOD, by what becomes of them.
STREAMED, PLAIN, UNCITED, ABSTAINED, REFUSED, WEAK = range(6)
GOOD: Final = """{"calls": [
    {},
    {"topic": 1, "at_s": 5, "stream": false},
    {"topic": 2, "at_s": 10, "citations_required": false},
    {"topic": -1, "at_s": 15},
    {"topic": 3, "at_s": 20, "stream": false, "client": "unknown-key"},
    {"topic": 4, "at_s": 25, "stream": false, "search": "weak"}
]}"""
# The one call's text is withdrawn: the model stops before it has finished.
WITHDRAWN: Final = '{"calls": [{"model": "finish-length"}]}'
# The same end, as a plain answer.
PLAIN_FALLBACK: Final = '{"calls": [{"model": "finish-length", "stream": false}]}'
SLOW_BODY: Final = '{"calls": [{"client": "slow-body"}]}'
STALLING: Final = '{"calls": [{"client": "stops-reading"}]}'
CRASHING: Final = '{"calls": [{"search": "crashes"}]}'
# The time is out in the model call.
SHORT: Final = """{"calls": [{"stream": false, "deadline_ms": 1500}],
    "pace": "ttft=80ms,itl=150ms"}"""
# Nobody answers the BFF before its own time is out.
UNANSWERED: Final = '{"calls": [{}], "hops": [{"host": "qs", "fault": "silent"}]}'
TALKING: Final = '{"calls": [{"top_k": 1, "history": 2}]}'
# One client leaves amid the text, the other before its plain answer.
LEAVING: Final = """{"calls": [
    {"leaves_after_s": 0.16}, {"topic": 1, "at_s": 5, "stream": false, "leaves_after_s": 0.16}
]}"""


@cache
def played(plan: str) -> Evidence:
    """The world of this plan."""
    return run(from_json(plan))


@frozen
class Frame:
    """One event of a stream as it was sent; `data` that is bytes stands as it is after `data:`."""

    at: float
    name: str
    data: object

    @property
    def wire(self) -> bytes:
        data = self.data if isinstance(self.data, bytes) else json.dumps(self.data).encode()
        return b"event: %s\ndata: %s\n\n" % (self.name.encode(), data)

    def saying(self, **fields: object) -> "Frame":
        """The same with other values for these keys."""
        assert isinstance(self.data, dict)
        return evolve(self, data={**self.data, **fields})


Edit = Callable[[list[Frame]], Sequence[Frame]]


def exchange_of(evidence: Evidence, host: str, number: int) -> Exchange:
    """The exchange of a call with a program."""
    (found,) = (e for e in evidence.by_host[host] if e.request_id == request_id(number))
    return found


def restreamed(evidence: Evidence, host: str, number: int, edit: Edit) -> Evidence:
    """With other events in this answer; what ends the stream comes after the last of them."""
    evidence = _heads_apart(evidence)
    records = list(evidence.wire.records)
    head, *body = _sent(evidence, host, number)
    frames = [
        Frame(event.at, event.name, event.data)
        for event in exchange_of(evidence, host, number).events()
    ]
    new = [_record(records[head], it.at, _chunk(it.wire)) for it in edit(frames)]
    last = records[body[-1]]
    if last.data == _LAST_CHUNK:
        new.append(evolve(last, at=max([last.at, *(record.at for record in new)])))
    for place in reversed(body):
        del records[place]
    records[head + 1 : head + 1] = new
    return with_records(evidence, records)


def rewritten(
    evidence: Evidence, host: str, number: int, edit: Callable[[JsonObject], object]
) -> Evidence:
    """With another body in this plain answer."""
    evidence = _heads_apart(evidence)
    records = list(evidence.wire.records)
    head, *body = _sent(evidence, host, number)
    old = exchange_of(evidence, host, number)
    new = json.dumps(edit(old.answer_json or {})).encode()
    length = b"content-length: %d"
    framed = records[head].data.replace(length % len(old.answer), length % len(new))
    records[head] = _record(records[head], records[head].at, framed)
    records[body[0]] = _record(records[body[0]], records[body[0]].at, new)
    for place in reversed(body[1:]):
        del records[place]
    return with_records(evidence, records)


def rebytes(evidence: Evidence, host: str, number: int, old: bytes, new: bytes) -> Evidence:
    """With these bytes of the answer replaced, head and framing too."""
    records = list(evidence.wire.records)
    places = [at for at in _sent(evidence, host, number) if old in records[at].data]
    for place in places:
        data = records[place].data.replace(old, new)
        records[place] = _record(records[place], records[place].at, data)
    assert places, f"{old!r} is not in the answer"
    return with_records(evidence, records)


def moved(
    evidence: Evidence, host: str, number: int, chosen: Callable[[Record], bool], by_s: float
) -> Evidence:
    """With these records of an exchange's connection happening so much later."""
    return _each_record(
        evidence, host, number, lambda it: evolve(it, at=it.at + by_s) if chosen(it) else it
    )


def reasked(evidence: Evidence, host: str, number: int, old: bytes, new: bytes) -> Evidence:
    """With these bytes replaced in all that was asked over an exchange's connection."""
    assert len(old) == len(new), "what is framed by its length keeps it"
    return _each_record(
        evidence,
        host,
        number,
        lambda it: evolve(it, data=it.data.replace(old, new)) if it.way == "up" else it,
    )


def without(
    evidence: Evidence, host: str, number: int, chosen: Callable[[Record], bool]
) -> Evidence:
    """Without these records of an exchange's connection."""
    return _each_record(evidence, host, number, lambda it: None if chosen(it) else it)


def _each_record(
    evidence: Evidence, host: str, number: int, edit: Callable[[Record], Record | None]
) -> Evidence:
    link = exchange_of(evidence, host, number).link
    edited = [edit(it) if it.link == link else it for it in evidence.wire.records]
    return with_records(evidence, [record for record in edited if record is not None])


def with_records(evidence: Evidence, records: Sequence[Record]) -> Evidence:
    """With these records in the wire log, in the order of their times."""
    in_order = sorted(records, key=lambda record: record.at)
    return evolve(evidence, wire=WireLog(evidence.wire.links, in_order))


def model_says(evidence: Evidence, number: int, text: str, finish: str = "stop") -> Evidence:
    """With another answer in the model server's journal: the whole of it at once, as it began."""
    topic = evidence.seen()[number].topic
    theirs = evidence.model_calls(topic)
    choice = {"message": {"content": text}, "finish_reason": finish}
    body = json.dumps({"choices": [choice]}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    model = tuple(
        evolve(call, sent=(Piece(call.began_at, head % len(body) + body),))
        if call in theirs
        else call
        for call in evidence.model
    )
    return evolve(evidence, model=model)


def model_asked(evidence: Evidence, number: int, old: bytes, new: bytes) -> Evidence:
    """With these bytes replaced in what the model server's journal says it was asked."""
    theirs = evidence.model_calls(evidence.seen()[number].topic)
    assert any(old in call.request for call in theirs), "there is something to replace"
    model = tuple(
        evolve(call, request=call.request.replace(old, new)) if call in theirs else call
        for call in evidence.model
    )
    return evolve(evidence, model=model)


def relogged(
    evidence: Evidence, program: str, edit: Callable[[list[LogLine]], Sequence[LogLine]]
) -> Evidence:
    """With other lines in a program's log."""
    return evolve(
        evidence, logs={**evidence.logs, program: tuple(edit(list(evidence.logs[program])))}
    )


def _heads_apart(evidence: Evidence) -> Evidence:
    """With each answer's head in a record of its own, before what was sent with it."""
    records = []
    for record in evidence.wire.records:
        head, end, rest = record.data.partition(b"\r\n\r\n")
        if rest and record.way == "down" and head.startswith(b"HTTP/1.1 "):
            records += [_record(record, record.at, head + end), _record(record, record.at, rest)]
        else:
            records.append(record)
    return with_records(evidence, records)


def _sent(evidence: Evidence, host: str, number: int) -> list[int]:
    """Where in the wire log the bytes of this answer are: its head first."""
    wanted = exchange_of(evidence, host, number)
    on_link = [it for it in evidence.by_host[host] if it.link == wanted.link]
    nth, heads, places = on_link.index(wanted) + 1, 0, []
    for place, record in enumerate(evidence.wire.records):
        if (record.link, record.way, record.what) == (wanted.link, "down", "sent"):
            heads += record.data.startswith(b"HTTP/1.1 ")
            places += [place] if heads == nth else []
    return places


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _record(like: Record, at: float, data: bytes) -> Record:
    return evolve(like, at=at, data=data, size=len(data))
