"""Slots and the queue before them, over the real app and the fake server, on virtual time.

What came of a call is the gateway's own HTTP; who was let through when is the fake's journal. A
slot that were lost would be missed by the next call: every test of leaving ends with one.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count, pairwise

import pytest
import trio
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from fakes.openai_compat_server import Behaviour, parse_latency
from harness.evidence import word_of
from harness.steps import CancelAfter
from harness.world import World, open_world
from hop.exchange import RequestBytes, ResponseBytes

URL = "http://llmgw/v1/generate"
CHUNK = {"chunk_id": "d#1", "content": "Run `dpkg -S filename` to find a file's package."}
BODY = {
    "messages": [{"role": "user", "content": "Which package does a file belong to?"}],
    "context": {"chunks": [CHUNK]},
}
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streaming"])
# One call at a time; the model takes a second for it.
ONE = {"LLM_MAX_CONCURRENCY": "1", "LLM_MAX_QUEUE": "1"}
A_SECOND = "ttft=1s,itl=0ms"


@asynccontextmanager
async def gateway(latency: str = A_SECOND, **environ: str) -> AsyncIterator[World]:
    behaviour = Behaviour(latency=parse_latency(latency))
    environ = {**ONE, **environ}
    async with open_world([], behaviour=behaviour, environ=environ, only=("model", "llmgw")) as it:
        yield it


@frozen
class Answer:
    """What a caller got, and when."""

    code: str
    status: int
    retry_after: str | None
    at: float


async def ask(world: World, stream: bool = False, deadline_ms: int = 15_000) -> Answer:
    """By streams of our own: those of httpx are generators, and one that is left stays open."""
    body = json.dumps({**BODY, "stream": stream}).encode()
    headers = {"content-type": "application/json", "x-deadline-ms": str(deadline_ms)}
    request = world.client.build_request("POST", URL, content=body, headers=headers)
    request.stream = RequestBytes(body)
    response = await world.client.send(request, stream=True)
    pieces, got = ResponseBytes(response), b""
    try:
        while (piece := await pieces.next()) is not None:
            got += piece
    finally:
        await pieces.aclose(0)
    word = word_of(response.status_code, dict(response.headers), got)
    retry_after = response.headers.get("retry-after")
    return Answer(word, response.status_code, retry_after, trio.current_time())


async def all_of(*calls: "Call") -> list[Answer]:
    """The answers of several calls, in the calls' order."""
    answers: dict[int, Answer] = {}

    async def one(number: int, call: Call) -> None:
        await trio.sleep(call.at_s)
        answers[number] = await ask(call.world, call.stream, call.deadline_ms)

    async with trio.open_nursery() as nursery:
        for number, call in enumerate(calls):
            nursery.start_soon(one, number, call)
    return [answers[number] for number in range(len(calls))]


@frozen
class Call:
    world: World
    at_s: float = 0.0
    stream: bool = False
    deadline_ms: int = 15_000


def gauge(world: World, name: str) -> float | None:
    registry = world.programs["llmgw"].program.metrics.registry
    return registry.get_sample_value(name, {"service": "llmgw"})


def phases(world: World) -> list[object]:
    return [line["phase"] for line in world.programs["llmgw"].ended()]


def most_at_once(world: World) -> int:
    """How many calls the model server had at the same time."""
    entries = world.fake.journal.entries
    changes = [(entry.began_at, 1) for entry in entries]
    changes += [(entry.ended_at or entry.client_left_at or 0.0, -1) for entry in entries]
    level = most = 0
    for _, change in sorted(changes):
        level += change
        most = max(most, level)
    return most


@BOTH
async def test_a_call_waits_for_a_slot_and_is_answered(
    stream: bool, autojump_clock: MockClock
) -> None:
    async with gateway() as world:
        first, second = await all_of(Call(world, stream=stream), Call(world, 0.1, stream))
        one, other = world.fake.journal.entries
    assert (first.code, second.code) == ("ok", "ok")
    assert other.began_at == pytest.approx(first.at), "at once when the slot is free"
    assert one.ended_at is not None
    assert other.began_at >= one.ended_at


@BOTH
async def test_who_comes_when_the_queue_is_full_is_turned_away_at_once(
    stream: bool, autojump_clock: MockClock
) -> None:
    async with gateway() as world:
        calls = [Call(world, 0.1 * n, stream) for n in range(3)]
        *served, refused = await all_of(*calls)
        assert len(world.fake.journal.entries) == 2
        assert phases(world)[0] == "receiving"
    assert [answer.code for answer in served] == ["ok", "ok"]
    assert (refused.code, refused.status, refused.retry_after) == ("ADMISSION_QUEUE_FULL", 503, "2")
    assert refused.at == pytest.approx(0.2)


@BOTH
async def test_who_waits_too_long_is_turned_away_before_any_event(
    stream: bool, autojump_clock: MockClock
) -> None:
    async with gateway("ttft=5s", LLM_QUEUE_TIMEOUT_MS="1500") as world:
        served, refused = await all_of(Call(world), Call(world, 0.5, stream))
        assert len(world.fake.journal.entries) == 1
        assert phases(world)[0] == "queue"
    assert served.code == "ok"
    assert (refused.code, refused.status) == ("ADMISSION_QUEUE_TIMEOUT", 503)
    assert refused.retry_after == "2", "a second and a half, in whole seconds"
    assert refused.at == pytest.approx(2.0)


@BOTH
async def test_the_queue_speaks_when_the_callers_time_ends_in_it(
    stream: bool, autojump_clock: MockClock
) -> None:
    async with gateway() as world:
        _, refused = await all_of(Call(world), Call(world, 0.1, stream, deadline_ms=300))
    assert refused.code == "ADMISSION_QUEUE_TIMEOUT"
    assert refused.at == pytest.approx(0.4)


async def test_no_place_in_the_queue_means_a_slot_or_nothing(autojump_clock: MockClock) -> None:
    async with gateway(LLM_MAX_QUEUE="0") as world:
        first, second, third = await all_of(Call(world), Call(world, 0.5), Call(world, 2.0))
    assert [first.code, second.code, third.code] == ["ok", "ADMISSION_QUEUE_FULL", "ok"]


async def test_nobody_is_overtaken(autojump_clock: MockClock) -> None:
    environ = {"LLM_MAX_QUEUE": "9", "LLM_QUEUE_TIMEOUT_MS": "12000"}
    async with gateway(**environ) as world:
        answers = await all_of(*(Call(world, 0.01 * n) for n in range(5)))
    assert {answer.code for answer in answers} == {"ok"}
    times = [answer.at for answer in answers]
    assert times == sorted(times)
    assert min(b - a for a, b in pairwise(times)) > 0.5, "one after another"


async def test_what_is_held_and_who_waits_shows_in_the_figures(autojump_clock: MockClock) -> None:
    async with gateway() as world, trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(ask, world)
        await trio.sleep(0.5)
        assert (gauge(world, "bsl_slots_taken"), gauge(world, "bsl_queue_length")) == (1.0, 1.0)
        ready = (await world.client.get("http://llmgw/ready")).json()
        assert ready["checks"]["slots"] == {"ok": True, "detail": "1 of 1 slots taken, 1 waiting"}
        await trio.sleep(5)
        assert (gauge(world, "bsl_slots_taken"), gauge(world, "bsl_queue_length")) == (0.0, 0.0)


async def test_a_drain_ends_who_waits(autojump_clock: MockClock) -> None:
    async with gateway("ttft=9s", LLM_QUEUE_TIMEOUT_MS="9000") as world:

        async def stop() -> None:
            await trio.sleep(0.2)
            world.programs["llmgw"].stop.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop)
            answers = await all_of(Call(world), Call(world, 0.1))
    assert [answer.code for answer in answers] == ["ADMISSION_SHUTTING_DOWN"] * 2
    assert [answer.at for answer in answers] == pytest.approx([3.2, 3.2])


@pytest.mark.parametrize("failing", ["status-500", "silence", "close-mid-stream", "invalid-json"])
@BOTH
async def test_a_slot_is_free_again_however_its_call_ends(
    stream: bool, failing: str, autojump_clock: MockClock
) -> None:
    behaviour = Behaviour(scenario=failing)
    environ = {**ONE, "LLM_MAX_ATTEMPTS": "1"}
    async with open_world(
        [], behaviour=behaviour, environ=environ, only=("model", "llmgw")
    ) as world:
        assert (await ask(world, stream)).code != "ok"
        assert gauge(world, "bsl_slots_taken") == 0.0


@pytest.mark.parametrize("leavers", ["first", "second", "first, second"])
@BOTH
async def test_a_client_that_leaves_at_any_step_loses_no_slot(
    stream: bool, leavers: str, autojump_clock: MockClock
) -> None:
    """In the queue, at the hand-over, with the slot: between any two wake-ups of all tasks."""
    # In few steps: the model's answer comes in one piece.
    environ = {"LLM_MAX_QUEUE": "9", "LLM_QUEUE_TIMEOUT_MS": "400", "LLM_STREAM_ENABLED": "false"}
    async with gateway("ttft=60ms,itl=0ms", **environ) as world:
        for step in count(1):
            stayed, left = await _left_at(world, step, stream, leavers)
            if not left:
                break
            await trio.sleep(0.001)
            held = gauge(world, "bsl_slots_taken"), gauge(world, "bsl_queue_length")
            assert (held, world.busy_connections()) == ((0, 0), 0), f"left at step {step}"
            assert set(stayed) <= {"ok"}, f"left at step {step}"
        assert step > 50, "it was answered before it could be left"
        assert (await ask(world)).code == "ok"


async def _left_at(
    world: World, step: int, stream: bool, leavers: str
) -> tuple[Sequence[str], bool]:
    """Two calls for one slot: what came of whoever stayed, and whether there was one to leave."""
    ends: list[str] = []

    async def come(at_s: float) -> None:
        await trio.sleep(at_s)
        ends.append((await ask(world, stream)).code)

    async with trio.open_nursery() as staying:
        with trio.CancelScope() as patience:
            leaving = CancelAfter(step, patience)
            trio.lowlevel.add_instrument(leaving)
            async with trio.open_nursery() as going:
                for number, name in enumerate(("first", "second")):
                    nursery = going if name in leavers else staying
                    nursery.start_soon(come, number / 100)
        trio.lowlevel.remove_instrument(leaving)
    return ends, patience.cancelled_caught


@settings(max_examples=30, deadline=None)
@given(
    slots=st.integers(1, 3),
    places=st.integers(0, 3),
    comings=st.lists(
        st.tuples(st.sampled_from([0.0, 0.1, 0.3, 1.0]), st.sampled_from([None, 0.0, 0.3, 1.0])),
        max_size=9,
    ),
)
def test_the_caps_hold_whoever_comes_and_leaves_when(
    slots: int, places: int, comings: Sequence[tuple[float, float | None]]
) -> None:
    async def play() -> None:
        environ = {"LLM_MAX_CONCURRENCY": str(slots), "LLM_MAX_QUEUE": str(places)}
        async with gateway("ttft=700ms,itl=0ms", **environ) as world:
            ends: list[str] = []

            async def come(at_s: float, stays_s: float | None) -> None:
                await trio.sleep(at_s)
                with trio.move_on_after(float("inf") if stays_s is None else stays_s):
                    ends.append((await ask(world)).code)

            async with trio.open_nursery() as nursery:
                for at_s, stays_s in comings:
                    nursery.start_soon(come, at_s, stays_s)
            assert most_at_once(world) <= slots
            assert set(ends) <= {"ok", "ADMISSION_QUEUE_FULL", "ADMISSION_QUEUE_TIMEOUT"}
            if len(comings) <= slots + places <= 3 * slots:
                assert "ADMISSION_QUEUE_FULL" not in ends
            await trio.sleep(0.01)
            assert (gauge(world, "bsl_slots_taken"), gauge(world, "bsl_queue_length")) == (0, 0)
            assert (await ask(world)).code == "ok"

    trio.run(play, clock=MockClock(autojump_threshold=0))
