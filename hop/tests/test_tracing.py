"""Ids of a call: taken from headers, replaced where unusable, written onwards. Pure."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hop.tracing import CallIds, ids_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


def counting_hex(digits: int) -> str:
    return "abcdef0123456789"[:digits].ljust(digits, "7")


def ids(headers: dict[str, str]) -> CallIds:
    return ids_of(headers.get, counting_hex)


def test_ids_are_taken_when_the_headers_are_usable() -> None:
    got = ids({"x-request-id": "r-1._A", "traceparent": f"00-{TRACE}-{SPAN}-00"})
    assert got == CallIds("r-1._A", TRACE, "00", SPAN)


@pytest.mark.parametrize("value", ["", "a b", "é", "x" * 129, "a\n"])
def test_a_request_id_is_replaced_when_it_is_unusable(value: str) -> None:
    assert ids({"x-request-id": value}).request_id == counting_hex(32)


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-extra",
    ],
)
def test_a_traceparent_is_replaced_when_it_is_unusable(value: str) -> None:
    got = ids({"traceparent": value, "x-trace-id": TRACE})
    assert got.trace_id == counting_hex(32)


def test_x_trace_id_is_accepted_when_no_traceparent_is_given() -> None:
    assert ids({"x-trace-id": TRACE}).trace_id == TRACE
    assert ids({"x-trace-id": "0" * 32}).trace_id == counting_hex(32)


def test_a_body_id_wins_over_a_header_and_rewrites_what_goes_on() -> None:
    got = ids({"x-request-id": "head", "traceparent": f"00-{TRACE}-{SPAN}-01"})
    named = got.with_body("body", "f" * 32)
    assert named.outgoing(counting_hex) == {
        "x-request-id": "body",
        "traceparent": f"00-{'f' * 32}-{counting_hex(16)}-01",
    }
    assert named.response() == {"x-request-id": "body", "x-trace-id": "f" * 32}
    assert got.with_body(None, None) == got


@given(st.text(max_size=140), st.text(max_size=80), st.text(max_size=40))
def test_whatever_comes_in_usable_ids_go_out(request: str, parent: str, trace: str) -> None:
    got = ids({"x-request-id": request, "traceparent": parent, "x-trace-id": trace})
    onward = got.outgoing(lambda digits: "0" * digits)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", onward["x-request-id"])
    assert re.fullmatch(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-..", onward["traceparent"])
