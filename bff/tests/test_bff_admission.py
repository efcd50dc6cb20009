"""Goal: nobody gets more than burst + rate times time, nobody waits in vain, memory is bounded.

Method: calls at times out of Hypothesis, on a clock that is a number; a hundred thousand callers.
"""

import tracemalloc
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.admission import CALLERS_MAX, Admit, Buckets, Rate, Reject, address_group

RATES = st.builds(Rate, per_minute=st.integers(1, 6000), burst=st.integers(1, 20))
STARTS = st.floats(0, 1e7, allow_nan=False)
PAUSES = st.lists(st.one_of(st.just(0.0), st.floats(0, 30, allow_nan=False)), max_size=60)


def times_of(start: float, pauses: list[float]) -> list[float]:
    times = [start]
    for pause in pauses:
        times.append(times[-1] + pause)
    return times


@given(RATES, STARTS, PAUSES)
def test_no_window_lets_in_more_than_burst_and_rate(
    rate: Rate, start: float, pauses: list[float]
) -> None:
    buckets = Buckets(rate)
    let_in = [
        now for now in times_of(start, pauses) if isinstance(buckets.decide("one", now), Admit)
    ]
    for first, begin in enumerate(let_in):
        for last in range(first, len(let_in)):
            granted = rate.burst + (let_in[last] - begin) / rate.interval_s
            assert last - first + 1 <= granted + 1e-3


@given(RATES, STARTS, PAUSES)
def test_whoever_waits_as_long_as_told_is_let_in_and_no_sooner(
    rate: Rate, start: float, pauses: list[float]
) -> None:
    buckets = Buckets(rate)
    for now in times_of(start, pauses):
        decision = buckets.decide("one", now)
        if isinstance(decision, Reject):
            wait_ms = decision.retry_after_ms
            assert wait_ms == buckets.wait_ms("one", now) > 0
            assert buckets.wait_ms("one", now + wait_ms / 1000) == 0
            if wait_ms > 1:
                assert buckets.wait_ms("one", now + (wait_ms - 1.1) / 1000) > 0


def test_wait_is_rounded_up_when_it_is_no_whole_millisecond() -> None:
    buckets = Buckets(Rate(per_minute=7, burst=1))
    buckets.decide("one", 0.0)
    assert buckets.wait_ms("one", 0.0) == 8_572, "60 s / 7 is 8571.43 ms"


@given(RATES, STARTS)
def test_burst_is_let_in_at_once_and_not_one_more(rate: Rate, start: float) -> None:
    buckets = Buckets(rate)
    for left in reversed(range(rate.burst)):
        decision = buckets.decide("one", start)
        assert isinstance(decision, Admit)
        assert decision.left == left
        used = rate.burst - left
        assert decision.full_in_s == pytest.approx(used * rate.interval_s, abs=1e-5)
    refused = buckets.decide("one", start)
    assert isinstance(refused, Reject)
    assert refused.retry_after_ms == pytest.approx(ceil(rate.interval_s * 1000), abs=1)
    assert refused.full_in_s == pytest.approx(rate.refill_s, abs=1e-5)


@given(RATES, STARTS, PAUSES)
def test_refusals_cost_nothing(rate: Rate, start: float, pauses: list[float]) -> None:
    asked, looked = Buckets(rate), Buckets(rate)
    for now in times_of(start, pauses):
        asked.decide("one", now)
        while isinstance(asked.decide("one", now), Admit):
            looked.decide("one", now)
        looked.decide("one", now)
        for _ in range(3):
            asked.decide("one", now)
        assert asked.wait_ms("one", now) == looked.wait_ms("one", now)


def test_what_is_left_of_a_millisecond_is_waited_for() -> None:
    buckets = Buckets(Rate(60, 1))
    buckets.decide("one", 0.0)
    assert [buckets.wait_ms("one", now) for now in (0.9985, 0.9995, 1.0)] == [2, 1, 0]
    assert isinstance(buckets.decide("one", 0.9995), Reject)


def test_callers_do_not_share_a_bucket() -> None:
    buckets = Buckets(Rate(1, 1))
    assert isinstance(buckets.decide("one", 0.0), Admit)
    assert isinstance(buckets.decide("one", 0.0), Reject)
    assert isinstance(buckets.decide("other", 0.0), Admit)


def test_looking_takes_no_token_and_knows_nobody() -> None:
    buckets = Buckets(Rate(1, 1))
    assert [buckets.wait_ms("one", 0.0) for _ in range(3)] == [0, 0, 0]
    assert len(buckets) == 0
    assert isinstance(buckets.decide("one", 0.0), Admit)


def test_memory_is_bounded_when_a_hundred_thousand_addresses_call() -> None:
    buckets = Buckets(Rate(60, 5))
    tracemalloc.start()
    for number in range(100_000):
        assert isinstance(buckets.decide(f"10.{number}", number * 1e-6), Admit)
        assert len(buckets) <= CALLERS_MAX
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4_000_000


def test_whoever_waits_is_remembered_however_many_newcomers_there_are() -> None:
    buckets = Buckets(Rate(60, 5))
    while isinstance(buckets.decide("waiting", 0.0), Admit):
        pass
    for number in range(3 * CALLERS_MAX):
        buckets.decide(f"new {number}", 0.0)
    assert isinstance(buckets.decide("waiting", 0.0), Reject)


def test_full_buckets_are_forgotten_first() -> None:
    buckets = Buckets(Rate(60, 5))
    for number in range(CALLERS_MAX - 1):
        buckets.decide(f"gone {number}", 0.0)
    buckets.decide("here", 100.0)
    assert len(buckets) == CALLERS_MAX
    buckets.decide("new", 100.0)
    assert len(buckets) == 2
    decision = buckets.decide("here", 100.0)
    assert isinstance(decision, Admit)
    assert decision.left == 3


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1::7", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:ffff::1", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::7", "2001:db8:0:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("/run/socket", "/run/socket"),
        ("", ""),
    ],
)
def test_an_address_stands_for_whom_it_is_given_to(address: str, group: str) -> None:
    assert address_group(address) == group
