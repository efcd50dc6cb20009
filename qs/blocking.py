"""How blocking work is run: in worker threads by default, inline in simulation.

Whoever blocks is handed a `RunBlocking` and never asks which of the two it is.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import trio

T = TypeVar("T")


class RunBlocking(Protocol):
    """Runs blocking work and awaits its result; may abandon it when cancelled."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


def in_worker_threads(limiter: trio.CapacityLimiter, *, abandon: bool = True) -> RunBlocking:
    """Run blocking work in a worker thread, which a cancelled caller leaves behind at once.

    Without `abandon` it waits for the thread first: for work whose order matters.
    """

    async def run(work: Callable[[], T], /) -> T:
        return await trio.to_thread.run_sync(work, abandon_on_cancel=abandon, limiter=limiter)

    return run
