"""How long a caller still waits: the `x-deadline-ms` header, and what each hop makes of it.

A deadline is a point on the clock of whoever holds it, in seconds; only the header travels, as
whole milliseconds that remain. A hop's limit is the smaller of its own and its caller's, and it
forwards what remains less a margin, so that inner hops always speak first (CONTRACT §6).
"""

import math
import re

from attrs import frozen

_WHOLE = re.compile(r"[0-9]{1,15}")


class DeadlineViolation(ValueError):
    """A header that is not a whole number of milliseconds."""


def parse_header(value: str | None) -> int | None:
    """Milliseconds the caller will still wait, None where it does not say."""
    if value is None:
        return None
    if not _WHOLE.fullmatch(value):
        raise DeadlineViolation("x-deadline-ms must be whole milliseconds, 0 or more")
    return int(value)


@frozen
class Deadline:
    """When an answer is due: `at`, in seconds of the clock that `now` is read from."""

    at: float

    @classmethod
    def of(cls, now: float, own_ms: int, callers_ms: int | None) -> "Deadline":
        """The smaller of this hop's own limit and the caller's."""
        limit = own_ms if callers_ms is None else min(own_ms, callers_ms)
        return cls(now + limit / 1000)

    def remaining_ms(self, now: float) -> int:
        """Whole milliseconds left, rounded down; 0 when it has passed."""
        # A microsecond is added: `at` is rounded to a double, the more the longer a clock has run.
        return max(0, math.floor((self.at - now) * 1000 + 1e-3))

    def forward_ms(self, now: float, margin_ms: int) -> int:
        """What to tell the next hop: what remains, less the margin; 0 when nothing would."""
        return max(0, self.remaining_ms(now) - margin_ms)
