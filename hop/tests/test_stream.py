"""An answer's events on their way out: a legal order and one `done`, whatever befalls them."""

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import pairwise

import pytest
import trio
from quart import Response
from trio.testing import MockClock

from contracts.chat import ChatRequest, ChatResponse, Citation, Source
from contracts.codec import decode, encode
from contracts.events import (
    NAMES,
    CitationsProved,
    Delta,
    Done,
    Failed,
    SourcesFound,
    StreamEvent,
)
from contracts.order import State, StreamOrder
from contracts.reasons import ReasonCode
from harness.hop_stage import ProbeSettings, Stage, chat, events_in, open_stage, probe
from hop.app import Answer, body_response
from hop.chat_body import chat_response
from hop.incoming import Call, Received
from hop.stream import Collector, EventSink, Produce, collected, streamed

ASK = (
    b"POST /chat HTTP/1.1\r\nhost: hop\r\ncontent-type: application/json\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(chat()), chat())
)
SOURCES = SourcesFound((Source("d#1", "d", "T", None, "…", 0.5),))
CITATIONS = CitationsProved((Citation("d#1", "c1", "T", None),))
Act = Callable[[EventSink], Awaitable[None]]


def telling(produce: Produce, *, required: bool = True) -> Answer[ChatRequest]:
    """Answer with what a producer tells: streamed, or whole where the query says `stream=false`."""

    async def answer(call: Call, received: Received[ChatRequest]) -> Response:
        call.phase = "telling"
        call.due(600_000)
        if "false" in call.request.args.getlist("stream"):
            collector = await collected(call, produce, citations_required=required)
            return body_response(encode(chat_response(collector)), call.ids)
        return await streamed(call, produce, citations_required=required)

    return answer


async def told(produce: Produce) -> tuple[list[StreamEvent], Stage]:
    """The events that a client sees of a producer, held to the one order."""
    async with open_stage(ProbeSettings, probe(telling(produce))) as stage:
        events = await stage.events(chat())
        await stage.at_rest()
    assert_legal(events)
    return events, stage


def assert_legal(events: list[StreamEvent]) -> None:
    order = StreamOrder(citations_required=True)
    for event in events:
        order.advance(event)
    assert order.state is State.CLOSED, "the last event is `done`"


def names(events: list[StreamEvent]) -> list[str]:
    return [NAMES[type(event)] for event in events]


def last(events: list[StreamEvent]) -> Done:
    assert isinstance(events[-1], Done)
    return events[-1]


# Producers, in the steps of a whole answer.


async def opened(sink: EventSink) -> None:
    await sink.begin()


async def searched(sink: EventSink) -> None:
    await opened(sink)
    await sink.emit(SOURCES)


async def proved(sink: EventSink) -> None:
    await searched(sink)
    await sink.emit(CITATIONS)


async def answering(sink: EventSink) -> None:
    await proved(sink)
    await sink.emit(Delta("one"))


async def errored(sink: EventSink) -> None:
    await answering(sink)
    await sink.error(ReasonCode.PROVIDER_TIMEOUT)


async def finished(sink: EventSink) -> None:
    await answering(sink)
    await sink.done("m", None)


async def nothing(_: EventSink) -> None:
    await trio.lowlevel.checkpoint()


STEPS: list[Act] = [nothing, opened, searched, proved, answering]


async def test_a_whole_answer_is_told_as_it_is(autojump_clock: MockClock) -> None:
    events, stage = await told(finished)
    assert names(events) == ["meta", "sources", "citations", "delta", "done"]
    assert (last(events).status, last(events).citations) == ("ok", CITATIONS.citations)
    assert stage.ended() == [("ok", None, "telling")]


# A producer that fails, leaves off, or breaks the order.


async def raises(_: EventSink) -> None:
    raise RuntimeError("secret cause")


async def raises_in_a_nursery(sink: EventSink) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(raises, sink)
        await trio.sleep_forever()


async def begins_twice(sink: EventSink) -> None:
    await sink.begin()
    await sink.begin()


async def ends_too_early(sink: EventSink) -> None:
    """`done ok` with nothing before it."""
    if sink.opened:
        await sink.begin()
    await sink.done("m", None)


async def sends_nan(sink: EventSink) -> None:
    if not sink.opened:
        await sink.begin()
    await sink.emit(SourcesFound((Source("d#1", "d", "T", None, "…", float("nan")),)))


async def sends_half_a_character(sink: EventSink) -> None:
    if not sink.opened:
        await sink.begin()
    await sink.emit(Delta("\ud800"))


MISTAKES: list[Act] = [
    raises,
    raises_in_a_nursery,
    begins_twice,
    ends_too_early,
    sends_nan,
    sends_half_a_character,
]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_producers_mistake_becomes_one_error_and_one_done(
    autojump_clock: MockClock, step: Act, mistake: Act
) -> None:
    async def produce(sink: EventSink) -> None:
        await step(sink)
        await mistake(sink)

    events, stage = await told(produce)
    assert names(events)[-2:] == ["error", "done"]
    assert last(events).reason_code is ReasonCode.INTERNAL_ERROR
    failed = events[-2]
    assert isinstance(failed, Failed)
    assert failed.discard is (step is answering)
    assert stage.ended() == [("fallback", "INTERNAL_ERROR", "telling")]
    (unforeseen,) = [line for line in stage.lines() if line["level"] == "error"]
    assert "Traceback" in str(unforeseen["exception"])
    assert "secret" not in str(events)


@pytest.mark.parametrize("step", STEPS)
async def test_a_producer_that_leaves_off_is_ended(autojump_clock: MockClock, step: Act) -> None:
    events, stage = await told(step)
    assert last(events).reason_code is ReasonCode.INTERNAL_ERROR
    assert any(line["level"] == "error" for line in stage.lines()), "our mistake is logged"


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_the_first_cause_wins_over_a_later_mistake(
    autojump_clock: MockClock, mistake: Act
) -> None:
    async def produce(sink: EventSink) -> None:
        await errored(sink)
        await mistake(sink)

    events, _ = await told(produce)
    assert names(events).count("error") == 1
    assert last(events).reason_code is ReasonCode.PROVIDER_TIMEOUT


@pytest.mark.parametrize("mistake", [raises, finished, errored, begins_twice])
async def test_nothing_follows_done(autojump_clock: MockClock, mistake: Act) -> None:
    async def produce(sink: EventSink) -> None:
        await finished(sink)
        await mistake(sink)

    events, stage = await told(produce)
    assert last(events).status == "ok"
    assert names(events).count("done") == 1
    assert stage.ended() == [("ok", None, "telling")]


@pytest.mark.parametrize("mistake", [*MISTAKES, nothing])
async def test_a_producers_mistake_in_a_plain_call_is_500(
    autojump_clock: MockClock, mistake: Act
) -> None:
    async def produce(sink: EventSink) -> None:
        await answering(sink)
        await mistake(sink)

    async with open_stage(ProbeSettings, probe(telling(produce))) as stage:
        response = await stage.post(chat(), "/chat?stream=false")
        await stage.at_rest()
    assert response.status_code == 500
    assert stage.ended() == [("error", "INTERNAL_ERROR", "telling")]


async def test_a_plain_fallback_keeps_nothing_the_model_wrote(autojump_clock: MockClock) -> None:
    async def produce(sink: EventSink) -> None:
        await answering(sink)
        await sink.fail(ReasonCode.OUTPUT_TRUNCATED, retry_after_ms=7, model="m")

    async with open_stage(ProbeSettings, probe(telling(produce))) as stage:
        response = await stage.post(chat(), "/chat?stream=false")
    body = decode(response.content, ChatResponse)
    assert (body.status, body.reason_code) == ("fallback", "OUTPUT_TRUNCATED")
    assert body.answer.content == ReasonCode.OUTPUT_TRUNCATED.text
    assert (body.citations, body.sources) == ((), SOURCES.sources)
    assert (body.retry_after_ms, body.model) == (7, "m")
    assert stage.ended() == [("fallback", "OUTPUT_TRUNCATED", "telling")]


async def test_a_collector_keeps_no_text_that_was_withdrawn(autojump_clock: MockClock) -> None:
    kept: list[str] = []

    async def produce(sink: EventSink) -> None:
        assert isinstance(sink, Collector)
        await answering(sink)
        kept.append(sink.text)
        await sink.fail(ReasonCode.OUTPUT_TRUNCATED)
        kept.append(sink.text)

    async with open_stage(ProbeSettings, probe(telling(produce))) as stage:
        await stage.post(chat(), "/chat?stream=false")
    assert kept == ["one", ""]


# Heartbeats.


async def test_silence_is_never_longer_than_ten_seconds(autojump_clock: MockClock) -> None:
    async def produce(sink: EventSink) -> None:
        await trio.sleep(25)
        await answering(sink)
        await trio.sleep(59)
        await sink.done("m", None)

    times = [0.0]
    async with open_stage(ProbeSettings, probe(telling(produce))) as stage:
        stream = await stage.dial(ASK)
        answer = b""
        while data := await stream.receive_some():
            times.append(trio.current_time())
            answer += data
        await stream.aclose()
    assert max(b - a for a, b in pairwise(times)) <= 10
    assert answer.count(b": heartbeat") >= 7
    assert answer.count(b"event: done") == 1


async def test_a_stream_that_speaks_has_no_heartbeat(autojump_clock: MockClock) -> None:
    async def produce(sink: EventSink) -> None:
        await proved(sink)
        for _ in range(10):
            await trio.sleep(4)
            await sink.emit(Delta("text"))
        await sink.done("m", None)

    async with open_stage(ProbeSettings, probe(telling(produce))) as stage:
        stream = await stage.dial(ASK)
        answer = b""
        while data := await stream.receive_some():
            answer += data
        await stream.aclose()
    assert answer.count(b"event: delta") == 10
    assert b": heartbeat" not in answer


# Draining.


@pytest.mark.parametrize("step", STEPS)
async def test_a_live_stream_ends_by_itself_when_a_drain_is_over(
    autojump_clock: MockClock, step: Act
) -> None:
    async def produce(sink: EventSink) -> None:
        await step(sink)
        await trio.sleep_forever()

    async with open_stage(ProbeSettings, probe(telling(produce))) as stage:
        trio.lowlevel.spawn_system_task(stop_after, stage, 1.0)
        events = await stage.events(chat())
        ended_at = trio.current_time()
        await stage.stopped.wait()
        gone_at = trio.current_time()
        await stage.at_rest()
    assert_legal(events)
    assert last(events).reason_code is ReasonCode.ADMISSION_SHUTTING_DOWN
    assert ended_at == pytest.approx(4.0)
    assert gone_at < 6.0
    assert stage.ended() == [("fallback", "ADMISSION_SHUTTING_DOWN", "telling")]


async def stop_after(stage: Stage, seconds: float) -> None:
    await trio.sleep(seconds)
    stage.stop.set()


async def test_a_plain_call_is_503_when_a_drain_is_over(autojump_clock: MockClock) -> None:
    async def produce(sink: EventSink) -> None:
        await answering(sink)
        await trio.sleep_forever()

    async with open_stage(ProbeSettings, probe(telling(produce))) as stage:
        trio.lowlevel.spawn_system_task(stop_after, stage, 1.0)
        response = await stage.post(chat(), "/chat?stream=false")
        took = trio.current_time()
        await stage.at_rest()
    assert response.status_code == 503
    assert took == pytest.approx(4.0)
    assert response.json()["error"]["code"] == "ADMISSION_SHUTTING_DOWN"
    assert stage.ended() == [("error", "ADMISSION_SHUTTING_DOWN", "telling")]


async def test_a_producer_that_fails_as_the_drain_cancels_it_still_ends_in_done(
    autojump_clock: MockClock,
) -> None:
    async def produce(sink: EventSink) -> None:
        async def cleanup_fails() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise RuntimeError("cleanup")

        await answering(sink)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cleanup_fails)
            nursery.start_soon(trio.sleep_forever)

    async with open_stage(ProbeSettings, probe(telling(produce))) as stage:
        trio.lowlevel.spawn_system_task(stop_after, stage, 1.0)
        events = await stage.events(chat())
    assert_legal(events)
    assert last(events).status == "fallback"


# A client that reads late: what was not sent is not counted as sent.

BIG = Delta("x" * 8_000)


async def talkative(sink: EventSink, *, deltas: int, end: Act) -> None:
    await proved(sink)
    for _ in range(deltas):
        await sink.emit(BIG)
    await end(sink)


async def well(sink: EventSink) -> None:
    await sink.done("m", None)


async def badly(sink: EventSink) -> None:
    await sink.fail(ReasonCode.PROVIDER_TIMEOUT)


@pytest.mark.parametrize("end", [well, badly])
@pytest.mark.parametrize("deltas", range(24, 40))
async def test_the_order_holds_when_a_drain_cancels_a_blocked_event(
    autojump_clock: MockClock, deltas: int, end: Act
) -> None:
    produce = partial(talkative, deltas=deltas, end=end)
    async with open_stage(ProbeSettings, probe(telling(produce))) as stage:
        trio.lowlevel.spawn_system_task(stop_after, stage, 1.0)
        stream = await stage.dial(ASK)
        await trio.sleep(4.5)
        answer = await read_all(stream)
        await stream.aclose()
    assert_legal(events_in(answer))


@pytest.mark.parametrize("deltas", range(24, 40))
async def test_the_order_holds_when_a_producers_own_limit_cancels_a_blocked_event(
    autojump_clock: MockClock, deltas: int
) -> None:
    async def produce(sink: EventSink) -> None:
        with trio.move_on_after(3) as limit:
            await talkative(sink, deltas=deltas, end=well)
        if limit.cancelled_caught:
            await sink.fail(ReasonCode.HOP_TIMEOUT)

    async with open_stage(ProbeSettings, probe(telling(produce))) as stage:
        stream = await stage.dial(ASK)
        await trio.sleep(4)
        answer = await read_all(stream)
        await stream.aclose()
    events = events_in(answer)
    assert_legal(events)
    assert last(events).reason_code in (None, ReasonCode.HOP_TIMEOUT)


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    """An answer's body, its chunks joined."""
    answer = b"".join([data async for data in stream])
    _, _, body = answer.partition(b"\r\n\r\n")
    joined = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        joined, body = joined + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return joined


# Clients that leave.


async def endless(sink: EventSink) -> None:
    await proved(sink)
    while True:
        await sink.emit(BIG)
        await trio.sleep(0.01)


async def test_a_client_that_stops_reading_is_too_slow(autojump_clock: MockClock) -> None:
    async with open_stage(ProbeSettings, probe(telling(endless))) as stage:
        stream = await stage.dial(ASK)
        await trio.sleep(11)
        ended = stage.ended()
        await stream.aclose()
        await stage.at_rest()
    assert ended == [("gone", "CLIENT_TOO_SLOW", "telling")]
    assert stage.sample("bsl_requests_total", status="gone", reason_code="CLIENT_TOO_SLOW") == 1


async def test_a_client_that_stops_reading_before_done_is_too_slow(
    autojump_clock: MockClock,
) -> None:
    produce = partial(talkative, deltas=8, end=well)
    async with open_stage(ProbeSettings, probe(telling(produce))) as stage:
        stream = await stage.dial(ASK)
        await trio.sleep(11)
        ended = stage.ended()
        await stream.aclose()
    assert ended in ([("gone", "CLIENT_TOO_SLOW", "telling")], [("ok", None, "telling")])
    assert stage.sample("bsl_in_flight_calls") == 0


@pytest.mark.parametrize("step", STEPS)
async def test_a_client_that_leaves_cancels_the_producer_at_once(
    autojump_clock: MockClock, step: Act
) -> None:
    cancelled: list[float] = []

    async def produce(sink: EventSink) -> None:
        await step(sink)
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(trio.current_time())

    async with open_stage(ProbeSettings, probe(telling(produce))) as stage:
        stream = await stage.dial(ASK)
        await trio.sleep(3.3)
        await stream.aclose()
        await stage.at_rest()
    assert cancelled == [pytest.approx(3.3)]
    assert stage.ended() == [("gone", "CLIENT_DISCONNECTED", "telling")]


async def test_a_client_that_leaves_a_plain_call_cancels_the_producer(
    autojump_clock: MockClock,
) -> None:
    async def produce(sink: EventSink) -> None:
        await answering(sink)
        await trio.sleep_forever()

    async with open_stage(ProbeSettings, probe(telling(produce))) as stage:
        with trio.move_on_after(2):
            await stage.post(chat(), "/chat?stream=false")
        await stage.at_rest()
    assert stage.ended() == [("gone", "CLIENT_DISCONNECTED", "telling")]


async def test_the_head_and_the_first_text_are_on_time(autojump_clock: MockClock) -> None:
    async def produce(sink: EventSink) -> None:
        await proved(sink)
        await trio.sleep(2)
        await sink.emit(Delta("one"))
        await trio.sleep(2)
        await sink.done("m", None)

    async with open_stage(ProbeSettings, probe(telling(produce))) as stage:
        headers = {"content-type": "application/json"}
        asking = stage.client.stream("POST", "http://hop/chat", content=chat(), headers=headers)
        async with asking as response:
            head_at = trio.current_time()
            body = await response.aread()
        (line,) = stage.lines()
        observed = stage.sample("bsl_time_to_first_delta_seconds_sum")
    assert head_at == 0.0
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert "x-request-id" in response.headers
    assert last(events_in(body)).timings_ms == {"first_delta": 2_000, "total": 4_000}
    assert (line["ttft_ms"], line["duration_ms"], observed) == (2_000, 4_000, 2.0)


async def test_gaps_between_texts_are_observed(autojump_clock: MockClock) -> None:
    async def produce(sink: EventSink) -> None:
        await proved(sink)
        for pause_s in (3.0, 0.5, 1.0):
            await trio.sleep(pause_s)
            await sink.emit(Delta("text"))
        await trio.sleep(4)
        await sink.done("m", None)

    async with open_stage(ProbeSettings, probe(telling(produce))) as stage:
        await stage.events(chat())
        assert stage.sample("bsl_delta_gap_seconds_count") == 2
        assert stage.sample("bsl_delta_gap_seconds_sum") == 1.5


async def test_what_was_told_together_leaves_in_one_piece(autojump_clock: MockClock) -> None:
    """But the first text, alone; and what is told later is not waited for."""

    async def produce(sink: EventSink) -> None:
        await proved(sink)
        for _ in range(2):
            await trio.sleep(1)
            for word in ("one", "two", "three"):
                await sink.emit(Delta(word))
        await trio.sleep(1)
        await sink.done("m", None)

    pieces: list[tuple[float, bytes]] = []
    async with open_stage(ProbeSettings, probe(telling(produce))) as stage:
        headers = {"content-type": "application/json"}
        asking = stage.client.stream("POST", "http://hop/chat", content=chat(), headers=headers)
        async with asking as response:
            async for piece in response.aiter_raw():
                pieces.append((trio.current_time(), piece))
    told = [(at, names(events_in(piece))) for at, piece in pieces]
    assert told == [
        (0.0, ["meta", "sources", "citations"]),
        (1.0, ["delta"]),
        (1.0, ["delta", "delta"]),
        (2.0, ["delta", "delta", "delta"]),
        (3.0, ["done"]),
    ]
