"""Goal: every checker speaks when its law is broken, says which, and is silent when none is.

Method: the true evidence of small worlds, changed in one place at a time (`planted_*.py`). A row
says which checker has to speak, its line, and which others the same wrong concerns. Nothing a
checker can say may be without a row: the lines of its code that say something are counted.
"""

import ast
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import pytest
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checkers import (
    CHECKERS,
    access,
    answers,
    attempts,
    clocks,
    codes,
    judge,
    kept,
    leaks,
    telemetry,
    truth,
)
from harness.evidence import Evidence
from harness.tests import (
    doctoring,
    planted_access,
    planted_answers,
    planted_attempts,
    planted_clocks,
    planted_codes,
    planted_kept,
    planted_leaks,
    planted_telemetry,
    planted_truth,
)
from harness.tests.doctoring import played, rewritten, with_records
from harness.tests.planted import Planted

if TYPE_CHECKING:
    from _typeshed import TraceFunction

MODULES = (access, answers, truth, codes, clocks, kept, leaks, attempts, telemetry)
PLANTED: tuple[Planted, ...] = tuple(
    row
    for module in (
        planted_access,
        planted_answers,
        planted_truth,
        planted_codes,
        planted_kept,
        planted_clocks,
        planted_leaks,
        planted_attempts,
        planted_telemetry,
    )
    for row in module.PLANTED
)
WORLDS = tuple(
    text
    for text in (*vars(doctoring).values(), *vars(planted_access).values())
    if isinstance(text, str) and text.startswith('{"calls')
)
Place = tuple[str, int]


@frozen
class Judged:
    """What was said of each row, and the lines of the checkers' code that ran meanwhile."""

    said: dict[Planted, list[str]]
    run: set[Place]


@pytest.fixture(scope="module")
def judged() -> Judged:
    with _lines_run() as run:
        return Judged({row: judge(row.doctored()) for row in PLANTED}, run)


@pytest.mark.parametrize("row", PLANTED, ids=str)
def test_checker_speaks_when_its_law_is_broken(row: Planted, judged: Judged) -> None:
    said = judged.said[row]
    assert any(line.startswith(str(row)) for line in said), said
    assert {line.partition(":")[0] for line in said} == {row.checker, *row.also}, said


@pytest.mark.parametrize("plan", WORLDS)
def test_checkers_are_silent_when_nothing_was_planted(plan: str) -> None:
    assert judge(played(plan)) == []


def test_every_checker_has_a_planted_violation() -> None:
    assert set(CHECKERS) == {row.checker for row in PLANTED}


def test_everything_a_checker_can_say_is_said_of_some_planted_violation(judged: Judged) -> None:
    silent = sorted(set(_sayings()) - judged.run)
    assert not silent, "no planted violation makes these lines speak"


def _sayings() -> Iterator[Place]:
    """Where a checker makes up a line of its own."""
    for module in MODULES:
        assert module.__file__
        for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
            if isinstance(node, ast.Yield) and isinstance(node.value, ast.JoinedStr | ast.Constant):
                yield module.__file__, node.lineno


@contextmanager
def _lines_run() -> Iterator[set[Place]]:
    """The lines of the checkers' modules that were run."""
    files = {module.__file__ for module in MODULES}
    found: set[Place] = set()

    def line(frame: FrameType, event: str, _: object) -> "TraceFunction":
        if event == "line":
            found.add((frame.f_code.co_filename, frame.f_lineno))
        return line

    def call(frame: FrameType, _: str, __: object) -> "TraceFunction | None":
        return line if frame.f_code.co_filename in files else None

    before = sys.gettrace()
    sys.settrace(call)
    try:
        yield found
    finally:
        sys.settrace(before)


def _relayed_admission() -> Evidence:
    """An inner hop had no slot: a chat's plain answer tells it as a fallback of the same code."""
    fallback = {
        "status": "fallback",
        "reason_code": "ADMISSION_QUEUE_FULL",
        "message_key": "busy",
        "next_action": "RETRY",
        "citations": [],
        "answer": {"role": "assistant", "content": answers._TEXTS["busy"]},
    }
    return rewritten(played(doctoring.GOOD), "bff", doctoring.WEAK, lambda it: {**it, **fallback})


def test_an_inner_hops_admission_may_end_a_chat() -> None:
    said = judge(_relayed_admission())
    assert not [line for line in said if line.startswith("words_are_the_contracts")]


def test_two_closing_lines_are_due_when_a_request_was_sent_again() -> None:
    """A kept connection that broke within its next answer's head is dialled anew."""
    plan = """{"calls": [{"topic": 1, "at_s": 1.0}, {"topic": -1, "stream": false}],
               "hops": [{"host": "qs", "fault": "ended-in-body"},
                        {"host": "llmgw", "fault": "cut-in-body"}], "seed": 5104}"""
    world = played(plan)
    assert len([e for e in world.by_host["llmgw"] if e.request_id == "call-0"]) == 2
    assert judge(world) == []


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_bytes_on_the_wire_make_a_checker_fail_itself(data: st.DataObject) -> None:
    """What is wrong is told as a violation, never raised: a judge that crashes judges nothing."""
    good = played(doctoring.LEAVING)
    records = list(good.wire.records)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(records) - 1))
        old = records[at].data
        cut = data.draw(st.integers(0, len(old)))
        new = data.draw(st.sampled_from((b"", b"null", b"[]", b"\x00", b'{"a":1}', b"\n\n", b"}")))
        records[at] = evolve(records[at], data=old[:cut] + new + old[cut + len(new) :])
    judge(with_records(good, records))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
KEYS = ("status", "reason_code", "citations", "sources", "answer", "trace_id", "error", "content")


@settings(max_examples=60, deadline=None)
@given(key=st.sampled_from(KEYS), value=JSON, host=st.sampled_from(("bff", "llmgw")))
def test_no_json_makes_a_checker_fail_itself(key: str, value: object, host: str) -> None:
    good = played(doctoring.GOOD)
    judge(rewritten(good, host, doctoring.PLAIN, lambda answer: {**answer, key: value}))


@settings(max_examples=30, deadline=None)
@given(value=JSON)
def test_no_body_makes_a_checker_fail_itself(value: object) -> None:
    judge(rewritten(played(doctoring.GOOD), "bff", doctoring.PLAIN, lambda _: value))
