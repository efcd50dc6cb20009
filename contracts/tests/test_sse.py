"""Goal: a stream's frames do not depend on how its bytes are cut, and memory has a cap.

Method: bytes in, frames out, against a second parser that reads the whole stream at once.
"""

import re
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.sse import HEARTBEAT, Decoder, Frame, FrameTooLarge, encode
from contracts.tests.shapes import quick

CAP = 200
PIECES = st.sampled_from(
    [
        *(b"data: a", b"data:b", b"data:  c", b"data", b"data:", b"event: delta", b"event:done"),
        *(b"event", b": heartbeat", b":", b"id: 1", b"retry: 5", b'error: {"code": 1}', b"odd"),
        *("data: \u2028\u2029\x85\x0b\x0c\x00é🙂".encode(), b"data: \xff\xfe", b"event: \xff"),
        *(b"\xef\xbb\xbfdata: x", b" data: x", b"Data: x", b"", b"", b"", b"", b""),
    ]
)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
STREAMS = st.tuples(
    st.sampled_from([b"", b"", b"\xef\xbb\xbf"]),
    st.lists(st.tuples(PIECES, ENDS).map(b"".join), max_size=16).map(b"".join),
    PIECES,
).map(b"".join)


def drained(decoder: Decoder) -> list[Frame]:
    frames = []
    while (frame := decoder.next_frame()) is not None:
        frames.append(frame)
    return frames


def frames_of(*feeds: bytes, cap: int = 10_000) -> tuple[list[Frame], Frame | None]:
    decoder = Decoder(cap)
    frames = []
    for data in feeds:
        decoder.feed(data)
        frames += drained(decoder)
    return frames, decoder.end()


def framed(lines: list[bytes]) -> Frame | None:
    """One block of lines, read as the standard says."""
    pairs = [line.partition(b":") for line in lines if not line.startswith(b":")]
    fields = [(name, value[1:] if value[:1] == b" " else value) for name, _, value in pairs]
    data = [value for name, value in fields if name == b"data"]
    events = [value for name, value in fields if name == b"event"]
    others = tuple((n, v) for n, v in fields if n not in (b"data", b"event", b"id", b"retry"))
    if not data and not others and not (events and events[-1]):
        return None
    event = events[-1].decode("utf-8", "backslashreplace") if events else ""
    return Frame(event, b"\n".join(data) if data else None, others)


def expected(stream: bytes) -> tuple[list[Frame], Frame | None]:
    lines = re.split(rb"\r\n|\r|\n", stream.removeprefix(b"\xef\xbb\xbf"))
    blocks: list[list[bytes]] = [[]]
    for line in lines[:-1]:
        if line:
            blocks[-1].append(line)
        else:
            blocks.append([])
    last = [*blocks.pop(), *([lines[-1]] if lines[-1] else [])]
    return [frame for block in blocks if (frame := framed(block))], framed(last)


@quick(200)
@given(stream=STREAMS, cuts=st.lists(st.integers(0, 200), max_size=8))
def test_frames_are_the_same_however_the_bytes_are_cut(stream: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    feeds = [stream[a:b] for a, b in pairwise(places)]
    byte_by_byte = [stream[i : i + 1] for i in range(len(stream))]
    assert frames_of(stream) == frames_of(*feeds) == frames_of(*byte_by_byte) == expected(stream)


@quick(100)
@given(stream=STREAMS.map(lambda s: s * 3), size=st.integers(1, 64))
def test_memory_stays_under_the_cap_and_one_feed(stream: bytes, size: int) -> None:
    decoder = Decoder(40)
    with suppress(FrameTooLarge):
        for start in range(0, len(stream), size):
            decoder.feed(stream[start : start + size])
            drained(decoder)
            assert len(decoder._buffer) <= 40 + size
            assert sum(len(name) + len(value) for name, value in decoder._fields) <= 40


@pytest.mark.parametrize(
    ("stream", "frame"),
    [
        (b"event: delta\ndata: {}\n\n", Frame("delta", b"{}")),
        (b"event:delta\ndata:{}\n\n", Frame("delta", b"{}")),
        (b"data:  two\n\n", Frame("", b" two")),
        (b"data: a\ndata: b\ndata\n\n", Frame("", b"a\nb\n")),
        (b"data: a\rdata: b\n\n", Frame("", b"a\nb")),
        (b"data\n\n", Frame("", b"")),
        (b"event: a\nevent: b\ndata: x\n\n", Frame("b", b"x")),
        (b"event: meta\n\n", Frame("meta", None)),
        (b"id: 7\nretry: 3\ndata: x\n\n", Frame("", b"x")),
        (b'error: {"code": 5}\n\n', Frame("", None, ((b"error", b'{"code": 5}'),))),
        (b"\xef\xbb\xbfdata: x\n\n", Frame("", b"x")),
        (b"\n\n\xef\xbb\xbfdata: x\n\n", Frame("", None, ((b"\xef\xbb\xbfdata", b"x"),))),
        (b": one\n: two\ndata: x\n\n", Frame("", b"x")),
        (
            "data: a\u2028b\u2029c\x85d\x0ce\n\n".encode(),
            Frame("", "a\u2028b\u2029c\x85d\x0ce".encode()),
        ),
        (b"data: \xff\xfe\n\n", Frame("", b"\xff\xfe")),
        (b"event: \xff\ndata: x\n\n", Frame("\\xff", b"x")),
        (b"data: a:b: c\n\n", Frame("", b"a:b: c")),
    ],
)
def test_frame_is_read_when_written_unusually(stream: bytes, frame: Frame) -> None:
    for written in (stream, stream.replace(b"\n", b"\r"), stream.replace(b"\n", b"\r\n")):
        assert frames_of(written) == ([frame], None)


@pytest.mark.parametrize(
    "stream", [b"", b"\n\n\n", HEARTBEAT, b": x\r\r: y\r\n\r\n", b"id: 1\n\n", b"event:\n\n"]
)
def test_nothing_is_a_frame_when_nothing_was_said(stream: bytes) -> None:
    assert frames_of(stream) == ([], None)


@pytest.mark.parametrize("together", [True, False])
def test_a_mark_is_one_at_the_beginning_alone(together: bool) -> None:
    first, second = b"event: a\ndata: x\n\n", b"\xef\xbb\xbfdata: y\n\n"
    pieces = [first + second] if together else [first, second]
    marked = Frame("", None, ((b"\xef\xbb\xbfdata", b"y"),))
    assert frames_of(*pieces) == ([Frame("a", b"x"), marked], None)


def test_frame_comes_at_its_blank_line_and_not_a_byte_later() -> None:
    decoder = Decoder(CAP)
    decoder.feed(b"data: a\r\n\r")
    assert drained(decoder) == [Frame("", b"a")]
    decoder.feed(b"\ndata: b\n")
    assert drained(decoder) == []
    decoder.feed(b"\n")
    assert drained(decoder) == [Frame("", b"b")]


@pytest.mark.parametrize(
    ("stream", "left"),
    [
        (b"data: a", Frame("", b"a")),
        (b"data: a\n", Frame("", b"a")),
        (b"data: a\r", Frame("", b"a")),
        (b"event: done\ndata: {", Frame("done", b"{")),
        (b"data: a\n\n", None),
        (b": heart", None),
        (b"\xef\xbb\xbfdata: a", Frame("", b"a")),
        (b"\xef\xbb\xbf", None),
    ],
)
def test_end_gives_what_no_blank_line_closed(stream: bytes, left: Frame | None) -> None:
    decoder = Decoder(CAP)
    decoder.feed(stream)
    drained(decoder)
    assert decoder.end() == left
    assert decoder.end() is None


@pytest.mark.parametrize("size", [1, 7, 1_000])
@pytest.mark.parametrize(
    "stream",
    [b"data: " + b"x" * CAP, b"data: x\n" * CAP, b":" + b"x" * CAP, b"\n" + b"x" * (CAP + 1)],
)
def test_frame_is_refused_when_over_the_cap_and_before_it_is_whole(
    stream: bytes, size: int
) -> None:
    with pytest.raises(FrameTooLarge, match=r"^one frame is over 200 bytes$"):
        frames_of(*(stream[i : i + size] for i in range(0, len(stream), size)), cap=CAP)


@pytest.mark.parametrize("first", [b"", b"\xef\xbb\xbf", b"data: y\n", b"\xef\xbb\xbfid: 1\r\n"])
@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n", b""])
@pytest.mark.parametrize("chars", range(CAP - 20, CAP + 3))
def test_frame_about_as_long_as_the_cap_ends_the_same_however_it_is_cut(
    first: bytes, end: bytes, chars: int
) -> None:
    stream = first + b"data: ".ljust(chars, b"x") + end
    assert capped(stream, 1) == capped(stream, len(stream))


def capped(stream: bytes, size: int) -> object:
    try:
        return frames_of(*(stream[i : i + size] for i in range(0, len(stream), size)), cap=CAP)
    except FrameTooLarge as fault:
        return str(fault)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_open_line_is_refused_at_its_first_byte_over_the_cap(mark: bytes) -> None:
    decoder = Decoder(CAP)
    decoder.feed(mark + b"data: ".ljust(CAP, b"x"))
    assert drained(decoder) == []
    decoder.feed(b"x")
    with pytest.raises(FrameTooLarge):
        drained(decoder)


def test_a_later_open_line_is_refused_as_soon_when_the_stream_began_with_a_mark() -> None:
    decoder = Decoder(CAP)
    decoder.feed(b"\xef\xbb\xbf: hello\n\n" + b"data: ".ljust(CAP + 1, b"x"))
    with pytest.raises(FrameTooLarge):
        drained(decoder)


def test_cap_is_for_one_frame_and_comments_are_free() -> None:
    frame = b"data: " + b"x" * (CAP - 7) + b"\n\n"
    frames, left = frames_of(*[frame, HEARTBEAT * 100, frame] * 5, cap=CAP)
    assert (len(frames), left) == (10, None)


@pytest.mark.parametrize("over", [0, 1])
def test_cap_counts_every_line_with_its_end_and_anew_for_each_frame(over: int) -> None:
    lines = [b"data:" + b"x" * 20] * 3
    last = b"data:".ljust(CAP - 3 * (len(lines[0]) + 1) - 1 + over, b"x")
    frame = b"\n".join([*lines, last]) + b"\n\n"
    assert len(frame) == CAP + 1 + over, "but for the blank line that closes it"
    decoder = Decoder(CAP)
    for _ in range(3):
        decoder.feed(frame)
        if over:
            with pytest.raises(FrameTooLarge):
                drained(decoder)
            return
        assert len(drained(decoder)) == 1


@quick(60)
@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[A-Za-z_]{1,64}", fullmatch=True),
            st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"").replace(b"\r", b"")),
        ),
        max_size=4,
    )
)
def test_frames_come_back_as_encoded(pairs: list[tuple[str, bytes]]) -> None:
    stream = HEARTBEAT.join(encode(event, data) for event, data in pairs)
    assert frames_of(stream) == ([Frame(event, data) for event, data in pairs], None)


@pytest.mark.parametrize(
    ("event", "data"), [("a b", b""), ("", b""), ("a\n", b""), ("a", b"x\ny"), ("a", b"\r")]
)
def test_encoding_asserts_one_line_and_a_plain_name(event: str, data: bytes) -> None:
    with pytest.raises(AssertionError):
        encode(event, data)
