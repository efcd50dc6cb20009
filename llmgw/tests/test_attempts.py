"""The pauses between attempts, and when there is none. Values in, values out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadline import Deadline
from contracts.reasons import ReasonCode
from llmgw.attempts import FIRST_PAUSE_S, LONGEST_PAUSE_S, MAX_ATTEMPTS_MAX, backoff_s, next_pause_s
from llmgw.faults import GenerationFault

LOST = ReasonCode.PROVIDER_DISCONNECTED


def pause_s(
    code: ReasonCode = LOST,
    *,
    made: int = 1,
    left_s: float = 15.0,
    chance: float = 1.0,
    retry_after_ms: int | None = None,
) -> float | None:
    fault = GenerationFault(code, "as the test says", retry_after_ms=retry_after_ms)
    due = Deadline(100.0 + left_s)
    return next_pause_s(fault, made=made, max_attempts=3, now=100.0, due=due, chance=chance)


@pytest.mark.parametrize("code", list(ReasonCode))
def test_only_what_the_table_marks_is_tried_again(code: ReasonCode) -> None:
    assert (pause_s(code) is not None) is code.retry


def test_there_are_no_more_attempts_than_were_granted() -> None:
    assert [pause_s(made=made) is not None for made in (1, 2, 3, 4)] == [True, True, False, False]


def test_a_pause_doubles_and_has_a_longest() -> None:
    assert [backoff_s(made, 1.0) for made in (1, 2, 3, 4, 5, 9)] == [0.25, 0.5, 1.0, 2.0, 2.0, 2.0]


@given(made=st.integers(1, MAX_ATTEMPTS_MAX), chance=st.floats(0.0, 1.0))
def test_a_pause_is_never_under_half_of_its_whole(made: int, chance: float) -> None:
    whole = min(FIRST_PAUSE_S * 2 ** (made - 1), LONGEST_PAUSE_S)
    assert whole / 2 <= backoff_s(made, chance) <= whole


def test_what_the_server_asked_for_is_waited_in_full() -> None:
    assert pause_s(retry_after_ms=2_000, chance=0.0) == 2.0 + FIRST_PAUSE_S / 2


@pytest.mark.parametrize(("left_s", "begun"), [(2.0, False), (2.25, False), (2.251, True)])
def test_a_pause_that_would_pass_the_deadline_is_not_begun(left_s: float, begun: bool) -> None:
    assert (pause_s(retry_after_ms=2_000, left_s=left_s) is not None) is begun


def test_nothing_is_added_to_a_pause_that_the_server_did_not_ask_for() -> None:
    assert pause_s(retry_after_ms=None) == pause_s(retry_after_ms=0) == FIRST_PAUSE_S
