"""Waiting for something that a server notices: from another thread, or in its own event loop.

Whoever waits says what for, as a condition that is looked at again after each request's end.
"""

from collections.abc import Callable
from threading import Condition
from typing import Protocol

import anyio
import anyio.to_thread
from attrs import define, field

Done = Callable[[], bool]


class Noticed(Protocol):
    """Seconds are of the clock of whoever waits; False where they passed in vain."""

    def tell(self) -> None:
        """A request has ended."""

    def wait(self, done: Done, timeout_s: float) -> bool: ...

    async def wait_async(self, done: Done, timeout_s: float) -> bool: ...


@define
class InAnotherThread:
    """The server has a thread, so whoever waits may block its own."""

    _changed: Condition = field(init=False, factory=Condition)

    def tell(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def wait(self, done: Done, timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(done, timeout_s)

    async def wait_async(self, done: Done, timeout_s: float) -> bool:
        return await anyio.to_thread.run_sync(self.wait, done, timeout_s, abandon_on_cancel=True)


@define
class InThisLoop:
    """The server runs in the event loop of whoever waits, which must not be blocked."""

    _waiting: list[anyio.Event] = field(init=False, factory=list)

    def tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            event.set()

    def wait(self, done: Done, timeout_s: float) -> bool:  # noqa: ARG002 - the other's signature
        __tracebackhide__ = True  # so that a test is shown its own line
        raise RuntimeError(
            "wait_left() would stop the event loop that serves this fake: await wait_left_async()"
        )

    async def wait_async(self, done: Done, timeout_s: float) -> bool:
        with anyio.move_on_after(timeout_s):
            while not done():
                event = anyio.Event()
                self._waiting.append(event)
                await event.wait()
        return done()
