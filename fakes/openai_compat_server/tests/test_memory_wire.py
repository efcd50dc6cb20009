"""Goal: a connection in memory shows both ends what a socket would.

Method: two ends in the hands of one test, under each event loop.
"""

from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest

from fakes.openai_compat_server.memory_wire import WIRE_BYTES, MemoryWire, memory_wire

Ends = Callable[[MemoryWire, MemoryWire], Awaitable[None]]


async def writes_come_as_they_were_made(ours: MemoryWire, theirs: MemoryWire) -> None:
    for data in (b"abc", b"", b"de"):
        await ours.send(data)
    await theirs.send(b"back")
    assert [await theirs.receive(2) for _ in range(3)] == [b"ab", b"c", b"de"]
    assert await ours.receive() == b"back"


async def a_writer_waits_for_its_reader(ours: MemoryWire, theirs: MemoryWire) -> None:
    received = bytearray()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ours.send, b"x" * (3 * WIRE_BYTES))
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0) as late:
            await ours.send(b"y")
        assert late.cancelled_caught
        while len(received) < 3 * WIRE_BYTES:
            received += await theirs.receive()
    assert received == b"x" * (3 * WIRE_BYTES)


async def a_reader_waits_for_its_writer(ours: MemoryWire, theirs: MemoryWire) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_send_later, theirs)
        assert await ours.receive() == b"late"


async def _send_later(wire: MemoryWire) -> None:
    await anyio.wait_all_tasks_blocked()
    await wire.send(b"late")


async def one_half_is_closed_alone(ours: MemoryWire, theirs: MemoryWire) -> None:
    await ours.send(b"last words")
    await ours.send_eof()
    assert await theirs.receive() == b"last words"
    with pytest.raises(anyio.EndOfStream):
        await theirs.receive()
    with pytest.raises(anyio.ClosedResourceError):
        await ours.send(b"more")
    await theirs.send(b"heard")
    assert await ours.receive() == b"heard"


async def closing_lets_what_was_sent_arrive(ours: MemoryWire, theirs: MemoryWire) -> None:
    await theirs.send(b"never read")
    await ours.send(b"last words")
    await ours.aclose()
    await ours.aclose()
    assert await theirs.receive() == b"last words"
    with pytest.raises(anyio.EndOfStream):
        await theirs.receive()
    with pytest.raises(anyio.BrokenResourceError):
        await theirs.send(b"more")
    with pytest.raises(anyio.ClosedResourceError):
        await ours.receive()


async def a_reset_loses_what_was_sent(ours: MemoryWire, theirs: MemoryWire) -> None:
    await ours.send(b"last words")
    ours.reset()
    for _ in range(2):
        with pytest.raises(anyio.BrokenResourceError):
            await theirs.receive()
    with pytest.raises(anyio.BrokenResourceError):
        await theirs.send(b"more")
    with pytest.raises(anyio.ClosedResourceError):
        await ours.send(b"more")


async def a_reset_after_closing_is_none(ours: MemoryWire, theirs: MemoryWire) -> None:
    await ours.send(b"last words")
    await ours.aclose()
    ours.reset()
    assert await theirs.receive() == b"last words"


async def whoever_waits_is_told(ours: MemoryWire, theirs: MemoryWire) -> None:
    for end, told in ((theirs.send_eof, anyio.EndOfStream), (theirs.aclose, anyio.EndOfStream)):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_after_all_wait, end)
            with pytest.raises(told):
                await ours.receive()
    fresh, other = memory_wire()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_after_all_wait, _at_once(other.reset))
        with pytest.raises(anyio.BrokenResourceError):
            await fresh.send(b"x" * WIRE_BYTES * 2)


async def _after_all_wait(then: Callable[[], Awaitable[None]]) -> None:
    await anyio.wait_all_tasks_blocked()
    await then()


def _at_once(call: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    async def called() -> None:
        await anyio.lowlevel.checkpoint()
        call()

    return called


async def readable_is_what_would_not_wait(ours: MemoryWire, theirs: MemoryWire) -> None:
    seen = [theirs.is_readable]
    await ours.send(b"ab")
    for _ in range(2):
        seen.append(theirs.is_readable)
        await theirs.receive(1)
    seen.append(theirs.is_readable)
    await ours.send_eof()
    seen.append(theirs.is_readable)
    assert seen == [False, True, True, False, True]
    await ours.aclose()
    assert ours.is_readable


CASES: tuple[Ends, ...] = (
    writes_come_as_they_were_made,
    a_writer_waits_for_its_reader,
    a_reader_waits_for_its_writer,
    one_half_is_closed_alone,
    closing_lets_what_was_sent_arrive,
    a_reset_loses_what_was_sent,
    a_reset_after_closing_is_none,
    whoever_waits_is_told,
    readable_is_what_would_not_wait,
)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_wire_in_memory(case: Ends, backend: str) -> None:
    async def run() -> None:
        with anyio.fail_after(5):
            await case(*memory_wire())

    anyio.run(run, backend=backend)
