"""Draining on a virtual clock: notice 0.5 s, drain 3 s, flush 1 s after the stop, exactly."""

import pytest
import trio
import trio.testing

from harness.net import MemoryNetwork
from harness.serving_stage import ROUTES, Clock, Stage, get, post, read_all, read_until, status
from hop.serve import Drain, Limits


@pytest.fixture
def stage(nursery: trio.Nursery) -> Stage:
    return Stage(MemoryNetwork(nursery), Limits())


async def stop_at(stage: Stage, seconds: float) -> None:
    await trio.sleep(seconds)
    stage.started = trio.current_time()
    stage.stop.set()


async def drained(stage: Stage) -> float:
    """When `serve` returned, counted from the stop."""
    await stage.gone.wait()
    assert stage.held == 0
    assert stage.errors == []
    return stage.now()


async def test_server_is_gone_after_notice_when_it_is_idle(
    stage: Stage, autojump_clock: Clock
) -> None:
    silent = await stage.dial()
    reused = await stage.dial(get("/ok"))
    streamed = await stage.dial(get("/stream?n=1&gap=0"))
    await stop_at(stage, 1)
    assert await drained(stage) == 0.5
    for stream in (silent, reused, streamed):
        await read_all(stream)
        await stream.aclose()
    assert stage.network.links == []


async def test_running_answers_end_well_when_they_end_within_the_drain(
    stage: Stage, autojump_clock: Clock
) -> None:
    stream = await stage.dial(get("/stream?n=10&gap=.2"))
    plain = await stage.dial(get("/plain?s=3"))
    await stop_at(stage, 1)
    assert (await read_all(stream)).endswith(b"4\r\ndone\r\n0\r\n\r\n")
    assert stage.now() == 1.0
    assert status(await read_all(plain)) == 200
    assert await drained(stage) == 2.0


async def test_live_answers_are_ended_by_the_app_when_the_drain_is_over(
    stage: Stage, autojump_clock: Clock
) -> None:
    stream = await stage.dial(get("/stream?n=1000&gap=.2"))
    plain = await stage.dial(get("/plain?s=100"))
    await stop_at(stage, 1)
    assert (await read_all(stream)).endswith(b"error done\r\n0\r\n\r\n")
    assert stage.now() == 3.0
    answer = await read_all(plain)
    assert status(answer) == 503
    assert b"connection: close" in answer
    assert await drained(stage) == 3.0


async def test_new_calls_are_refused_by_the_app_then_by_the_network_when_draining(
    stage: Stage, autojump_clock: Clock
) -> None:
    kept = await stage.dial(get("/ok"))
    assert status(await read_until(kept, b"}")) == 200
    running = await stage.dial(get("/plain?s=1.5"))
    await stop_at(stage, 0.25)
    await trio.sleep(0.499)
    await kept.send_all(get("/ok"))
    fresh = await stage.dial(get("/ok"))
    for stream in (kept, fresh):
        answer = await read_all(stream)
        assert status(answer) == 503
        assert b"connection: close" in answer
    assert stage.now() == 0.499
    await trio.sleep(0.002)
    with pytest.raises(ConnectionRefusedError):
        await stage.dial()
    assert status(await read_all(running)) == 200
    assert await drained(stage) == 1.25


async def test_work_begun_during_notice_gets_the_same_deadline_when_draining(
    stage: Stage, autojump_clock: Clock
) -> None:
    await stop_at(stage, 1)
    await trio.sleep(0.25)
    stream = await stage.dial(get("/stream?n=1000&gap=1"))
    assert (await read_all(stream)).endswith(b"error done\r\n0\r\n\r\n")
    assert await drained(stage) == 3.0


async def test_slow_head_is_closed_after_notice_when_draining(
    stage: Stage, autojump_clock: Clock
) -> None:
    stream = await stage.dial(b"GET /ok HTTP/1.1\r\nho")
    await stop_at(stage, 1)
    assert status(await read_all(stream)) == 408
    assert await drained(stage) == 0.5


async def test_stalled_reader_is_cut_after_the_flush_when_draining(
    stage: Stage, autojump_clock: Clock
) -> None:
    await stage.dial(get("/stream?n=1000&gap=0&size=5000"))
    await stop_at(stage, 1)
    assert await drained(stage) == 4.0
    assert stage.ends == [("cut", 4.0)]


async def test_handler_outside_the_drain_is_cut_after_the_flush_when_draining(
    stage: Stage, autojump_clock: Clock
) -> None:
    stream = await stage.dial(get("/deaf"))
    await stop_at(stage, 1)
    assert await read_all(stream) == b""
    assert await drained(stage) == 4.25, "its bounded cleanup is waited for"


async def test_half_body_is_cut_after_the_flush_when_draining(
    stage: Stage, autojump_clock: Clock
) -> None:
    await stage.dial(post("/echo", b"x", announced=2))
    await stop_at(stage, 1)
    assert await drained(stage) == 4.0


async def test_everything_is_closed_when_serving_is_cancelled(autojump_clock: Clock) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    async with trio.open_nursery() as nursery:
        stage = Stage(MemoryNetwork(nursery), Limits())
        streams = [await stage.dial(data) for data in (b"", b"GET /o", get("/ok"))]
        streams += [await stage.dial(get(route)) for route in ROUTES.values()]
        streams.append(await stage.dial(get("/stream?n=1000&gap=0&size=5000")))
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert stage.held == 0
    assert all(link.server.closed for link in stage.network.links)
    assert trio.lowlevel.current_statistics().tasks_living == before


async def test_no_task_is_left_when_clients_have_left(stage: Stage, autojump_clock: Clock) -> None:
    await trio.testing.wait_all_tasks_blocked()
    before = trio.lowlevel.current_statistics().tasks_living
    for data in (b"", b"GET /o", get("/ok"), get("/ok") * 2, *map(get, ROUTES.values())):
        stream = await stage.dial(data)
        await trio.sleep(0.5)
        await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == before


def test_drain_keeps_no_scope_when_work_is_over() -> None:
    async def main() -> None:
        drain = Drain()
        with drain.work() as first:
            assert drain.live == 1
            drain.begin(trio.current_time() + 3)
            drain.begin(trio.current_time() + 9)  # can only be brought forward
            await trio.sleep(10)
        assert first.cancelled_caught
        assert trio.current_time() == drain.deadline
        with drain.work() as late:
            await trio.lowlevel.checkpoint()
        assert late.cancelled_caught, "work begun after the deadline has none left"
        assert drain.live == 0

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
