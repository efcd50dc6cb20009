"""A connection in memory: two bounded byte streams that keep TCP's promises.

`memory_pair()` gives both ends; with a `Tap` each way, whatever passes is noted, and can be meddled
with on its way. A sender blocks once `capacity` bytes are sent and unread. `aclose`
shows the peer end-of-file after the bytes already sent, or a reset there when bytes were left
unread, as the kernel does; `trio.aclose_forcefully` is the same, as on sockets. `reset` is RST: the
bytes under way are lost and the peer gets BrokenResourceError at once. Writing to a stream whose
peer has closed fails at once (the kernel lets one write pass).

With `arrives` whatever is sent takes its time to the reader, its end too: nothing overtakes.
"""

import operator
from collections import deque
from collections.abc import Callable
from typing import Literal, Protocol

import attrs
import trio

WIRE_BYTES = 64 * 1024  # sent and unread in one direction: about what two sockets hold between them


End = Literal["eof", "reset"]
Arrives = Callable[[float], float]


class Tap(Protocol):
    """What sits on one direction of a connection: it sees all that passes, at once."""

    def sent(self, data: bytes) -> bytes:
        """Bytes a sender has sent: what of them goes on to the reader."""
        ...

    def taken(self, size: int) -> None:
        """The reader took so many bytes."""
        ...

    def ended(self, end: End) -> None:
        """The sender closed its end of the connection, or reset it."""
        ...


class Untapped:
    """The tap that is not there."""

    def sent(self, data: bytes) -> bytes:
        return data

    def taken(self, size: int) -> None:
        pass

    def ended(self, end: End) -> None:
        pass


@attrs.define(eq=False, repr=False)
class _Wire:
    """One direction of a connection: bytes sent by one end and not yet read by the other."""

    tap: Tap = attrs.field(factory=Untapped)
    capacity: int = WIRE_BYTES
    unread: bytearray = attrs.field(factory=bytearray)
    end: End | None = None  # how the sender ended it, once it has; or the network, in its place
    finished: bool = False  # the sender has closed its end
    severed: bool = False
    reader_gone: bool = False
    sending: bool = False
    receiving: bool = False
    changed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    arrives: Arrives | None = None
    coming: deque[tuple[float, bytes | End]] = attrs.field(factory=deque)  # in its own time

    async def send(self, data: memoryview) -> None:
        if self.sending:
            raise trio.BusyResourceError("another task is sending on this stream")
        self.sending = True
        try:
            await self._send(data)
        finally:
            self.sending = False

    async def _send(self, data: memoryview) -> None:
        await trio.lowlevel.checkpoint()
        self._check_sendable()
        while data:
            room = self.capacity - self._under_way()
            if room > 0:
                self._bring(self.tap.sent(bytes(data[:room])))
                data = data[room:]
                self.changed.unpark_all()
            else:
                await self.changed.park()
                self._check_sendable()

    def _under_way(self) -> int:
        """How many bytes are sent and unread."""
        coming = (len(what) for _, what in self.coming if isinstance(what, bytes))
        return len(self.unread) + sum(coming)

    def _bring(self, what: bytes | End) -> None:
        if self.arrives is None:
            self._arrived(what)
            return
        at = self.arrives(trio.current_time())
        self.coming.append((max(at, self.coming[-1][0] if self.coming else at), what))

    def _arrived(self, what: bytes | End) -> None:
        if isinstance(what, bytes):
            self.unread += what
        else:
            self.end = self.end or what

    def take_in(self) -> None:
        """Whatever has arrived by now."""
        while self.coming and self.coming[0][0] <= trio.current_time():
            self._arrived(self.coming.popleft()[1])

    def lose(self) -> None:
        """Whatever is under way never arrives."""
        self.unread.clear()
        self.coming.clear()

    async def _wait(self) -> None:
        """Until something changes, or arrives."""
        if not self.coming:
            await self.changed.park()
        else:
            with trio.move_on_at(self.coming[0][0]):
                await self.changed.park()

    def sever(self, end: End) -> None:
        """The network ends this direction: the sender learns of it when it next writes."""
        if end == "reset":
            self.lose()
        self.end, self.severed = self.end or end, True
        self.changed.unpark_all()

    def _check_sendable(self) -> None:
        if self.severed:
            raise trio.BrokenResourceError("the network broke the connection")
        if self.finished or self.end is not None:
            raise trio.ClosedResourceError("this end is closed")
        if self.reader_gone:
            raise trio.BrokenResourceError("the peer has closed")

    async def wait_room(self) -> None:
        await trio.lowlevel.checkpoint()
        self._check_sendable()
        while self._under_way() >= self.capacity:
            await self.changed.park()
            self._check_sendable()

    async def receive(self, max_bytes: int) -> bytes:
        if operator.index(max_bytes) < 1:
            raise ValueError("max_bytes must be at least 1")
        if self.receiving:
            raise trio.BusyResourceError("another task is receiving on this stream")
        self.receiving = True
        try:
            return await self._receive(max_bytes)
        finally:
            self.receiving = False

    async def _receive(self, max_bytes: int) -> bytes:
        await trio.lowlevel.checkpoint()
        self.take_in()
        while not self.unread or self.reader_gone:
            if self.reader_gone:
                raise trio.ClosedResourceError("this end is closed")
            if self.end == "reset":
                raise trio.BrokenResourceError("the peer reset the connection")
            if self.end == "eof" and not self.coming:
                return b""
            await self._wait()
            self.take_in()
        taken = bytes(self.unread[:max_bytes])
        del self.unread[:max_bytes]
        self.tap.taken(len(taken))
        self.changed.unpark_all()
        return taken

    def finish(self, end: End) -> None:
        if not self.finished:
            self.finished = True
            self.tap.ended(end)
            self._bring(end)
        self.changed.unpark_all()

    def abandon(self) -> None:
        self.reader_gone = True
        self.lose()
        self.changed.unpark_all()


@attrs.define(eq=False, repr=False)
class MemoryStream(trio.abc.HalfCloseableStream):
    """One end of a connection; see the module's page for what closing it shows the other."""

    _outward: _Wire
    _inward: _Wire

    @property
    def closed(self) -> bool:
        return self._inward.reader_gone

    @property
    def is_readable(self) -> bool:
        """Whether a read would return at once: bytes, end-of-file or an error are waiting."""
        self._inward.take_in()
        return bool(self._inward.unread) or self._inward.end is not None or self._inward.reader_gone

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._outward.send(memoryview(data))

    async def wait_send_all_might_not_block(self) -> None:
        await self._outward.wait_room()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await self._inward.receive(WIRE_BYTES if max_bytes is None else max_bytes)

    async def send_eof(self) -> None:
        if self._outward.sending:
            raise trio.BusyResourceError("another task is sending on this stream")
        await trio.lowlevel.checkpoint()
        if self.closed:
            raise trio.ClosedResourceError("this end is closed")
        self._outward.finish("eof")

    async def aclose(self) -> None:
        if not self.closed:
            self._inward.take_in()
            self._outward.finish("reset" if self._inward.unread else "eof")
            self._inward.abandon()
        await trio.lowlevel.checkpoint()

    def reset(self) -> None:
        """Close with RST: the peer's next read or write fails at once."""
        if not self.closed:
            self._outward.lose()
            # What it said before does not count any more.
            self._outward.end, self._outward.finished = None, False
            self._outward.finish("reset")
            self._inward.abandon()

    def sever(self, end: End) -> None:
        """The network breaks the connection, for both of its ends: neither has closed it."""
        self._outward.sever(end)
        self._inward.sever(end)


def memory_pair(
    tap_there: Tap | None = None,
    tap_back: Tap | None = None,
    capacity: int = WIRE_BYTES,
    arrives: Arrives | None = None,
) -> tuple[MemoryStream, MemoryStream]:
    """Two ends of a fresh connection; the taps are of what the first end sends, and the second.

    `capacity` is how many bytes may be sent and unread in each direction. `arrives` tells when
    what is sent at a time arrives; None: at once.
    """
    there = _Wire(tap_there or Untapped(), capacity, arrives=arrives)
    back = _Wire(tap_back or Untapped(), capacity, arrives=arrives)
    return MemoryStream(there, back), MemoryStream(back, there)
