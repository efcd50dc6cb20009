"""Named ways to spoil a stream of events, each with what the receiver must make of it.

    for operator in STREAM_OPERATORS:
        for spoilt in operator.spoil(frames, cited):
            spoilt.writes is what to send, one write after another, and then the stream's clean end

`frames` is a whole legal stream, one event each. Of a spoilt one the first `kept` events stand, and
then it is taken (SAME), refused (HOP_PROTOCOL_ERROR) or broken off (HOP_DISCONNECTED), unless an
`error` among the kept has said why the answer failed. Pure.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum, auto

from attrs import frozen

from contracts import sse
from contracts.events import from_frame
from contracts.limits import EVENT_BYTES
from contracts.order import State, StreamOrder, seen
from contracts.reasons import ReasonCode
from contracts.strict_json import ContractViolation

Frames = Sequence[bytes]
_HEARTBEATS = (b": heartbeat\n\n", b":\n", b": event: done\n\n", b"\n\n")
_OTHER = ReasonCode.RAG_TIMEOUT


class Says(Enum):
    """What the receiver makes of a stream, once the kept events are through."""

    SAME = auto()  # nothing is wrong
    REFUSED = auto()  # it breaks the contract
    CUT = auto()  # it ends too early


@frozen
class SpoiltStream:
    """One spoilt stream: its writes, how many leading events of it stand, and what then."""

    writes: tuple[bytes, ...]
    kept: tuple[bytes, ...]
    says: Says


@frozen
class StreamOperator:
    """One way to spoil a stream. `spoil` takes a legal one, and whether its text is cited."""

    name: str
    does: str
    spoil: Callable[[Frames, bool], Iterable[SpoiltStream]]


def judged(frames: Frames, cited: bool) -> SpoiltStream:
    """Whole events in any order: those that stand, and what the receiver says to the next.

    What follows `done` is never read.
    """
    order = StreamOrder(cited)
    for index, data in enumerate(frames):
        if order.state is State.CLOSED:
            return SpoiltStream(tuple(frames), tuple(frames[:index]), Says.SAME)
        try:
            order.see(seen(from_frame(_parsed(data))))
        except ContractViolation:
            return SpoiltStream(tuple(frames), tuple(frames[:index]), Says.REFUSED)
    says = Says.SAME if order.state is State.CLOSED else Says.CUT
    return SpoiltStream(tuple(frames), tuple(frames), says)


def _parsed(data: bytes) -> sse.Frame:
    decoder = sse.Decoder(EVENT_BYTES)
    decoder.feed(data)
    found = decoder.next_frame()
    assert found is not None, data
    return found


# Events that are whole, in another order.


def _order(
    name: str, does: str, arranged: Callable[[list[bytes]], Iterator[list[bytes]]]
) -> StreamOperator:
    def spoil(frames: Frames, cited: bool) -> Iterator[SpoiltStream]:
        return (judged(made, cited) for made in arranged(list(frames)))

    return StreamOperator(name, does, spoil)


def _left_out(frames: list[bytes]) -> Iterator[list[bytes]]:
    return (frames[:i] + frames[i + 1 :] for i in range(len(frames)))


def _twice(frames: list[bytes]) -> Iterator[list[bytes]]:
    return (frames[: i + 1] + frames[i:] for i in range(len(frames)))


def _swapped(frames: list[bytes]) -> Iterator[list[bytes]]:
    for i in range(len(frames) - 1):
        yield [*frames[:i], frames[i + 1], frames[i], *frames[i + 2 :]]


def _again_at_the_end(frames: list[bytes]) -> Iterator[list[bytes]]:
    return ([*frames[:-1], again, frames[-1]] for again in frames[:-1])


def _after_done(frames: list[bytes]) -> Iterator[list[bytes]]:
    return ([*frames, after] for after in [*frames, b"event: x\n\n", b"\xff\n\n"])


def _error(*, discard: bool, code: ReasonCode = _OTHER) -> bytes:
    text = f'{{"code":"{code}","message":"{code.text}","message_key":"{code.message}",'
    return sse.encode("error", (text + f'"discard":{str(discard).lower()}}}').encode())


def _two_errors(frames: list[bytes]) -> Iterator[list[bytes]]:
    for discard in (False, True):
        yield [*frames[:-1], _error(discard=discard), _error(discard=discard), frames[-1]]


def _changed(old: bytes, new: bytes) -> Callable[[list[bytes]], Iterator[list[bytes]]]:
    """One event at a time in which these bytes stand gets others."""

    def arranged(frames: list[bytes]) -> Iterator[list[bytes]]:
        for i, data in enumerate(frames):
            if old in data:
                yield [*frames[:i], data.replace(old, new), *frames[i + 1 :]]

    return arranged


def _other_code_in_done(frames: list[bytes]) -> Iterator[list[bytes]]:
    """The `done` of another code of the same message, so that only the order can tell."""
    code = re.compile(rb'"reason_code":"[A-Z_]+"')
    if code.search(frames[-1]):
        other = code.sub(f'"reason_code":"{_OTHER}"'.encode(), frames[-1])
        yield [*frames[:-1], other]


def _error_then_ok(frames: list[bytes]) -> Iterator[list[bytes]]:
    if b'"status":"ok"' in frames[-1]:
        for discard in (False, True):
            yield [*frames[:-1], _error(discard=discard), frames[-1]]


ORDERS = (
    _order("event left out", "one event is not there", _left_out),
    _order("event twice", "one event stands twice", _twice),
    _order("event swapped", "two neighbours change places", _swapped),
    _order("event again", "an earlier event once more, before `done`", _again_at_the_end),
    _order("event after done", "anything at all after `done`", _after_done),
    _order("error then ok", "an `error`, and a `done` that knows nothing of it", _error_then_ok),
    _order("two errors", "an `error` after an `error`", _two_errors),
    _order("another code in done", "not the code of `error`", _other_code_in_done),
    _order("discard for nothing", "text withdrawn that was never sent",
        lambda f: iter([[f[0], _error(discard=True), *f[1:]]])),
    _order("no discard", "text sent and not withdrawn",
        _changed(b'"discard":true', b'"discard":false')),
)  # fmt: skip


# One event that is no event.


def _frame(name: str, does: str, spoilt: Callable[[bytes], bytes]) -> StreamOperator:
    """Each event in turn is spoilt so that it is refused for its form, whatever it says."""

    def spoil(frames: Frames, _: bool) -> Iterator[SpoiltStream]:
        for i, data in enumerate(frames):
            writes = (*frames[:i], spoilt(data), *frames[i + 1 :])
            yield SpoiltStream(writes, tuple(frames[:i]), Says.REFUSED)

    return StreamOperator(name, does, spoil)


def _named(name: bytes) -> Callable[[bytes], bytes]:
    return lambda data: re.sub(rb"^event: \w+", b"event: " + name, data)


def _data_of(data: bytes) -> bytes:
    return data[data.index(b"\ndata: ") + len(b"\ndata: ") : -2]


FRAMES = (
    _frame("name re-cased", "delta becomes Delta", lambda d: d[:7] + d[7:8].upper() + d[8:]),
    _frame("name with a blank", "a blank after the name", lambda d: d.replace(b"\n", b" \n", 1)),
    _frame("unknown name", "an event of nobody's", _named(b"usage")),
    _frame("no name", "an event of no name", lambda d: d[d.index(b"\n") + 1 :]),
    _frame("default name", "what no name means in a browser", _named(b"message")),
    _frame("name not UTF-8", "a byte no text has", _named(b"\xff")),
    _frame("NUL in the name", "a NUL after it", lambda d: d.replace(b"\n", b"\x00\n", 1)),
    _frame("no data", "a name alone", lambda d: d[: d.index(b"\n")] + b"\n\n"),
    _frame("data on two lines", "a line end between keys",
        lambda d: d.replace(b'":', b'":\ndata: ', 1)),
    _frame("empty second line", "a second line of no data", lambda d: d[:-1] + b"data\n\n"),
    _frame("further field", "a field no standard names", lambda d: d[:-1] + b"error: x\n\n"),
    _frame("JSON without a field", "a line of bare JSON", lambda d: _data_of(d) + b"\n\n"),
    _frame("done of chat completions", "[DONE]", lambda _: b"data: [DONE]\n\n"),
    _frame("over its cap", "an event of more than 1 MiB",
        lambda d: d[:-3] + b" " * EVENT_BYTES + d[-3:]),
    _frame("an endless line", "1 MiB without a line end", lambda _: b"x" * (EVENT_BYTES + 1)),
)  # fmt: skip


# A stream that ends too early.


def _cut(name: str, does: str, left: Callable[[bytes], bytes]) -> StreamOperator:
    """The stream ends in each event in turn, with this much of it."""

    def spoil(frames: Frames, _: bool) -> Iterator[SpoiltStream]:
        for i, data in enumerate(frames):
            writes = (*frames[:i], left(data))
            yield SpoiltStream(writes, tuple(frames[:i]), Says.CUT)

    return StreamOperator(name, does, spoil)


CUTS = (
    _cut("cut before an event", "nothing of it", lambda _: b""),
    _cut("cut in an event", "half of it", lambda d: d[: len(d) // 2]),
    _cut(
        "cut in a character", "a lead byte alone", lambda d: d[: d.index(b"data: ") + 6] + b"\xe2"
    ),
    _cut("no final blank line", "all but the line that closes it", lambda d: d[:-1]),
    _cut("no final line end", "all but its line ends", lambda d: d[:-2]),
    _cut("heartbeats, then nothing", "life, but no answer", lambda _: _HEARTBEATS[0] * 3),
)  # fmt: skip


# The same stream in other bytes.


def _bytes(name: str, does: str, written: Callable[[Frames], Iterable[bytes]]) -> StreamOperator:
    def spoil(frames: Frames, _: bool) -> Iterator[SpoiltStream]:
        yield SpoiltStream(tuple(written(frames)), tuple(frames), Says.SAME)

    return StreamOperator(name, does, spoil)


def _each(change: Callable[[bytes], bytes]) -> Callable[[Frames], Iterable[bytes]]:
    return lambda frames: map(change, frames)


def _byte_by_byte(frames: Frames) -> Iterator[bytes]:
    return (bytes([byte]) for data in frames for byte in data)


def _heartbeats(frames: Frames) -> Iterator[bytes]:
    for i, data in enumerate(frames):
        yield _HEARTBEATS[i % len(_HEARTBEATS)]
        yield b": within\n".join(data[:-1].splitlines(keepends=True)) + b"\n"


def _data_first(data: bytes) -> bytes:
    event, line, *_ = data.split(b"\n")
    return line + b"\n" + event + b"\n\n"


HARMLESS_STREAMS = (
    _bytes("byte by byte", "each byte is a write of its own", _byte_by_byte),
    _bytes("one write", "all at once", lambda frames: [b"".join(frames)]),
    _bytes("CRLF", "lines end with CR LF", _each(lambda d: d.replace(b"\n", b"\r\n"))),
    _bytes("CR", "lines end with CR", _each(lambda d: d.replace(b"\n", b"\r"))),
    _bytes("CRLF byte by byte", "cut between CR and LF too",
        lambda fs: _byte_by_byte([d.replace(b"\n", b"\r\n") for d in fs])),
    _bytes("heartbeats everywhere", "comments between and within events", _heartbeats),
    _bytes("byte order mark", "EF BB BF before all", lambda fs: [b"\xef\xbb\xbf", *fs]),
    _bytes("no space", "no space after a colon",
        _each(lambda d: re.sub(rb"(?m)^(\w+): ", rb"\1:", d))),
    _bytes("id and retry", "fields that mean nothing here",
        _each(lambda d: b"id: 7\nretry: 1\n" + d)),
    _bytes("data first", "the name after the data", _each(_data_first)),
    _bytes("name twice", "the last of two names counts", _each(lambda d: b"event: x\n" + d)),
)  # fmt: skip

STREAM_OPERATORS: tuple[StreamOperator, ...] = (*ORDERS, *FRAMES, *CUTS, *HARMLESS_STREAMS)
