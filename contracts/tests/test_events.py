"""Goal: each event goes over the wire as one frame and comes back, and nothing else is an event."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import sse
from contracts.codec import ContractViolation, decode, encode
from contracts.events import EVENTS, NAMES, Delta, Failed, failed, from_frame, to_wire
from contracts.limits import ANSWER_MAX_CHARS, EVENT_BYTES
from contracts.reasons import MessageKey, ReasonCode
from contracts.tests.shapes import FALLBACKS, encoded, legal, quick


def frames(stream: bytes) -> list[sse.Frame]:
    decoder = sse.Decoder(EVENT_BYTES)
    decoder.feed(stream)
    found = []
    while frame := decoder.next_frame():
        found.append(frame)
    return found


def problem(frame: sse.Frame) -> str:
    with pytest.raises(ContractViolation) as caught:
        from_frame(frame)
    (violation,) = caught.value.violations
    return f"{violation.path}: {violation.problem}"


def test_names_and_types_are_one_to_one() -> None:
    assert list(EVENTS) == ["meta", "sources", "citations", "delta", "error", "done"]
    assert {NAMES[kind]: kind for kind in NAMES} == EVENTS


@pytest.mark.parametrize("name", EVENTS)
@quick(15)
@given(data=st.data())
def test_event_comes_back_from_the_wire(name: str, data: st.DataObject) -> None:
    event = decode(encoded(data.draw(legal(EVENTS[name]))), EVENTS[name])
    (frame,) = frames(to_wire(event))
    assert frame.event == name
    assert from_frame(frame) == event


def test_event_is_on_the_wire_as_the_page_says() -> None:
    assert to_wire(Delta("a\nb")) == b'event: delta\ndata: {"delta":"a\\nb"}\n\n'


@given(st.text())
def test_text_is_on_the_wire_as_the_codec_writes_it(text: str) -> None:
    assert to_wire(Delta(text)) == sse.encode("delta", encode(Delta(text)))


def test_longest_delta_fits_one_event() -> None:
    delta = Delta("\x01" * ANSWER_MAX_CHARS)
    (frame,) = frames(to_wire(delta))
    assert from_frame(frame) == delta


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (sse.Frame("ping", b"{}"), "$: not an event: 'ping'"),
        (sse.Frame("", b"{}"), "$: not an event: ''"),
        (sse.Frame("Meta", b"{}"), "$: not an event: 'Meta'"),
        (sse.Frame("delta", None), "$: `delta` must be one line of data and nothing else"),
        (
            sse.Frame("delta", b'{"delta":\n"x"}'),
            "$: `delta` must be one line of data and nothing else",
        ),
        (
            sse.Frame("delta", b'{"delta":"x"}', ((b"error", b"x"),)),
            "$: `delta` must be one line of data and nothing else",
        ),
        (sse.Frame("delta", b"{}"), "$.delta: required"),
        (sse.Frame("delta", b'{"delta":""}'), "$.delta: must not be empty"),
        (sse.Frame("delta", b'{"delta":"x","x":1}'), "$.x: unknown key"),
        (sse.Frame("sources", b"[]"), "$: expected an object, got an array"),
        (sse.Frame("citations", b'{"citations":[]}'), "$.citations: 0 items; 1 to 6 are allowed"),
    ],
)
def test_frame_is_refused_when_it_is_no_event(frame: sse.Frame, expected: str) -> None:
    assert problem(frame) == expected


@pytest.mark.parametrize("code", FALLBACKS)
@pytest.mark.parametrize("discard", [True, False])
def test_error_of_a_code_has_its_fixed_text(code: ReasonCode, discard: bool) -> None:
    event = failed(code, discard=discard)
    assert (event.message, event.message_key, event.discard) == (code.text, code.message, discard)
    (frame,) = frames(to_wire(event))
    assert from_frame(frame) == event


@pytest.mark.parametrize(
    ("event", "path"),
    [
        (Failed(ReasonCode.INPUT_INVALID, "x", MessageKey.REQUEST, False), "$.code"),
        (Failed(ReasonCode.CLIENT_TOO_SLOW, "x", MessageKey.REQUEST, False), "$.code"),
        (Failed(ReasonCode.HOP_TIMEOUT, "oh no", MessageKey.BUSY, False), "$.message"),
        (
            Failed(ReasonCode.HOP_TIMEOUT, ReasonCode.HOP_TIMEOUT.text, MessageKey.REQUEST, False),
            "$.message",
        ),
    ],
)
def test_error_is_neither_sent_nor_received_when_its_text_is_not_the_codes(
    event: Failed, path: str
) -> None:
    with pytest.raises(AssertionError):
        encode(event)
    told = {"code": event.code, "message": event.message, "message_key": event.message_key}
    with pytest.raises(ContractViolation) as caught:
        decode(encoded(told | {"discard": event.discard}), Failed)
    assert [violation.path for violation in caught.value.violations] == [path]


@pytest.mark.parametrize("code", [ReasonCode.CLIENT_DISCONNECTED, ReasonCode.INPUT_INVALID])
def test_code_that_no_answer_can_end_in_makes_no_error_event(code: ReasonCode) -> None:
    with pytest.raises(AssertionError):
        encode(failed(code, discard=False))
