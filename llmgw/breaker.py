"""The circuit breaker: a model server that keeps failing is left alone for a while. Pure: no clock.

    CLOSED      every generation may ask; so many failures in a row open it
    OPEN        none may ask, until the cooldown is over
    HALF_OPEN   one may ask, the probe: what it meets closes or opens the circuit

Who wants to ask takes a `Permit` and settles it, once, with what came of it. It is for a whole
generation: its attempts follow one another so soon that they say one thing of the server, and a
single prompt that makes it stumble must not count as often as it is tried. A permit is of the state
in which it was given: what is met later by one from before the circuit opened says nothing about
the server of now, and is dropped.

What counts as a failure is a table here: only what speaks of the server's health. A refusal, a
rate limit or a useless answer is the word of a server that works.
"""

import math
from enum import Enum, auto
from typing import Final

from attrs import define, field, frozen

from contracts.reasons import ReasonCode

# Generations in a row that open it, where nobody says otherwise, and whatever anybody says.
FAILURES_TO_OPEN: Final = 5
FAILURES_TO_OPEN_MAX: Final = 1_000
# Nobody can know how long the probe will take: those who come meanwhile are told this.
PROBE_RETRY_S: Final = 1.0

FAILURES: Final = frozenset(
    {
        ReasonCode.PROVIDER_UNREACHABLE,
        ReasonCode.PROVIDER_CONNECT_TIMEOUT,
        ReasonCode.PROVIDER_TLS_ERROR,
        ReasonCode.PROVIDER_FIRST_TOKEN_TIMEOUT,
        ReasonCode.PROVIDER_IDLE_TIMEOUT,
        ReasonCode.PROVIDER_DISCONNECTED,
        ReasonCode.PROVIDER_OVERLOADED,
        ReasonCode.PROVIDER_SERVER_ERROR,
        ReasonCode.PROVIDER_ERROR_EVENT,
    }
)


class State(Enum):
    """Who may ask; see the module."""

    CLOSED = auto()
    OPEN = auto()
    HALF_OPEN = auto()


class Verdict(Enum):
    """What a generation says of the server's health."""

    WORKS = auto()
    FAILS = auto()
    UNKNOWN = auto()  # it was given up before the server could show anything


@frozen
class Permit:
    """The right to ask for one generation."""

    era: int


@define
class Breaker:
    """One model server's. `failures_to_open` in a row open it, 0 never does."""

    failures_to_open: int
    cooldown_s: float
    state: State = field(default=State.CLOSED, init=False)
    _failures: int = field(default=0, init=False)
    _open_until: float = field(default=-math.inf, init=False)
    _probe_is_out: bool = field(default=False, init=False)
    _era: int = field(default=0, init=False)  # how often the state has changed

    def permit(self, now: float) -> Permit | None:
        """The right to ask now; None where the circuit is open. Every permit is to be settled."""
        if self.state is State.OPEN and now >= self._open_until:
            self._become(State.HALF_OPEN)
        if self.state is State.OPEN or self._probe_is_out:
            return None
        self._probe_is_out = self.state is State.HALF_OPEN
        return Permit(self._era)

    def closed_in_s(self, now: float) -> float:
        """How long it will refuse at least, as far as can be told; 0 where it does not."""
        if self._probe_is_out:
            return PROBE_RETRY_S
        return max(0.0, self._open_until - now) if self.state is State.OPEN else 0.0

    def settle(self, permit: Permit, verdict: Verdict, now: float) -> State | None:
        """Take what came of it. The new state, where this changed it."""
        if permit.era != self._era:
            return None
        before, self._probe_is_out = self.state, False
        if verdict is Verdict.WORKS:
            self._failures = 0
            if before is State.HALF_OPEN:
                self._become(State.CLOSED)
        elif verdict is Verdict.FAILS:
            self._failures += 1
            if before is State.HALF_OPEN or self._failures == self.failures_to_open:
                self._become(State.OPEN)
                self._open_until = now + self.cooldown_s
        return None if self.state is before else self.state

    def _become(self, state: State) -> None:
        self.state, self._failures, self._probe_is_out = state, 0, False
        self._era += 1


def verdict_on(code: ReasonCode, *, silent_for_s: float, patience_s: float) -> Verdict:
    """What a fault says of the server.

    The whole generation's limit is its caller's as much as ours: it counts only where the server
    had been given `patience_s` and was still silent. `silent_for_s` is 0 once anything came.
    """
    if code is ReasonCode.PROVIDER_TIMEOUT:
        return Verdict.FAILS if silent_for_s >= patience_s else Verdict.UNKNOWN
    return Verdict.FAILS if code in FAILURES else Verdict.WORKS
