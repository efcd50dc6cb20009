"""Waiting: how much of a call's time was somebody else's, on the virtual clock."""

import trio
from quart import Response
from trio.testing import MockClock

from contracts.chat import ChatRequest
from harness.hop_stage import ProbeSettings, chat, open_stage, probe
from hop.app import json_response
from hop.incoming import Call, Outcome, Received
from hop.waiting import begin, waiting


async def test_only_what_is_marked_is_waiting(autojump_clock: MockClock) -> None:
    waits = begin(trio.current_time)
    await trio.sleep(1)
    with waiting():
        await trio.sleep(2)
    assert waits.total_s == 2


async def test_waits_within_waits_count_once(autojump_clock: MockClock) -> None:
    waits = begin(trio.current_time)
    with waiting():
        await trio.sleep(1)
        with waiting():
            await trio.sleep(2)
        await trio.sleep(4)
    assert waits.total_s == 7


async def test_tasks_of_a_call_share_its_waiting_and_overlaps_count_once(
    autojump_clock: MockClock,
) -> None:
    waits = begin(trio.current_time)

    async def wait(from_s: float, to_s: float) -> None:
        await trio.sleep(from_s)
        with waiting():
            await trio.sleep(to_s - from_s)

    async with trio.open_nursery() as nursery:
        for times in ((0, 2), (1, 3), (5, 6)):
            nursery.start_soon(wait, *times)
    assert waits.total_s == 4


async def test_a_wait_that_is_cancelled_counts_until_then(autojump_clock: MockClock) -> None:
    waits = begin(trio.current_time)
    with trio.move_on_after(3), waiting():
        await trio.sleep_forever()
    await trio.sleep(1)
    assert waits.total_s == 3


async def test_waiting_outside_of_a_call_is_nobodys() -> None:
    with waiting():
        await trio.lowlevel.checkpoint()


async def test_a_calls_own_work_is_its_time_but_for_its_waiting(autojump_clock: MockClock) -> None:
    async def answer(call: Call, _: Received[ChatRequest]) -> Response:
        await trio.sleep(0.25)  # work, as far as anybody can tell
        with waiting():
            await trio.sleep(2)
        call.outcome = Outcome("ok", None)
        call.answer_told()
        return json_response(200, {})

    async with open_stage(ProbeSettings, probe(answer)) as stage:
        await stage.post(chat())
        assert stage.sample("bsl_overhead_seconds_sum") == 0.25
        assert stage.sample("bsl_request_duration_seconds_sum") == 2.25
