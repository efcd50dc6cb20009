"""Targets that read a wire: server-sent events, the model server's replies, the contract's JSON."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, cast

from contracts import sse
from contracts.chat import ChatRequest, ChatResponse, ErrorBody
from contracts.codec import ContractViolation, encode, structure
from contracts.events import EVENTS, NAMES, StreamEvent, from_frame, to_wire
from contracts.generation import GenerateRequest, GenerateResponse
from contracts.limits import RETRY_AFTER_MAX_MS, TOKENS_MAX, VIOLATIONS_LISTED
from contracts.strict_json import has_surrogate, loads
from harness.fuzz.inputs import cuts_of, pieces_of
from llmgw.faults import GenerationFault
from llmgw.providers import openai_errors
from llmgw.providers.openai_wire import PlainDecoder, StreamDecoder
from llmgw.providers.port import Content, Finished, ModelEvent, ModelNamed, UsageReport

# The second cap is one that short inputs reach; more bytes than that show nothing new.
_ROOMY, _TIGHT, _SENT_MAX = 1024 * 1024, 96, 1_024
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_WIRE_NAME: Final = re.compile(r"[A-Za-z_]{1,64}")

# What came of a stream: what was read, and the fault that ended it, or "".
Frames = tuple[list[sse.Frame], str]
Replied = tuple[list[ModelEvent], str]


def sse_decoder(data: bytes) -> None:
    """Frames and faults are the same however the bytes are cut, and those of a plain reading."""
    pieces = pieces_of(data, _SENT_MAX)
    for cap in (_ROOMY, _TIGHT):
        first, *others = [_framed(cut, cap) for cut in cuts_of(pieces)]
        assert all(other == first for other in others), (first, others)
        frames, fault = first
        expected = _frames_of(b"".join(pieces))
        assert frames == expected[: len(frames)]
        assert fault or len(frames) == len(expected)
        assert all(len(frame.data or b"") <= cap for frame in frames)
    for frame in frames:
        _comes_back(frame)


def _framed(pieces: Sequence[bytes], cap: int) -> Frames:
    decoder = sse.Decoder(cap)
    frames: list[sse.Frame] = []
    try:
        for piece in pieces:
            decoder.feed(piece)
            frames.extend(iter(decoder.next_frame, None))
        frames.extend(filter(None, [decoder.end()]))
    except sse.FrameTooLarge as fault:
        return frames, str(fault)
    assert decoder.next_frame() is None
    assert decoder.end() is None
    return frames, ""


def _frames_of(whole: bytes) -> list[sse.Frame]:
    """The same, read from the whole at once."""
    frames: list[sse.Frame] = []
    fields: list[tuple[bytes, bytes]] = []
    for line in [*_LINE_END.split(whole.removeprefix(b"\xef\xbb\xbf")), b""]:
        name, _, value = line.partition(b":")
        if name:
            fields.append((name, value.removeprefix(b" ")))
        elif not line:
            frames += _frame_of(fields)
            fields = []
    return frames


def _frame_of(fields: Sequence[tuple[bytes, bytes]]) -> Iterator[sse.Frame]:
    data = [value for name, value in fields if name == b"data"]
    event = ([b""] + [value for name, value in fields if name == b"event"])[-1]
    others = [each for each in fields if each[0] not in (b"data", b"event", b"id", b"retry")]
    if data or event or others:
        named = event.decode("utf-8", "backslashreplace")
        yield sse.Frame(named, b"\n".join(data) if data else None, tuple(others))


def _comes_back(frame: sse.Frame) -> None:
    data = frame.data or b""
    if _WIRE_NAME.fullmatch(frame.event) and b"\n" not in data:
        written = sse.encode(frame.event, data)
        assert _framed([written], _ROOMY) == ([sse.Frame(frame.event, data)], "")


def provider_wire(data: bytes) -> None:
    """A reply, streamed and plain: the same however it is cut, and nothing the port rules out."""
    pieces = pieces_of(data, _SENT_MAX)
    for cap in (_ROOMY, _TIGHT):
        _is_one_reply([_replied(StreamDecoder(cap), cut) for cut in cuts_of(pieces)])
        _is_one_reply([_replied(PlainDecoder(cap), cut) for cut in cuts_of(pieces)])
    whole = b"".join(pieces)
    events, fault = _replied(PlainDecoder(), [whole])
    if not fault:
        assert _replied(StreamDecoder(), [_as_stream(whole)]) == (events, "")
    _refused(whole)


def _replied(decoder: StreamDecoder | PlainDecoder, pieces: Sequence[bytes]) -> Replied:
    events: list[ModelEvent] = []
    try:
        for piece in pieces:
            decoder.feed(piece)
            events.extend(iter(decoder.next_event, None))
        decoder.end()
        events.extend(iter(decoder.next_event, None))
    except GenerationFault as fault:
        assert fault.code.startswith("PROVIDER_"), fault.code
        return events, str(fault)
    return events, ""


def _is_one_reply(replies: Sequence[Replied]) -> None:
    assert all(reply == replies[0] for reply in replies), replies
    events = replies[0][0]
    kinds = [type(event) for event in events]
    assert kinds.count(Finished) <= 1
    assert kinds.count(ModelNamed) <= 1
    if Finished in kinds:
        assert Content not in kinds[kinds.index(Finished) :]
    for event in events:
        match event:
            case Content(text):
                assert text
            case Finished(word) | ModelNamed(word):
                assert word
                assert not has_surrogate(word)
            case UsageReport(prompt, completion):
                assert 0 <= prompt <= TOKENS_MAX
                assert 0 <= completion <= TOKENS_MAX


def _as_stream(body: bytes) -> bytes:
    """A plain reply as the one event of a stream that says the same."""
    root = json.loads(body)
    for choice in root["choices"]:
        choice["delta"] = choice["message"]
    return b"data: %b\n\n" % json.dumps(root).encode()


_STATUSES: Final = (200, 400, 401, 404, 418, 422, 429, 500, 503)
_DETAIL: Final = re.compile(r"HTTP \d+( type=[\w.-]{1,64})?( code=[\w.-]{1,64})?", re.ASCII)


def _refused(body: bytes) -> None:
    """As the body of a refusal, its first line the `Retry-After` header too."""
    header = body.partition(b"\n")[0].decode("latin-1")
    for status in _STATUSES:
        fault = openai_errors.fault_of_status(status, header, body, 1_800_000_000.0)
        assert fault.code.startswith("PROVIDER_")
        assert _DETAIL.fullmatch(fault.detail), fault.detail
        waits = fault.retry_after_ms
        assert waits is None or (status in (429, 503) and 0 <= waits <= RETRY_AFTER_MAX_MS)
        if openai_errors.rejects_schema(status, body):
            assert status in (400, 422)
    openai_errors.is_error_body(body)


_BODIES: Final = (ChatRequest, ChatResponse, ErrorBody, GenerateRequest, GenerateResponse)
_EVENTS: Final[frozenset[type[object]]] = frozenset(NAMES)
_KINDS: Final[tuple[type[object], ...]] = (*_BODIES, *NAMES)


def strict_codec(data: bytes) -> None:
    """Only violations come out, well told; what is taken is what was sent, and comes back."""
    whole = b"".join(pieces_of(data))
    value = _taken(lambda: loads(whole))
    if value is None:
        return
    assert value == json.loads(whole), "what is strict JSON is JSON"
    for kind in _KINDS:
        made = _taken(lambda kind=kind: structure(value, kind))  # type: ignore[misc]  # bound now
        if made is not None:
            _comes_back_equal(made, kind)
    for name in EVENTS:
        frame = sse.Frame(name, whole)
        _taken(lambda frame=frame: from_frame(frame))  # type: ignore[misc]  # bound now


def _taken(read: Callable[[], object]) -> object:
    """What is read; None where it is refused as a refusal must be."""
    try:
        return read()
    except ContractViolation as refusal:
        assert 1 <= len(refusal.violations) <= min(refusal.total, VIOLATIONS_LISTED)
        for violation in refusal.violations:
            assert violation.path.startswith("$"), violation
            assert violation.problem, violation
            f"{violation.path}{violation.problem}".encode()
        return None


def _comes_back_equal(made: object, kind: type[object]) -> None:
    written = encode(made)
    assert structure(loads(written), kind) == made
    if kind in _EVENTS:
        frames, fault = _framed([to_wire(cast(StreamEvent, made))], _ROOMY)
        assert (not fault, [from_frame(frame) for frame in frames]) == (True, [made])


WIRE_TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "sse": sse_decoder,
    "wire": provider_wire,
    "codec": strict_codec,
}
