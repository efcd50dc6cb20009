"""Whose call this is: the request id and the trace, from headers in and to headers out.

A header that cannot be used is replaced, never refused; an id in the body wins over a header and
is checked by the body's own rules (CONTRACT §2). New ids come from a source of randomness that
the program hands in, so that a simulation can seed it. No I/O.
"""

import re
from collections.abc import Callable

from attrs import evolve, frozen

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
)
_VERSION = "00"
_SAMPLED = "01"
_SAMPLED_BIT = 1

NewHex = Callable[[int], str]
"""`new_hex(n)`: n random lower-case hex digits."""


@frozen
class CallIds:
    """One call's names: both ids are in every response, error bodies and headers included."""

    request_id: str
    trace_id: str
    flags: str = _SAMPLED
    parent_id: str = ""  # the caller's span; empty where this hop begins the trace

    @property
    def sampled(self) -> bool:
        """Whether the caller wants this call's spans recorded."""
        return bool(int(self.flags, 16) & _SAMPLED_BIT)

    def with_body(self, request_id: str | None, trace_id: str | None) -> "CallIds":
        """The same, but for what the body says. In another trace the caller has no span."""
        trace_id = trace_id or self.trace_id
        return evolve(
            self,
            request_id=request_id or self.request_id,
            trace_id=trace_id,
            parent_id=self.parent_id if trace_id == self.trace_id else "",
        )

    def outgoing(self, new_hex: NewHex) -> dict[str, str]:
        """Headers for the next hop, with a span of its own."""
        return {
            "x-request-id": self.request_id,
            "traceparent": traceparent(self.trace_id, nonzero(new_hex, 16), self.flags),
        }

    def response(self) -> dict[str, str]:
        """Headers for the caller."""
        return {"x-request-id": self.request_id, "x-trace-id": self.trace_id}


def ids_of(header: Callable[[str], str | None], new_hex: NewHex) -> CallIds:
    """The ids that the headers give; new ones for what they do not give or give unusably."""
    request_id = header("x-request-id") or ""
    if not _REQUEST_ID.fullmatch(request_id):
        request_id = new_hex(32)
    given = header("traceparent")
    if parent := _TRACEPARENT.fullmatch((given or "").strip()):
        return CallIds(request_id, parent["trace"], parent["flags"], parent["span"])
    trace_id = (header("x-trace-id") or "") if given is None else ""
    if not _TRACE_ID.fullmatch(trace_id):
        trace_id = nonzero(new_hex, 32)
    return CallIds(request_id, trace_id)


def traceparent(trace_id: str, span_id: str, flags: str) -> str:
    """The header's value."""
    return f"{_VERSION}-{trace_id}-{span_id}-{flags}"


def nonzero(new_hex: NewHex, digits: int) -> str:
    """Random hex that is not all zero, which W3C trace context forbids."""
    made = new_hex(digits)
    return made if made.strip("0") else "1".rjust(digits, "0")
