"""How much of a call's time goes by waiting for others; what is left is the program's own work.

    waits = begin(now)                  in the call's task, once; tasks started from there share it
    with waiting(): await …             round whatever waits for a client, a server, a slot, a pause
    waits.total_s                       seconds so far; waits that overlap count once

Outside of a call `waiting()` does nothing. While a call waits the program may work for others: that
is waiting too, so the rest is a call's own work and not how busy the program is.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar

from attrs import define, field

_NOT_MEASURED = nullcontext()
_of_call: ContextVar["Waits | None"] = ContextVar("waits", default=None)


@define(eq=False)
class Waits:
    """One call's waiting; entered and left as a context, however deep."""

    now: Callable[[], float]
    total_s: float = field(default=0.0, init=False)
    _depth: int = field(default=0, init=False)
    _began: float = field(default=0.0, init=False)

    def __enter__(self) -> None:
        if self._depth == 0:
            self._began = self.now()
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.total_s += self.now() - self._began


def begin(now: Callable[[], float]) -> Waits:
    """Measure from here on, in this task and in those that it starts."""
    waits = Waits(now)
    _of_call.set(waits)
    return waits


def waiting() -> AbstractContextManager[None]:
    """What is done in it is waiting for somebody else."""
    return _of_call.get() or _NOT_MEASURED
