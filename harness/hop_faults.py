# ruff: noqa: E501 - a row of the catalogue is one line
"""What can befall a connection between two of our programs, each with the code it must end in.

A fault belongs to one connection: it is given to the next one that is dialled to a host, and what
was done is in the wire log. `FAULTS` is the catalogue; the fake has its own for the model server.
"""

from collections.abc import Callable, Mapping
from typing import Final, Literal, Protocol

import trio
from attrs import define, field, frozen

from contracts.reasons import ReasonCode
from fakes.openai_compat_server.scenario import Ends, both, only_streaming
from harness.memory_stream import End

_GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


@frozen
class Refused:
    """Nobody listens."""


@frozen
class Lost:
    """Connecting never ends."""


class Connection(Protocol):
    """One that was dialled to a program of ours, in memory or over a socket."""

    async def receive_some(self) -> bytes | bytearray: ...

    async def send_all(self, data: bytes) -> None: ...

    def reset(self) -> None: ...

    async def aclose(self) -> None: ...


@frozen
class Impostor:
    """Another program has the port: it reads a request, says `answer`, and then …"""

    answer: bytes
    then: End | Literal["silence"] = "eof"

    async def take(self, stream: Connection) -> None:
        """Take the connection; returns when it is over."""
        try:
            await stream.receive_some()
            if self.answer:
                await stream.send_all(self.answer)
            while self.then == "silence" and await stream.receive_some():
                pass
        except _GONE:
            pass
        finally:
            with trio.CancelScope(shield=True):
                if self.then == "reset":
                    stream.reset()
                await stream.aclose()


@frozen
class Broken:
    """The network fails after so many bytes, or texts, of the answer: it ends it or falls silent."""

    after: int
    how: End | Literal["silence"]
    counts: Literal["bytes", "texts"] = "bytes"


@frozen
class HopFault:
    """One row of the catalogue."""

    name: str
    about: str
    what: Refused | Lost | Impostor | Broken
    ends: Ends


@define
class Breaking:
    """The part of a tap that breaks: `pass_on` what gets through, until it is mended."""

    fault: Broken
    _sever: Callable[[End], None]
    _left: int = field(init=False)
    done: bool = field(default=False, init=False)
    mended: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._left = self.fault.after

    def pass_on(self, data: bytes) -> bytes:
        if self.mended:
            return data
        if self.done:
            return b""
        passed = data
        if self.fault.counts == "bytes":
            passed, self._left = data[: self._left], self._left - len(data)
        else:
            self._left -= data.count(b"event: delta")
        if self._left <= 0:
            self.done = True
            if self.fault.how != "silence":
                self._sever(self.fault.how)
        return passed


def _answer(status: str, content_type: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"connection: close\r\n\r\n" + body


def _stream(*events: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    return head + b"".join(events)


_META = (
    b'event: meta\ndata: {"version":"v1","trace_id":"0123456789abcdef0123456789abcdef",'
    b'"request_id":"another","session_id":null}\n\n'
)
_DELTA = b'event: delta\ndata: {"delta":"I made this up."}\n\n'
_HTML = b"<html><body>It works!</body></html>"
_ERROR_401 = (
    b'{"error":{"code":"INPUT_UNAUTHORIZED","message":"no","details":[]},'
    b'"trace_id":"0123456789abcdef0123456789abcdef","request_id":"another"}'
)
_UNREACHABLE, _TIMEOUT = ReasonCode.HOP_UNREACHABLE, ReasonCode.HOP_TIMEOUT
_GONE_CODE, _PROTOCOL = ReasonCode.HOP_DISCONNECTED, ReasonCode.HOP_PROTOCOL_ERROR

_ROWS: Final = (
    HopFault("refused", "nobody listens on the port", Refused(), both(_UNREACHABLE)),
    HopFault("never-connects", "connecting never ends", Lost(), both(_UNREACHABLE)),
    HopFault("silent", "the call is taken and nothing is said", Impostor(b"", "silence"), both(_TIMEOUT)),
    HopFault("closed-at-once", "closed instead of an answer", Impostor(b""), both(_GONE_CODE)),
    HopFault("reset-at-once", "reset instead of an answer", Impostor(b"", "reset"), both(_GONE_CODE)),
    HopFault("cut-in-head", "reset within the answer's head", Broken(20, "reset"), both(_GONE_CODE)),
    HopFault("cut-in-body", "reset within the answer's body", Broken(600, "reset"), both(_GONE_CODE)),
    HopFault("cut-late", "reset after the first text", Broken(3, "reset", "texts"), only_streaming(_GONE_CODE)),
    HopFault("ended-in-body", "the connection's end within the answer's body", Broken(600, "eof"), both(_GONE_CODE)),
    HopFault("silent-in-body", "not another byte within the answer's body", Broken(600, "silence"), both(_TIMEOUT)),
    HopFault("silent-late", "not another byte after the first text", Broken(3, "silence", "texts"), only_streaming(_TIMEOUT)),
    HopFault("no-http", "another protocol on the port", Impostor(b"SSH-2.0-OpenSSH_9.2\r\n"), both(_GONE_CODE)),
    HopFault("html", "a web page on the port", Impostor(_answer("200 OK", "text/html", _HTML)), both(_PROTOCOL)),
    HopFault("html-502", "a proxy's own error page", Impostor(_answer("502 Bad Gateway", "text/html", _HTML)), both(_PROTOCOL)),
    HopFault("other-json", "JSON that is no answer", Impostor(_answer("200 OK", "application/json", b'{"hello":"world"}')), both(_PROTOCOL)),
    HopFault("refuses-our-key", "a 401 that is none of the user's business", Impostor(_answer("401 Unauthorized", "application/json", _ERROR_401)), both(_PROTOCOL)),
    HopFault("another-calls-answer", "the event stream of another call", Impostor(_stream(_META)), both(_PROTOCOL)),
    HopFault("text-without-proof", "a `delta` before any `citations`", Impostor(_stream(_META, _DELTA)), both(_PROTOCOL)),
    HopFault("stream-of-rubbish", "an event stream of no known event", Impostor(_stream(b"event: hello\ndata: {}\n\n")), both(_PROTOCOL)),
)  # fmt: skip
FAULTS: Final[Mapping[str, HopFault]] = {row.name: row for row in _ROWS}
