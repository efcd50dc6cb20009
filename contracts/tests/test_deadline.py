"""Goal: inner hops have less time than outer ones, and no millisecond is lost to rounding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadline import Deadline, DeadlineViolation, parse_header
from contracts.tests.shapes import quick

# A clock that has run for up to thirty years.
CLOCK = st.floats(0, 1e9)
MS = st.integers(0, 10**8)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, None), ("0", 0), ("20000", 20_000), ("007", 7), ("9" * 15, 10**15 - 1)],
)
def test_header_is_whole_milliseconds(value: str | None, expected: int | None) -> None:
    assert parse_header(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "-1",
        "+1",
        "1.0",
        "1e3",
        "0x1",
        "1_000",
        "1 ",
        " 1",
        "1\n",
        "٣",
        "²",
        "1,2",
        "9" * 16,
    ],
)
def test_header_is_refused_when_it_is_anything_else(value: str) -> None:
    with pytest.raises(DeadlineViolation):
        parse_header(value)


@quick(100)
@given(now=CLOCK, own=MS, callers=st.none() | MS)
def test_limit_is_the_smaller_and_exact_at_the_start(
    now: float, own: int, callers: int | None
) -> None:
    deadline = Deadline.of(now, own, callers)
    assert deadline.remaining_ms(now) == (own if callers is None else min(own, callers))


@quick(100)
@given(now=CLOCK, own=MS, passed=MS, margin=st.integers(0, 5_000))
def test_what_remains_shrinks_and_the_next_hop_gets_less(
    now: float, own: int, passed: int, margin: int
) -> None:
    deadline = Deadline.of(now, own, None)
    later = now + passed / 1000
    assert abs(deadline.remaining_ms(later) - max(0, own - passed)) <= 1
    assert deadline.forward_ms(later, margin) == max(0, deadline.remaining_ms(later) - margin)
    inner = Deadline.of(later, own, deadline.forward_ms(later, margin))
    assert inner.at <= deadline.at + 0.001 or passed > own


def test_nothing_remains_when_it_has_passed() -> None:
    deadline = Deadline.of(100.0, 250, None)
    assert [deadline.remaining_ms(now) for now in (100.0, 100.125, 100.25, 200.0)] == [
        250,
        125,
        0,
        0,
    ]
    assert deadline.forward_ms(100.0, 250) == 0
    assert deadline.forward_ms(100.0, 249) == 1
