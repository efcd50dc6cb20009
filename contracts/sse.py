"""Server-sent events: bytes ⇄ frames. Knows lines and fields, not what they mean.

Feed bytes as they come, pull frames; `None` means "need more". Lines end with CR, LF or CRLF and
with nothing else (U+2028 and its like are text), whatever way the bytes are cut. A leading BOM is
dropped, comments are swallowed, the space after a colon is optional, several `data:` lines are
joined by LF. Refuses (`FrameTooLarge`) a frame over its cap, before it is complete. Data stays
bytes: decoding it strictly is the business of whoever knows what it is.
"""

import re
from typing import Final

from attrs import define, field, frozen

HEARTBEAT: Final = b": heartbeat\n\n"
_BOM: Final = b"\xef\xbb\xbf"
_LINE_END: Final = re.compile(rb"[\r\n]")
_EVENT_NAME: Final = re.compile(r"[A-Za-z_]{1,64}")
# A frame as nearly everybody writes it, whole: the same as by lines, without taking them apart.
_PLAIN: Final = re.compile(rb"(?:event: ([A-Za-z_]{1,64})\n)?data: ([^\r\n]*)\n\n")


class FrameTooLarge(Exception):
    """One frame went over the cap; the stream cannot be read on."""


@frozen
class Frame:
    """One event. `event` is empty where none was named; `data` is None where no `data:` line came.

    `others` are fields no standard names, in order: some model servers put errors there.
    """

    event: str
    data: bytes | None
    others: tuple[tuple[bytes, bytes], ...] = ()


@define
class Decoder:
    """Frames out of a stream of bytes; `max_frame_bytes` caps one frame, names and line ends
    included."""

    max_frame_bytes: int
    _buffer: bytearray = field(factory=bytearray, init=False)
    _line_start: int = field(default=0, init=False)
    _scanned: int = field(default=0, init=False)
    _after_cr: bool = field(default=False, init=False)
    _at_start: bool = field(default=True, init=False)
    _fields: list[tuple[bytes, bytes]] = field(factory=list, init=False)
    _frame_bytes: int = field(default=0, init=False)

    def feed(self, data: bytes) -> None:
        """Take more bytes of the stream."""
        del self._buffer[: self._line_start]
        self._scanned -= self._line_start
        self._line_start = 0
        self._buffer += data

    def next_frame(self) -> Frame | None:
        """The next whole frame, or None when more bytes are needed."""
        if frame := self._plain_frame():
            return frame
        while (line := self._next_line()) is not None:
            if line:
                self._take(line)
            elif frame := self._dispatch():
                return frame
        return None

    def end(self) -> Frame | None:
        """What the stream's end left open, once `next_frame` needs more: a frame that no blank
        line closed, or None."""
        rest = bytes(self._buffer[self._line_start :])
        assert not _LINE_END.search(rest), "every whole line is taken before the end"
        self._line_start = self._scanned = len(self._buffer)
        if line := self._without_bom(rest):
            self._take(line)
        return self._dispatch()

    def _plain_frame(self) -> Frame | None:
        """The next frame where it is whole, as plain as they come, and was not looked at yet."""
        start = self._line_start
        if self._fields or self._after_cr or self._scanned > start:
            return None
        found = _PLAIN.match(self._buffer, start)
        if found is None or found.end() - start > self.max_frame_bytes:
            return None
        self._line_start = self._scanned = found.end()
        self._at_start = False
        return Frame((found[1] or b"").decode(), bytes(found[2]))

    def _next_line(self) -> bytes | None:
        if self._after_cr and self._line_start < len(self._buffer):
            if self._buffer[self._line_start] == 0x0A:
                self._line_start += 1
            self._after_cr = False
        found = _LINE_END.search(self._buffer, max(self._scanned, self._line_start))
        if found is None:
            self._scanned = len(self._buffer)
            self._check_size(len(self._buffer) - self._line_start - self._bom_bytes())
            return None
        line = bytes(self._buffer[self._line_start : found.start()])
        self._after_cr = found[0] == b"\r"
        self._line_start = self._scanned = found.end()
        return self._without_bom(line)

    def _bom_bytes(self) -> int:
        """How many bytes of the line that is still open are a mark, and no part of it."""
        return len(_BOM) if self._at_start and self._buffer.startswith(_BOM) else 0

    def _without_bom(self, line: bytes) -> bytes:
        first, self._at_start = self._at_start, False
        return line.removeprefix(_BOM) if first else line

    def _take(self, line: bytes) -> None:
        self._check_size(len(line) + 1)
        if line.startswith(b":"):
            return
        self._frame_bytes += len(line) + 1
        name, _, value = line.partition(b":")
        self._fields.append((name, value.removeprefix(b" ")))

    def _check_size(self, more: int) -> None:
        if self._frame_bytes + more > self.max_frame_bytes:
            raise FrameTooLarge(f"one frame is over {self.max_frame_bytes} bytes")

    def _dispatch(self) -> Frame | None:
        fields, self._fields, self._frame_bytes = self._fields, [], 0
        data = [value for name, value in fields if name == b"data"]
        event = next((value for name, value in reversed(fields) if name == b"event"), b"")
        others = tuple(f for f in fields if f[0] not in (b"data", b"event", b"id", b"retry"))
        if not data and not event and not others:
            return None
        return Frame(
            event.decode("utf-8", "backslashreplace"), b"\n".join(data) if data else None, others
        )


def encode(event: str, data: bytes) -> bytes:
    """One frame on the wire: `event:`, one `data:` line, a blank line."""
    assert _EVENT_NAME.fullmatch(event), event
    assert not _LINE_END.search(data), "data is one line"
    return b"event: %b\ndata: %b\n\n" % (event.encode(), data)
