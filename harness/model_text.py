"""What a model server really wrote, out of the bytes it sent: read leniently, by no code of ours.

`written(pieces)` is the text of every content delta with the time it was sent, whatever else is
wrong with the stream, up to its `[DONE]`; a plain answer is one delta. `finish_reasons` are those
that were said.
"""

import json
import re
import zlib
from collections.abc import Iterator, Sequence
from typing import Final

import h11
from attrs import frozen

from harness.wire_log import Piece

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_LAST: Final = b"[DONE]"
_HEAD_BYTES_MAX: Final = 2_000_000


@frozen
class Written:
    """The text so far, and the reasons given for its end."""

    pieces: tuple[tuple[float, str], ...]
    finish_reasons: tuple[str, ...]

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.pieces)


def written(sent: Sequence[Piece]) -> Written:
    """What one response says."""
    pieces: list[tuple[float, str]] = []
    finishes: list[str] = []
    for at, payload in _payloads(sent):
        choices = payload.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            if not isinstance(choice, dict) or choice.get("index", 0) != 0:
                continue
            said = choice.get("delta") or choice.get("message")
            content = said.get("content") if isinstance(said, dict) else None
            if isinstance(content, str):
                pieces.append((at, content))
            if isinstance(choice.get("finish_reason"), str):
                finishes.append(choice["finish_reason"])
    return Written(tuple(pieces), tuple(finishes))


def _payloads(sent: Sequence[Piece]) -> Iterator[tuple[float, dict[str, object]]]:
    """Every JSON object of the response: its body, or the data of its events."""
    body, lines, kind = b"", [], ""
    for at, data, content_type in _bodies(sent):
        kind, body = content_type, body + data
        if "event-stream" not in kind:
            continue
        *whole, body = _split(body)
        for line in whole:
            lines.append(line)
            if not line:
                if _data(lines) == _LAST:
                    return
                yield from ((at, payload) for payload in _object(_data(lines)))
                lines = []
    if "event-stream" not in kind:
        yield from ((sent[-1].at, payload) for payload in _object(body))
    else:
        yield from ((sent[-1].at, payload) for payload in _object(_data([*lines, body])))


def _split(body: bytes) -> list[bytes]:
    """Lines, and the rest; a CR at the very end may be half of a CRLF."""
    held = body[-1:] if body.endswith(b"\r") else b""
    lines = _LINE_END.split(body.removeprefix(b"\xef\xbb\xbf").removesuffix(held))
    return [*lines[:-1], lines[-1] + held]


def _data(lines: list[bytes]) -> bytes:
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))


def _object(data: bytes) -> Iterator[dict[str, object]]:
    try:
        value = json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return
    if isinstance(value, dict):
        yield value


def _bodies(sent: Sequence[Piece]) -> Iterator[tuple[float, bytes, str]]:
    """The body's pieces, unpacked, as far as the response can be read as HTTP."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES_MAX)
    connection.send(h11.Request(method="POST", target="/", headers=[("host", "model")]))
    connection.send(h11.EndOfMessage())
    kind, unpack = "", None
    for piece in sent:
        try:
            connection.receive_data(piece.data)
            while not isinstance(event := connection.next_event(), type(h11.NEED_DATA)):
                if isinstance(event, h11.Response):
                    headers = dict(event.headers)
                    kind = headers.get(b"content-type", b"").decode("latin-1")
                    if headers.get(b"content-encoding") == b"gzip":
                        unpack = zlib.decompressobj(wbits=31)
                elif isinstance(event, h11.Data):
                    data = bytes(event.data)
                    yield piece.at, unpack.decompress(data) if unpack else data, kind
                elif isinstance(event, h11.EndOfMessage):
                    return
        except (h11.RemoteProtocolError, zlib.error):
            return


def shown_of(text: str, shown: str, *, whole: bool) -> bool:
    """Whether `shown` is what some answer in `text` says, from its beginning on.

    `whole`: all of it, to the closing quote.
    """
    return any(
        said.startswith(shown) and (not whole or (closed and said == shown))
        for said, closed in answers_in(text)
    )


def answers_in(text: str) -> Iterator[tuple[str, bool]]:
    """What each `"answer": "…"` in `text` says, as far as it goes, and whether it is closed.

    There may be several: a draft in a thought, a second object.
    """
    for opening in _ANSWER.finditer(text):
        yield _string_at(text, opening.end())


def quotes(text: str, word: str) -> bool:
    """Whether some whole JSON string in `text` is `word`, however it is escaped."""
    ends = (quote.end() for quote in re.finditer('"', text))
    # No character needs more than two escapes of six.
    return any((word, True) == _string_at(text[end : end + 12 * len(word) + 1], 0) for end in ends)


_ANSWER: Final = re.compile(r'"answer"\s*:\s*"')
_ESCAPES: Final = {
    '"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
}  # fmt: skip
_TOKEN: Final = re.compile(r'\\u([0-9a-fA-F]{4})|\\(["\\/bfnrt])|([^"\\]+)')


def _string_at(text: str, at: int) -> tuple[str, bool]:
    """The string that begins at `at`, and whether it closes."""
    units: list[str] = []
    while token := _TOKEN.match(text, at):
        code, escape, plain = token.groups()
        units.append(chr(int(code, 16)) if code else _ESCAPES[escape] if escape else plain)
        at = token.end()
    said = "".join(units).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return said, text[at : at + 1] == '"'
