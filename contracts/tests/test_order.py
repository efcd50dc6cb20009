"""Goal: exactly the legal orders of events are legal, whoever speaks.

Method: the whole table, cell by cell, against a table written out here; then random sequences
against a regular expression that knows nothing of states.
"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.chat import Citation, Source
from contracts.events import CitationsProved, Delta, Done, Meta, SourcesFound, StreamEvent, failed
from contracts.order import (
    TRANSITIONS,
    TRANSITIONS_UNCITED,
    OrderViolation,
    Seen,
    State,
    Step,
    StreamOrder,
    seen,
)
from contracts.reasons import NextAction, ReasonCode
from contracts.strict_json import Violation
from contracts.tests.shapes import quick

CODE, OTHER = ReasonCode.PROVIDER_TIMEOUT, ReasonCode.HOP_TIMEOUT
# Rows: where the stream stands. Columns: M S C D E, then `done` ok (K) and fallback (F).
CITED = """
    OPENING    M:STARTED
    STARTED    S:SEARCHED C:PROVED E:FAILED
    SEARCHED   C:PROVED E:FAILED
    PROVED     D:ANSWERING E:FAILED
    ANSWERING  D:ANSWERING E:FAILED K:CLOSED
    FAILED     F:CLOSED
    CLOSED
"""
UNCITED = """
    OPENING    M:STARTED
    STARTED    S:SEARCHED D:ANSWERING E:FAILED
    SEARCHED   D:ANSWERING E:FAILED
    ANSWERING  D:ANSWERING E:FAILED K:CLOSED
    FAILED     F:CLOSED
    CLOSED
"""
LETTER = dict(zip("MSCDEKF", Step, strict=True))
# `e` is an error after text, which withdraws it.
LEGAL = {
    True: re.compile(r"MS?(C(D+(K|eF)|EF)|EF)"),
    False: re.compile(r"MS?(D+(K|eF)|EF)"),
}
PATHS = {
    State.OPENING: "",
    State.STARTED: "M",
    State.SEARCHED: "MS",
    State.PROVED: "MSC",
    State.ANSWERING: "MSCD",
    State.FAILED: "MSCDe",
    State.CLOSED: "MSCDK",
}


def step(letter: str, code: ReasonCode | None = CODE) -> Seen:
    kind = LETTER[letter.upper()]
    named = code if kind in (Step.ERROR, Step.DONE_FALLBACK) else None
    return Seen(kind, named, discard=letter == "e")


def order_at(state: State, *, cited: bool) -> StreamOrder:
    order = StreamOrder(citations_required=cited)
    for letter in PATHS[state] if cited else PATHS[state].replace("C", ""):
        order.see(step(letter))
    assert order.state is state
    return order


def cells(table: str) -> dict[tuple[State, Step], State]:
    rows = [line.split() for line in table.strip().splitlines()]
    return {(State[row[0]], LETTER[cell[0]]): State[cell[2:]] for row in rows for cell in row[1:]}


@pytest.mark.parametrize("cited", [True, False])
@pytest.mark.parametrize("letter", "MSCDEKF")
@pytest.mark.parametrize("state", State)
def test_every_cell_of_the_table(state: State, letter: str, cited: bool) -> None:
    if state is State.PROVED and not cited:
        return  # Without citations nothing is ever proved: no way leads there.
    order = order_at(state, cited=cited)
    after = cells(CITED if cited else UNCITED).get((state, LETTER[letter]))
    taken = step("e" if letter == "E" and state is State.ANSWERING else letter)
    if after is not None:
        order.see(taken)
        assert order.state is after
        return
    with pytest.raises(OrderViolation, match=f"may not stand here .*{state.name}"):
        order.see(taken)
    assert order.state is state


def test_tables_are_closed_over_every_state() -> None:
    assert set(TRANSITIONS) == set(TRANSITIONS_UNCITED) == set(State)


@pytest.mark.parametrize("cited", [True, False])
@quick(300)
@given(
    letters=st.text("MSCDEeKF", max_size=9)
    | st.from_regex(r"MS?C?D{0,3}[Ee]?[KF]{0,2}", fullmatch=True)
)
def test_sequence_is_legal_exactly_when_the_expression_says_so(cited: bool, letters: str) -> None:
    order = StreamOrder(citations_required=cited)
    try:
        for letter in letters:
            order.see(step(letter))
    except OrderViolation:
        assert not LEGAL[cited].fullmatch(letters)
    else:
        assert (order.state is State.CLOSED) is bool(LEGAL[cited].fullmatch(letters))


@pytest.mark.parametrize("state", [State.STARTED, State.SEARCHED, State.PROVED])
def test_error_may_not_withdraw_when_no_text_was_sent(state: State) -> None:
    order = order_at(state, cited=True)
    with pytest.raises(OrderViolation, match="`discard`"):
        order.see(step("e"))
    assert (order.state, order.failure) == (state, None)
    order.see(step("E"))
    assert order.failure is CODE


def test_error_must_withdraw_when_text_was_sent() -> None:
    order = order_at(State.ANSWERING, cited=True)
    with pytest.raises(OrderViolation, match="`discard`"):
        order.see(step("E"))
    order.see(step("e"))
    assert (order.state, order.failure) == (State.FAILED, CODE)


@pytest.mark.parametrize("code", [OTHER, None])
def test_done_is_refused_when_its_code_is_not_the_errors(code: ReasonCode | None) -> None:
    order = order_at(State.FAILED, cited=True)
    with pytest.raises(OrderViolation, match=f"the code of `error`, {CODE}"):
        order.see(step("F", code))
    order.see(step("F"))
    assert order.state is State.CLOSED


TRACE, REQUEST = "1" * 32, "r1"
SOURCE = Source("a", "d", None, None, "s", 1.0)
CITATION = Citation("a", "c1", None, None)


def done(code: ReasonCode | None) -> Done:
    if code is None:
        return Done("ok", None, None, NextAction.NONE, None, None, (CITATION,), None, {})
    return Done("fallback", code, code.message, code.next_action, None, None, (), None, {})


STREAM: list[StreamEvent] = [
    Meta("v1", TRACE, REQUEST, None),
    SourcesFound((SOURCE,)),
    CitationsProved((CITATION,)),
    Delta("It is."),
]


def test_events_are_seen_as_their_steps() -> None:
    order = StreamOrder(citations_required=True)
    for event in [*STREAM, done(None)]:
        order.advance(event)
    assert order.state is State.CLOSED
    assert [seen(event).step.value for event in STREAM] == ["meta", "sources", "citations", "delta"]
    assert seen(failed(CODE, discard=True)) == Seen(Step.ERROR, CODE, discard=True)
    assert seen(done(None)) == Seen(Step.DONE_OK)
    assert seen(done(CODE)) == Seen(Step.DONE_FALLBACK, CODE)


def test_failed_events_end_a_stream() -> None:
    order = StreamOrder(citations_required=True)
    for event in [*STREAM, failed(CODE, discard=True), done(CODE)]:
        order.advance(event)
    assert order.state is State.CLOSED
    with pytest.raises(OrderViolation):
        order.advance(done(CODE))


@pytest.mark.parametrize(
    ("state", "letter", "code", "problem"),
    [
        (State.STARTED, "D", None, "`delta` may not stand here (the stream is STARTED)"),
        (State.CLOSED, "K", None, "`done ok` may not stand here (the stream is CLOSED)"),
        (
            State.PROVED,
            "e",
            CODE,
            "`discard` must say whether a `delta` was sent (the stream is PROVED)",
        ),
        (
            State.FAILED,
            "F",
            OTHER,
            f"`done` must carry the code of `error`, {CODE} (the stream is FAILED)",
        ),
    ],
)
def test_violation_says_what_and_where_the_stream_stood(
    state: State, letter: str, code: ReasonCode | None, problem: str
) -> None:
    order = order_at(state, cited=True)
    with pytest.raises(OrderViolation) as caught:
        order.see(step(letter, code) if code else step(letter))
    assert caught.value.violations == (Violation("$", problem),)
