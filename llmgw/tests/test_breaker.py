"""The circuit breaker, time as a value: each step of its three states, and any order of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.reasons import ReasonCode
from llmgw.breaker import FAILURES, PROBE_RETRY_S, Breaker, Permit, State, Verdict, verdict_on

WORKS, FAILS, UNKNOWN = Verdict.WORKS, Verdict.FAILS, Verdict.UNKNOWN
COOLDOWN_S = 10.0


def told(breaker: Breaker, *verdicts: Verdict, now: float = 0.0) -> Breaker:
    """After attempts of these verdicts, one after another, each let through."""
    for verdict in verdicts:
        breaker.settle(permitted(breaker, now), verdict, now)
    return breaker


def permitted(breaker: Breaker, now: float) -> Permit:
    permit = breaker.permit(now)
    assert permit is not None
    return permit


def opened() -> Breaker:
    """Open since the time 0."""
    return told(Breaker(3, COOLDOWN_S), FAILS, FAILS, FAILS)


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    assert told(Breaker(3, COOLDOWN_S), FAILS, FAILS).state is State.CLOSED
    assert opened().state is State.OPEN


def test_a_server_that_works_in_between_begins_a_new_row() -> None:
    breaker = told(Breaker(3, COOLDOWN_S), FAILS, FAILS, WORKS, FAILS, FAILS)
    assert breaker.state is State.CLOSED


def test_an_attempt_that_was_given_up_says_nothing() -> None:
    assert told(Breaker(3, COOLDOWN_S), FAILS, FAILS, UNKNOWN, FAILS).state is State.OPEN


def test_nobody_asks_while_it_is_open() -> None:
    breaker = opened()
    assert breaker.permit(9.999) is None
    assert breaker.closed_in_s(4.0) == 6.0


def test_one_asks_when_the_cooldown_is_over_and_no_other() -> None:
    breaker = opened()
    permitted(breaker, COOLDOWN_S)
    assert breaker.state is State.HALF_OPEN
    assert breaker.permit(COOLDOWN_S) is None
    assert breaker.closed_in_s(COOLDOWN_S) == PROBE_RETRY_S


def test_it_closes_when_the_probe_is_answered() -> None:
    breaker = opened()
    assert breaker.settle(permitted(breaker, 10.0), WORKS, 11.0) is State.CLOSED
    assert breaker.closed_in_s(11.0) == 0.0
    assert told(breaker, FAILS, FAILS, now=11.0).state is State.CLOSED, "a new row"


def test_it_stays_open_as_long_again_when_the_probe_fails() -> None:
    breaker = opened()
    assert breaker.settle(permitted(breaker, 10.0), FAILS, 12.0) is State.OPEN
    assert breaker.permit(21.999) is None
    permitted(breaker, 22.0)


def test_another_may_ask_when_the_probe_was_given_up() -> None:
    breaker = opened()
    assert breaker.settle(permitted(breaker, 10.0), UNKNOWN, 10.5) is None
    permitted(breaker, 10.5)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_what_was_asked_before_it_opened_is_not_heard_any_more(verdict: Verdict) -> None:
    breaker = Breaker(3, COOLDOWN_S)
    early = permitted(breaker, 0.0)
    told(breaker, FAILS, FAILS, FAILS)
    assert breaker.settle(early, verdict, 5.0) is None
    assert breaker.state is State.OPEN
    assert breaker.closed_in_s(5.0) == 5.0


def test_it_never_opens_when_it_is_turned_off() -> None:
    assert told(Breaker(0, COOLDOWN_S), *[FAILS] * 100).state is State.CLOSED


@given(st.lists(st.tuples(st.sampled_from(["ask", *Verdict]), st.floats(0.0, 6.0))))
def test_no_order_of_steps_shuts_the_server_out_for_good(
    steps: list[tuple[Verdict | str, float]],
) -> None:
    """Whatever happened: when all permits are settled and the cooldown is over, one may ask."""
    breaker, now, held = Breaker(2, COOLDOWN_S), 0.0, list[Permit]()
    for step, later_s in steps:
        now += later_s
        if isinstance(step, Verdict):
            if held:
                breaker.settle(held.pop(0), step, now)
        elif permit := breaker.permit(now):
            held.append(permit)
    for permit in held:
        breaker.settle(permit, UNKNOWN, now)
    told(breaker, WORKS, now=now + COOLDOWN_S)
    assert breaker.state is State.CLOSED
    assert breaker.closed_in_s(now + COOLDOWN_S) == 0.0


@pytest.mark.parametrize("code", list(ReasonCode))
def test_only_what_speaks_of_the_servers_health_is_a_failure(code: ReasonCode) -> None:
    counts = verdict_on(code, silent_for_s=0.0, patience_s=10.0) is FAILS
    assert counts is (code in FAILURES)
    assert not counts or code.startswith("PROVIDER_")


@pytest.mark.parametrize(
    ("silent_for_s", "verdict"), [(10.0, FAILS), (9.9, UNKNOWN), (0.0, UNKNOWN)]
)
def test_the_whole_limit_counts_only_where_the_server_had_its_time(
    silent_for_s: float, verdict: Verdict
) -> None:
    code = ReasonCode.PROVIDER_TIMEOUT
    assert verdict_on(code, silent_for_s=silent_for_s, patience_s=10.0) is verdict
