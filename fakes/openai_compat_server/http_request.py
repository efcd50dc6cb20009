"""Requests out of bytes: feed it what arrived, ask it for the next request.

h11 reads; nothing here writes. None means that more bytes are needed. What does not parse, or is
larger than allowed, is raised once, and the connection is then beyond use.
"""

import h11
from attrs import define, field, frozen

HEADERS_BYTES_MAX = 64 * 1024
_VERSIONS = (b"1.0", b"1.1")


class Unparsable(Exception):
    """The bytes are not HTTP/1.1."""


class TooLarge(Exception):
    """The body is over the cap; the request line is the message."""


@frozen
class HttpRequest:
    """One whole request; header names are lower-case."""

    method: str
    target: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def line(self) -> str:
        return f"{self.method} {self.target}"

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def header(self, name: str) -> str:
        return next((value for given, value in self.headers if given == name), "")

    @property
    def keeps_alive(self) -> bool:
        wishes = {wish.strip().lower() for wish in self.header("connection").split(",")}
        return self.version == "1.1" and "close" not in wishes


@define
class RequestReader:
    """One connection's requests, pipelined or not."""

    body_bytes_max: int
    _http: h11.Connection = field(init=False, factory=lambda: _fresh())
    _head: h11.Request | None = field(init=False, default=None)
    _body: bytearray = field(init=False, factory=bytearray)

    @property
    def begun(self) -> bool:
        """Whether part of a request has arrived."""
        return self._head is not None or bool(self._http.trailing_data[0])

    @property
    def awaits_continue(self) -> bool:
        """Whether the client holds its body back until it is told to go on."""
        return self._head is not None and self._http.they_are_waiting_for_100_continue

    def feed(self, data: bytes) -> None:
        """Take bytes that arrived. Blank lines between requests are skipped, as RFC 9112 asks."""
        if not self.begun:
            data = data.lstrip(b"\r\n")
        if data:
            self._http.receive_data(data)

    def next_request(self) -> HttpRequest | None:
        """The next whole request, or None; raises Unparsable and TooLarge."""
        try:
            while True:
                event = self._http.next_event()
                if isinstance(event, h11.Request):
                    self._begin(event)
                elif isinstance(event, h11.Data):
                    self._grow(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    return self._whole()
                else:
                    return None
        except h11.RemoteProtocolError as fault:
            raise Unparsable(str(fault)) from None

    def _begin(self, head: h11.Request) -> None:
        if head.http_version not in _VERSIONS:
            raise Unparsable("not HTTP/1.x")
        self._head = head
        lengths = [int(value) for name, value in head.headers if name == b"content-length"]
        if lengths and lengths[0] > self.body_bytes_max:
            raise TooLarge(_line(head))

    def _grow(self, data: bytes) -> None:
        self._body += data
        if self._head is not None and len(self._body) > self.body_bytes_max:
            raise TooLarge(_line(self._head))

    def _whole(self) -> HttpRequest:
        assert self._head is not None, "h11 ends no message it has not begun"
        request = HttpRequest(
            self._head.method.decode("latin-1"),
            self._head.target.decode("latin-1"),
            self._head.http_version.decode("latin-1"),
            tuple((n.decode("latin-1"), v.decode("latin-1")) for n, v in self._head.headers),
            bytes(self._body),
        )
        # A fresh h11 for the next request: this one waits for a response it will never be shown.
        left = self._http.trailing_data[0]
        self._http, self._head, self._body = _fresh(), None, bytearray()
        self.feed(left)
        return request


def _fresh() -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=HEADERS_BYTES_MAX)


def _line(head: h11.Request) -> str:
    return f"{head.method.decode('latin-1')} {head.target.decode('latin-1')}"
