"""A connection in memory, under asyncio or trio: two ends, each a stream of bytes.

A reader gets the writes as they were made, cut where it asks for less or where the wire was full.
A writer waits while `WIRE_BYTES` are unread. Closing an end shows the other one the end of the
bytes; `reset` loses what is under way. An end that nobody closes is nobody's trouble: neither a
task nor the system holds anything of it.
"""

from collections import deque
from typing import Final

import anyio
import anyio.abc
import anyio.lowlevel
from attrs import define, field

WIRE_BYTES: Final = 64 * 1024


@define(eq=False)
class _Direction:
    """What one end has sent and the other has not read yet."""

    unread: deque[bytes] = field(factory=deque)
    unread_bytes: int = 0
    ended: bool = False  # the writer writes no more
    abandoned: bool = False  # the reader reads no more
    was_reset: bool = False
    changed: anyio.Event = field(factory=anyio.Event)

    async def send(self, data: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        self._check_writable()
        while data:
            room = WIRE_BYTES - self.unread_bytes
            if room:
                self.unread.append(data[:room])
                self.unread_bytes += len(data[:room])
                data = data[room:]
                self.notify()
            else:
                await self.changed.wait()
                self._check_writable()

    async def receive(self, max_bytes: int) -> bytes:
        await anyio.lowlevel.checkpoint()
        while not self.unread or self.abandoned:
            if self.abandoned:
                raise anyio.ClosedResourceError
            if self.was_reset:
                raise anyio.BrokenResourceError
            if self.ended:
                raise anyio.EndOfStream
            await self.changed.wait()
        write = self.unread.popleft()
        if write[max_bytes:]:
            self.unread.appendleft(write[max_bytes:])
        self.unread_bytes -= len(write[:max_bytes])
        self.notify()
        return write[:max_bytes]

    def lose(self) -> None:
        self.unread.clear()
        self.unread_bytes = 0

    def notify(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()

    def _check_writable(self) -> None:
        if self.ended:
            raise anyio.ClosedResourceError
        if self.abandoned:
            raise anyio.BrokenResourceError


@define(eq=False)
class MemoryWire(anyio.abc.ByteStream):
    """One end."""

    _outward: _Direction
    _inward: _Direction

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        return await self._inward.receive(max_bytes)

    async def send(self, item: bytes, /) -> None:
        await self._outward.send(bytes(item))

    async def send_eof(self) -> None:
        await anyio.lowlevel.checkpoint()
        self._outward.ended = True
        self._outward.notify()

    async def aclose(self) -> None:
        self._close()
        await anyio.lowlevel.checkpoint()

    def reset(self) -> None:
        """Close with RST: the other end's next read or write fails at once."""
        self._outward.was_reset = not self._inward.abandoned
        if self._outward.was_reset:
            self._outward.lose()
        self._close()

    @property
    def is_readable(self) -> bool:
        """Whether `receive` would return or raise at once."""
        inward = self._inward
        return bool(inward.unread) or inward.ended or inward.abandoned

    def _close(self) -> None:
        self._outward.ended = self._inward.abandoned = True
        self._inward.lose()
        self._outward.notify()
        self._inward.notify()


def memory_wire() -> tuple[MemoryWire, MemoryWire]:
    """Both ends of a fresh connection."""
    there, back = _Direction(), _Direction()
    return MemoryWire(there, back), MemoryWire(back, there)
