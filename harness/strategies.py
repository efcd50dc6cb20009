"""Messages of the contract by Hypothesis: good ones, whole streams of them, and spoilt ones.

    requests(ChatRequest)                a good request, as some client may write it
    streams(hop, table, cited=…)         a legal stream, walked from the table of the order
    answers(hop)                         a good answer in one body
    spoilt(ChatRequest)                  one of them, spoilt by an operator of `malformed`

Answers carry `IDS`, and cite `HITS`, since their readers hold them to the call they belong to.
"""

import json
from functools import cache
from typing import cast

from attrs import frozen
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from contracts.chat import ChatRequest, ChatResponse
from contracts.events import Meta
from contracts.generation import GenerateRequest, GenerateResponse
from contracts.order import State, Step
from contracts.reasons import ReasonCode
from contracts.tests.shapes import FALLBACKS, LETTERS, TEXT, legal, plain
from harness.alone import CITATIONS, IDS, OK, SOURCES, Ending, Hop, done_data, error_data
from harness.malformed import OPERATORS, Spoilt
from harness.order_breaks import Table
from harness.places import Json

# JSON as clients write it: other blanks, other escapes.
_WRITERS = (
    lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")),
    lambda value: json.dumps(value),
    lambda value: json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(" , ", " :  ")),
)
_DELTAS_MAX = 12


def written(value: object) -> SearchStrategy[bytes]:
    """The value as one line of JSON, in one of the ways there are."""
    return st.sampled_from(_WRITERS).map(lambda write: write(value).encode())


# Requests.


@st.composite
def requests(draw: DrawFn, kind: type[ChatRequest] | type[GenerateRequest]) -> bytes:
    """A good request of this type. It names no session, since none was made."""
    value = draw(legal(kind))
    if kind is ChatRequest:
        value.pop("session_id", None)
    return draw(written(value))


@st.composite
def spoilt(draw: DrawFn, kind: type[ChatRequest] | type[GenerateRequest]) -> Spoilt:
    """A good request of this type, spoilt by one operator at one place."""
    good = json.loads(draw(requests(kind)))
    made = list(draw(st.sampled_from(OPERATORS)).spoil(kind, good))
    assume(made)
    return made[draw(st.integers(0, len(made) - 1))]


# Answers.


@frozen
class Event:
    """One event of a stream: its step of the order, its data, and its bytes on the wire."""

    step: Step
    data: Json
    frame: bytes


@st.composite
def streams(draw: DrawFn, table: Table, *, cited: bool) -> list[Event]:
    """A legal stream to its `done`, any way through the table, no longer than it must be."""
    events: list[Event] = []
    state, code, deltas = State.OPENING, draw(st.sampled_from(FALLBACKS)), 0
    while state is not State.CLOSED:
        row = table[state]
        steps = [step for step in row if step is not Step.DELTA or deltas < _DELTAS_MAX]
        step = draw(st.sampled_from(steps))
        data = draw(_data(step, code, cited=cited, discard=deltas > 0))
        deltas += step is Step.DELTA
        state = row[step]
        name = step.value.partition(" ")[0].encode()
        events.append(Event(step, data, b"event: %b\ndata: %b\n\n" % (name, draw(written(data)))))
    return events


@cache
def _data(step: Step, code: ReasonCode, *, cited: bool, discard: bool) -> SearchStrategy[Json]:
    """The data of one event."""
    match step:
        case Step.META:
            return plain(Meta).map(lambda meta: {**cast(Json, meta), **IDS})
        case Step.SOURCES:
            return st.just({"sources": SOURCES})
        case Step.CITATIONS:
            return st.just({"citations": CITATIONS})
        case Step.DELTA:
            return st.fixed_dictionaries({"delta": TEXT})
        case Step.ERROR:
            return st.just(error_data(discard=discard, code=code))
        case Step.DONE_OK:
            return _done(OK, cited=cited)
        case Step.DONE_FALLBACK:
            return _done(Ending("fallback", code), cited=cited)


def _done(ending: Ending, *, cited: bool) -> SearchStrategy[Json]:
    """A `done` of this ending: what it tells beside is anything."""
    pause = st.none() | st.integers(0, 10**12)
    return st.fixed_dictionaries(
        {
            **{key: st.just(value) for key, value in done_data(ending, cited=cited).items()},
            "retry_after_ms": pause if ending.code else st.none(),
            "model": st.none() | TEXT,
            "usage": st.none() | st.just({"prompt_tokens": 0, "completion_tokens": 10**9}),
            "timings_ms": st.dictionaries(TEXT, st.integers(-9, 10**12), max_size=3),
        }
    )


@st.composite
def answers(draw: DrawFn, hop: Hop) -> tuple[Json, bytes]:
    """A good answer in one body of the hop after this one, and its bytes."""
    value = draw(legal(ChatResponse if hop == "bff" else GenerateResponse))
    value.update(IDS)
    if hop == "qs":
        value["citations"] = [] if value["status"] == "fallback" else CITATIONS
        if value["status"] == "ok":
            value["content"] = draw(st.text(LETTERS, min_size=1, max_size=50))
    return value, draw(written(value))
