"""The bytes of one connection's requests as they arrived, cut where one request ends.

The reader hands out requests that were understood; the journal wants what was really sent, also
where it was not understood.
"""

import h11
from attrs import define, field

from fakes.openai_compat_server.control import Chunk
from fakes.openai_compat_server.http_request import HEADERS_BYTES_MAX


@define
class Tape:
    """Bytes no request was cut from yet, and what was sent before they were whole."""

    interim: tuple[Chunk, ...] = ()
    _bytes: bytearray = field(init=False, factory=bytearray)

    def add(self, data: bytes) -> None:
        """Take what is fed to the reader, who skips blank lines between requests too."""
        self._bytes += data if self._bytes else data.lstrip(b"\r\n")

    @property
    def uncut(self) -> bytes:
        return bytes(self._bytes)

    def cut(self) -> bytes:
        """The bytes of the request that the reader has just read, off the tape."""
        data = self.uncut
        size = _request_bytes(data)
        self._bytes = bytearray(data[size:].lstrip(b"\r\n"))
        return data[:size]


def _request_bytes(data: bytes) -> int:
    """The length of the whole request that `data` begins with."""
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADERS_BYTES_MAX)
    http.receive_data(data)
    while not isinstance(http.next_event(), h11.EndOfMessage):
        pass
    return len(data) - len(http.trailing_data[0])
