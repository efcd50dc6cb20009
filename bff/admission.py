"""How often one caller may call: a token bucket for each, and bounded memory for all of them. Pure.

    Buckets(Rate(per_minute, burst))
        .decide(caller, now) -> Admit | Reject      takes a token where there is one
        .wait_ms(caller, now) -> int                how long until there is one; takes none

Of a caller one number is kept: the time at which its bucket is full again. A caller that is not
known has a full bucket, so one whose bucket is full need not be known. At `CALLERS_MAX` known
callers all those are forgotten, and of the rest the tenth that is nearest to full: whoever waits
for a token is forgotten last, however many newcomers there are.
"""

import math
from ipaddress import IPv6Address, ip_address, ip_network

from attrs import define, field, frozen

CALLERS_MAX = 10_000
_FORGOTTEN_AT_ONCE = CALLERS_MAX // 10
# Times are floats: what a caller waited, added up, may be this much less than it was told.
_GRANTED_S = 1e-6
_IPV6_PREFIX = 64  # what one customer is given; within it, an address costs nothing


@frozen
class Rate:
    """So many calls a minute; `burst` at once after a pause."""

    per_minute: int
    burst: int

    @property
    def interval_s(self) -> float:
        """How long one token takes to come."""
        return 60 / self.per_minute

    @property
    def refill_s(self) -> float:
        """How long an empty bucket takes to be full."""
        return self.burst * self.interval_s


@frozen
class Admit:
    """The call may go on: `left` more may come at once, and the bucket is full in so long."""

    left: int
    full_in_s: float


@frozen
class Reject:
    """The call comes too soon; in so long it would not."""

    retry_after_ms: int
    full_in_s: float


@define
class Buckets:
    """The buckets of all callers. Seconds, on any clock that never goes back."""

    rate: Rate
    _full_at: dict[str, float] = field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._full_at)

    def decide(self, caller: str, now: float) -> Admit | Reject:
        """Whether this call is let in now."""
        wait_ms = self.wait_ms(caller, now)
        if wait_ms:
            return Reject(wait_ms, self._full_at[caller] - now)
        if caller not in self._full_at and len(self._full_at) >= CALLERS_MAX:
            self._forget(now)
        full_at = max(self._full_at.get(caller, now), now) + self.rate.interval_s
        self._full_at[caller] = full_at
        free_s = self.rate.refill_s - (full_at - now) + _GRANTED_S
        return Admit(int(free_s / self.rate.interval_s), full_at - now)

    def wait_ms(self, caller: str, now: float) -> int:
        """Whole milliseconds until this caller has a token; 0: it has one."""
        full_at = max(self._full_at.get(caller, now), now) + self.rate.interval_s
        wait_s = full_at - now - self.rate.refill_s
        return math.ceil(wait_s * 1000) if wait_s > _GRANTED_S else 0

    def _forget(self, now: float) -> None:
        nearest = sorted(self._full_at, key=self._full_at.__getitem__)
        full = sum(at <= now for at in self._full_at.values())
        for caller in nearest[: max(full, _FORGOTTEN_AT_ONCE)]:
            del self._full_at[caller]


def address_group(address: str) -> str:
    """Whose address this is, as far as an address can say: for IPv6, the network's /64."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ip_network((int(parsed), _IPV6_PREFIX), strict=False))
    return str(parsed)
