"""Goal: a spoilt stream is taken, refused or found cut exactly where its operator says.

Method: every operator over a stream that ends well and one that fails after text, cited and not, to
the BFF and to QS alone. The client gets the events that stand, each as it was sent, and the end
that is owed. What an event says in JSON is spoilt in the same way, where the reader reads it.
"""

from collections.abc import Sequence

import pytest
from trio.testing import MockClock

from contracts.events import EVENTS
from contracts.order import Step
from contracts.reasons import ReasonCode
from harness.alone import FELL_BACK, HOPS, OK, Ending, Hop, ask, frame, good_stream, open_alone
from harness.hop_stage import Stage, Upstream
from harness.malformed import OPERATORS, Operator, Spoilt
from harness.malformed_streams import (
    ORDERS,
    STREAM_OPERATORS,
    Frames,
    Says,
    SpoiltStream,
    StreamOperator,
)
from harness.order_breaks import frames, telling
from harness.wire_schemas import events_of, streamed

# Text that stands and text that is withdrawn; uncited, an answer that failed before any.
ENDINGS = (OK, FELL_BACK)
UNCITED = {
    OK: [Step.META, Step.DELTA, Step.DELTA, Step.DONE_OK],
    FELL_BACK: [Step.META, Step.ERROR, Step.DONE_FALLBACK],
}
# The BFF passes the data of other events as it came: QS has proved it.
READ = {
    "bff": {"meta", "error", "done"},
    "qs": {"meta", "citations", "delta", "error", "done"},
}


def good_frames(hop: Hop, ending: Ending, *, cited: bool) -> Frames:
    if cited:
        return [frame(name, data) for name, data in good_stream(hop, ending)]
    return frames(UNCITED[ending], cited=False)


# What a lone event is does not hang on whether text is cited; where it stands does.
SPOILING = [
    *(pytest.param(one, True, id=f"{one.name}-cited") for one in STREAM_OPERATORS),
    *(pytest.param(one, False, id=f"{one.name}-uncited") for one in ORDERS),
]


async def received(stage: Stage, upstream: Upstream, writes: Sequence[bytes], cited: bool) -> bytes:
    """What the client gets when the next hop writes this."""
    upstream.play = telling(writes, bytearray())
    response = await stage.post(ask(cited=cited), "/chat?stream=true")
    assert response.status_code == 200, response.text
    return response.content


def expected_code(spoilt: SpoiltStream) -> str | None:
    """The code a stream ends in: the first cause, then what the receiver says."""
    if codes := said(spoilt.kept, "error", "code"):
        return str(codes[0])
    if spoilt.says is Says.SAME:
        return None
    cut = spoilt.says is Says.CUT
    return ReasonCode.HOP_DISCONNECTED if cut else ReasonCode.HOP_PROTOCOL_ERROR


def expected_names(spoilt: SpoiltStream, hop: Hop) -> list[str]:
    """The reader's own first events, those that stand, and the end that is owed: no other."""
    own = {"bff": ["meta"], "qs": ["meta", "sources"]}[hop]
    standing = [name for name, _ in events_of(b"".join(spoilt.kept))][1:]
    owed = (
        [] if spoilt.says is Says.SAME else ["done"] if "error" in standing else ["error", "done"]
    )
    return [*own, *standing, *owed]


def assert_ended(content: bytes, spoilt: SpoiltStream, hop: Hop, *, cited: bool) -> None:
    events = streamed(content, cited=cited)
    if hop == "bff" and spoilt.kept:
        assert content.startswith(b"".join(spoilt.kept)), spoilt
    assert [name for name, _ in events] == expected_names(spoilt, hop), spoilt
    texts = [data["delta"] for name, data in events if name == "delta"]
    assert texts == said(spoilt.kept, "delta", "delta"), spoilt
    assert events[-1][1]["reason_code"] == expected_code(spoilt), spoilt
    failures = [data for name, data in events if name == "error"]
    assert all(data["discard"] is bool(texts) for data in failures)


def said(kept: Sequence[bytes], name: str, key: str) -> list[object]:
    """What the kept events of this name say."""
    return [data[key] for event, data in events_of(b"".join(kept)) if event == name]


@pytest.mark.parametrize("hop", HOPS)
@pytest.mark.parametrize(("operator", "cited"), SPOILING)
async def test_a_spoilt_stream_ends_as_it_must(
    autojump_clock: MockClock, hop: Hop, operator: StreamOperator, cited: bool
) -> None:
    upstream = Upstream(telling([], bytearray()))
    spoilt = [
        one
        for ending in ENDINGS
        for one in operator.spoil(good_frames(hop, ending, cited=cited), cited)
    ]
    assert spoilt or (operator.name, cited) == ("no discard", False)
    async with open_alone(hop, upstream) as stage:
        for one in spoilt:
            assert_ended(await received(stage, upstream, one.writes, cited), one, hop, cited=cited)
        await stage.at_rest()


def _spoilt(good: Frames, i: int, name: str, made: Spoilt) -> SpoiltStream:
    """The stream with other data in one event."""
    lines = made.body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    written = b"event: %b\n" % name.encode() + b"".join(b"data: %b\n" % line for line in lines)
    writes = (*good[:i], written + b"\n", *good[i + 1 :])
    if made.harmless and len(lines) == 1:
        return SpoiltStream(writes, writes, Says.SAME)
    return SpoiltStream(writes, tuple(good[:i]), Says.REFUSED)


def spoilt_data(operator: Operator, hop: Hop) -> list[SpoiltStream]:
    """Each stream in which the operator spoils what one event says, where the reader reads it."""
    found = []
    for ending in ENDINGS:
        events = good_stream(hop, ending)
        good = [frame(name, data) for name, data in events]
        for i, (name, data) in enumerate(events):
            if name in READ[hop]:
                made = operator.spoil(EVENTS[name], data)
                found += [_spoilt(good, i, name, one) for one in made]
    return found


SPOILT_DATA = {
    f"{operator.name}-{hop}": (hop, found)
    for operator in OPERATORS
    for hop in HOPS
    if (found := spoilt_data(operator, hop))
}


@pytest.mark.parametrize("name", SPOILT_DATA)
async def test_spoilt_data_of_an_event_is_refused_where_it_is_read(
    autojump_clock: MockClock, name: str
) -> None:
    hop, spoilt = SPOILT_DATA[name]
    upstream = Upstream(telling([], bytearray()))
    async with open_alone(hop, upstream) as stage:
        for one in spoilt:
            assert_ended(await received(stage, upstream, one.writes, True), one, hop, cited=True)
        await stage.at_rest()
