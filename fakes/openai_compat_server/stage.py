"""Performs plans over a stream of bytes, and sees at once when the client has gone.

A stream is anything with four methods; anyio's have them. Whatever arrives is read all the time,
also while a plan is performed: the end of the client's bytes is the only sign of its leaving, and
a half-closed client counts as gone. Delays are kept against the plan's start, so that a slow
write does not push everything after it back.
"""

from typing import Protocol, runtime_checkable

import anyio
from attrs import define, field

from fakes.openai_compat_server.control import Entry, Journal
from fakes.openai_compat_server.plan import Ending, Plan


class Wire(Protocol):
    """One connection. Raises anyio's EndOfStream, BrokenResourceError, ClosedResourceError."""

    async def receive(self) -> bytes: ...

    async def send(self, item: bytes, /) -> None: ...

    async def send_eof(self) -> None: ...

    async def aclose(self) -> None: ...


@runtime_checkable
class Resettable(Protocol):
    """A connection that can be ended by a reset; where it can not, closing it must do."""

    def reset(self) -> None: ...


@define
class Inbox:
    """What the client has sent and nobody has read yet, and whether it is still there."""

    unread_bytes_max: int
    left_at: float | None = None
    _unread: bytearray = field(init=False, factory=bytearray)
    _changed: anyio.Event = field(init=False, factory=anyio.Event)
    _watching: anyio.CancelScope | None = field(init=False, default=None)
    _discards: bool = field(init=False, default=False)

    async def fill(self, wire: Wire) -> None:
        """Read until the client leaves; one that floods past the cap is taken to have left."""
        try:
            while len(self._unread) <= self.unread_bytes_max:
                data = await wire.receive()
                if not self._discards:
                    self._unread += data
                self._notify()
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        self.left_at = anyio.current_time()
        if self._watching is not None:
            self._watching.cancel()
        self._notify()

    async def take(self) -> bytes:
        """What has arrived, waiting for it; empty when the client has left."""
        while not self._unread and self.left_at is None:
            await self._changed.wait()
        taken = bytes(self._unread)
        self._unread.clear()
        return taken

    async def wait_left(self) -> None:
        """Discard what still comes, until the client leaves."""
        self._discards = True
        self._unread.clear()
        while self.left_at is None:
            await self._changed.wait()

    def watch(self, scope: anyio.CancelScope | None) -> None:
        """Have `scope` cancelled when the client leaves; None ends the watch."""
        self._watching = scope
        if scope is not None and self.left_at is not None:
            scope.cancel()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


async def perform(plan: Plan, wire: Wire, inbox: Inbox, entry: Entry, journal: Journal) -> bool:
    """Perform the plan, its ending too but for KEEP and CLOSE, which are the connection's own.

    False when the client left before the end; whoever is left in silence always does.
    """
    whole = await _send_all(plan, wire, inbox, entry, journal)
    if whole and plan.ending is Ending.RESET:
        await _reset(wire)
    if whole and plan.ending is Ending.SILENCE:
        await inbox.wait_left()
        whole = False
    if not whole:
        entry.client_left_at = anyio.current_time() if inbox.left_at is None else inbox.left_at
    return whole


async def _send_all(plan: Plan, wire: Wire, inbox: Inbox, entry: Entry, journal: Journal) -> bool:
    """Send the plan's steps, each when it is due; False when the client left before the last."""
    due = anyio.current_time()
    with anyio.CancelScope() as scope:
        inbox.watch(scope)
        try:
            for step in plan.steps:
                due += step.delay_s
                await anyio.sleep_until(due)
                if step.data:
                    await wire.send(step.data)
                    journal.sent(entry, step.data, anyio.current_time())
                entry.steps_sent += 1
                entry.bytes_sent += len(step.data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        finally:
            inbox.watch(None)
    return entry.steps_sent == len(plan.steps)


async def _reset(wire: Wire) -> None:
    if isinstance(wire, Resettable):
        wire.reset()
    else:
        await wire.aclose()
