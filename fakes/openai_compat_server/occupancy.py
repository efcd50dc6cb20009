"""What a server has in hand, and whether its model is loaded: what no request can know of itself.

It has no clock of its own. The first request for work starts the model, as a real server's does,
and whoever comes while it is being loaded waits for what is left of that.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field

from fakes.openai_compat_server.pacing import Latency, Moment


@define
class Occupancy:
    """How busy and how warm a server of this latency and seed is."""

    latency: Latency
    seed: int
    in_hand: int = field(init=False, default=0)  # requests that are being answered
    _connections: int = field(init=False, default=0)
    _warm_at: float | None = field(init=False, default=None)

    def connecting_s(self) -> float:
        """How long one more connection waits until it is looked at."""
        self._connections += 1
        return self.latency.connecting_s(self.seed, self._connections, self.in_hand)

    @contextmanager
    def one_more(self, now: float) -> Iterator[Moment]:
        """Have a request in hand for the length of the block; how it finds the server."""
        if self._warm_at is None:
            self._warm_at = now + self.latency.loading_s(self.seed)
        self.in_hand += 1
        try:
            yield Moment(self.in_hand, max(0.0, self._warm_at - now))
        finally:
            self.in_hand -= 1
