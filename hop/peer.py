"""The client's end of a connection, guarded: `GuardedStream` round a socket or a memory stream.

hypercorn writes with no time limit, and stops reading while an answer is pending, so that a client
which stopped reading hangs it for good and one which left goes unseen. This stream adds what is
missing, and does no HTTP:

 - a write limit: each piece of `PIECE_BYTES` has `stall_s`, counted from when the piece before it
   was taken, so a slow reader lives and a silent one is dropped exactly `stall_s` after the write
   that blocked. It is then `stalled` and closed;
 - a read pump (`pump`, a task of the connection): bytes are read ahead, so that a leaving is felt
   at once although nobody is reading. It holds at most `unread_bytes` and one read more; a peer
   that fills it and whom nobody reads for `unread_s` (it pipelines behind a running request) is
   dropped;
 - `abandon`, which lets go of a blocked write at once, whatever shields it;
 - `linger`, the polite way to close on a peer that is still sending.
"""

import os
from contextlib import suppress

import attrs
import trio

PIECE_BYTES = 16 * 1024
RECEIVE_BYTES = 64 * 1024


@attrs.define(eq=False)
class GuardedStream(trio.abc.HalfCloseableStream):
    """A stream that gives up on a peer that does not read, and notices one that left."""

    stream: trio.abc.HalfCloseableStream
    stall_s: float = attrs.field(kw_only=True)
    unread_s: float = attrs.field(kw_only=True)
    unread_bytes: int = attrs.field(kw_only=True)

    stalled: bool = attrs.field(default=False, init=False)  # dropped: it did not read in time
    left: bool = attrs.field(default=False, init=False)  # it closed, half-closed or reset
    half_closed: bool = attrs.field(default=False, init=False)  # it left by a clean end-of-file

    _unread: bytearray = attrs.field(factory=bytearray, init=False)
    _changed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)
    _ended: trio.Event = attrs.field(factory=trio.Event, init=False)  # nothing more will be read
    _closed: bool = attrs.field(default=False, init=False)
    _deaf: bool = attrs.field(default=False, init=False)
    _abandoned: bool = attrs.field(default=False, init=False)
    _write: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)

    @property
    def gone(self) -> bool:
        """Whether nothing can be told to the peer any more, or it does not listen."""
        return self.left or self.stalled or self._abandoned or self._closed

    async def pump(self) -> None:
        """Read ahead until the peer leaves, is dropped, or this stream is closed; then return."""
        try:
            while data := await self.stream.receive_some(RECEIVE_BYTES):
                if not self._deaf and not await self._keep(data):
                    return
            self.left = self.half_closed = True
        except trio.BrokenResourceError:
            self.left = not self.stalled
        except trio.ClosedResourceError:
            pass
        finally:
            self._ended.set()
            self._changed.unpark_all()

    async def _keep(self, data: bytes | bytearray) -> bool:
        """Add to what is unread, and wait for room; false when nobody made any in time."""
        self._unread += data
        self._changed.unpark_all()
        with trio.move_on_after(self.unread_s):
            while len(self._unread) >= self.unread_bytes:
                await self._changed.park()
        return len(self._unread) < self.unread_bytes

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        while not self._unread:
            if self._closed:
                raise trio.ClosedResourceError("this end is closed")
            if self.half_closed:
                return b""
            if self._ended.is_set():
                raise trio.BrokenResourceError("the peer is gone")
            await self._changed.park()
        taken = bytes(self._unread[:max_bytes])
        del self._unread[:max_bytes]
        self._changed.unpark_all()
        return taken

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all, or raise BrokenResourceError: the peer left, was dropped, or was abandoned."""
        view = memoryview(data)
        for start in range(0, max(len(view), 1), PIECE_BYTES):
            await self._send_piece(view[start : start + PIECE_BYTES])

    async def _send_piece(self, piece: memoryview) -> None:
        if self._abandoned:
            raise trio.BrokenResourceError("the connection is being given up")
        taken = self._taken_at_once(piece)
        if not taken or taken < len(piece):
            await self._send_in_time(piece[taken:])

    def _taken_at_once(self, piece: memoryview) -> int:
        """How much of it the peer's socket takes without waiting: most often all, and then no
        clock is needed. What is wrong with the socket is told by the write that may wait."""
        if not isinstance(self.stream, trio.SocketStream):
            return 0
        try:
            return os.write(self.stream.socket.fileno(), piece)
        except OSError:
            return 0

    async def _send_in_time(self, piece: memoryview) -> None:
        deadline = trio.current_time() + self.stall_s
        # Shielded: an answer cut off in the middle of a write is none. It ends by the deadline, or
        # when the connection is abandoned.
        with trio.CancelScope(deadline=deadline, shield=True) as self._write:
            try:
                await self.stream.send_all(piece)
            except trio.BrokenResourceError:
                self.left = True
                raise
        if self._write.cancelled_caught:
            self.stalled = not self._abandoned
            await trio.aclose_forcefully(self.stream)
            raise trio.BrokenResourceError("the peer stopped reading")

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    def abandon(self) -> None:
        """Let go of the write under way and refuse later ones. Never blocks."""
        self._abandoned = True
        self._write.cancel()

    async def linger(self, seconds: float) -> None:
        """Say that no more comes, and let the peer finish sending unheard, for `seconds` at most.

        Closing with bytes unread resets the connection, which can destroy an answer on its way.
        """
        self._deaf = True
        self._unread.clear()
        self._changed.unpark_all()
        gone = (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError)
        with suppress(*gone):
            await self.send_eof()
        with trio.move_on_after(seconds):
            await self._ended.wait()

    async def send_eof(self) -> None:
        await self.stream.send_eof()

    async def aclose(self) -> None:
        self._closed = True
        self._unread.clear()
        self._changed.unpark_all()
        await self.stream.aclose()
