"""Goal: a tap sees all that passes and when; a way decides what befalls a connection, and no more.

Method: streams in memory with taps that write down what they are told, and networks with ways.
"""

from contextlib import suppress

import pytest
import trio
import trio.testing
from attrs import define, field

from harness.memory_stream import End, MemoryStream, memory_pair
from harness.net import MemoryNetwork, Sever, Way, refused

Clock = trio.testing.MockClock


@define
class Notes:
    """A tap that writes down what it is told, and passes so many bytes of each sending on."""

    passes: int | None = None
    told: list[tuple[str, object]] = field(factory=list)

    def sent(self, data: bytes) -> bytes:
        self.told.append(("sent", data))
        return data[: self.passes]

    def taken(self, size: int) -> None:
        self.told.append(("taken", size))

    def ended(self, end: End) -> None:
        self.told.append(("ended", end))


async def test_each_direction_has_a_tap_of_its_own() -> None:
    up, down = Notes(), Notes()
    near, far = memory_pair(up, down)
    await near.send_all(b"question")
    assert await far.receive_some(3) == b"que"
    assert await far.receive_some() == b"stion"
    await far.send_all(b"answer")
    await far.send_eof()
    await near.aclose()
    assert up.told == [("sent", b"question"), ("taken", 3), ("taken", 5), ("ended", "reset")]
    assert down.told == [("sent", b"answer"), ("ended", "eof")]


async def test_end_is_told_once() -> None:
    up = Notes()
    near, _ = memory_pair(up)
    await near.send_eof()
    await near.send_eof()
    await near.aclose()
    assert up.told == [("ended", "eof")]


async def test_reset_after_the_end_is_told_too() -> None:
    """It is another word than the first: what was said before does not count any more."""
    up = Notes()
    near, far = memory_pair(up)
    await near.send_eof()
    near.reset()
    assert up.told == [("ended", "eof"), ("ended", "reset")]
    with pytest.raises(trio.BrokenResourceError):
        await far.receive_some()


async def test_tap_that_drops_bytes_drops_them_for_the_reader_alone() -> None:
    near, far = memory_pair(Notes(passes=2))
    await near.send_all(b"abcd")
    await near.send_all(b"efgh")
    assert await far.receive_some() == b"abef"


async def test_long_sending_is_told_as_it_goes_out(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    """Bytes that wait for room have not been sent yet."""
    up = Notes()
    near, far = memory_pair(up, capacity=4)
    nursery.start_soon(near.send_all, b"abcdefghij")
    await trio.testing.wait_all_tasks_blocked()
    assert up.told == [("sent", b"abcd")]
    assert await far.receive_some(2) == b"ab"
    await trio.testing.wait_all_tasks_blocked()
    assert up.told == [("sent", b"abcd"), ("taken", 2), ("sent", b"ef")]
    while len(up.told) < 6:
        await far.receive_some()
        await trio.testing.wait_all_tasks_blocked()
    assert b"".join(data for what, data in up.told if isinstance(data, bytes)) == b"abcdefghij"


@pytest.mark.parametrize("end", ["eof", "reset"])
async def test_severed_connection_ends_so_at_both_ends(end: End) -> None:
    up, down = Notes(), Notes()
    near, far = memory_pair(up, down)
    near.sever(end)
    for stream in (near, far):
        with pytest.raises(trio.BrokenResourceError, match="the network broke the connection"):
            await stream.send_all(b"x")
        if end == "eof":
            assert await stream.receive_some() == b""
        else:
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()
        assert not stream.closed
    assert (up.told, down.told) == ([], [])  # neither end has closed it
    await near.aclose()
    assert up.told == [("ended", "eof")]


@pytest.mark.parametrize(("end", "left"), [("eof", b"last words"), ("reset", None)])
async def test_severing_keeps_what_was_under_way_unless_it_is_a_reset(
    end: End, left: bytes | None
) -> None:
    near, far = memory_pair()
    await near.send_all(b"last words")
    near.sever(end)
    if left is None:
        with pytest.raises(trio.BrokenResourceError):
            await far.receive_some()
    else:
        assert await far.receive_some() == left


async def test_severing_wakes_whoever_waits(nursery: trio.Nursery, autojump_clock: Clock) -> None:
    near, far = memory_pair(capacity=1)
    await near.send_all(b"x")
    woken: list[str] = []

    async def send() -> None:
        with pytest.raises(trio.BrokenResourceError):
            await near.send_all(b"y")
        woken.append("sender")

    async def receive() -> None:
        assert await near.receive_some() == b""
        woken.append("reader")

    nursery.start_soon(send)
    nursery.start_soon(receive)
    await trio.testing.wait_all_tasks_blocked()
    assert woken == []
    far.sever("eof")
    await trio.testing.wait_all_tasks_blocked()
    assert sorted(woken) == ["reader", "sender"]


async def echo(stream: MemoryStream) -> None:
    async with stream:
        with suppress(trio.BrokenResourceError):
            while data := await stream.receive_some():
                await stream.send_all(data.upper())


async def whisper(stream: MemoryStream) -> None:
    async with stream:
        await stream.send_all(b"(whispers)")


async def test_way_is_asked_for_every_connection_and_taps_it(nursery: trio.Nursery) -> None:
    asked: list[str] = []
    up, down = Notes(), Notes()

    def way(host: str, sever: Sever) -> Way:
        asked.append(host)
        return Way(up, down, capacity=3)

    network = MemoryNetwork(nursery, way)
    network.listen("here", echo)
    async with await network.connect("here") as stream:
        await stream.send_all(b"abc")
        assert await stream.receive_some() == b"ABC"
    async with await network.connect("here"):
        pass
    assert asked == ["here", "here"]
    assert up.told[0] == ("sent", b"abc")
    assert down.told[0] == ("sent", b"ABC")
    nursery.cancel_scope.cancel()


async def test_another_can_take_the_connection_whoever_listens(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(nursery, lambda _, __: Way(instead=whisper))
    network.listen("here", echo)
    for host in ("here", "nowhere"):
        stream = await network.connect(host)
        assert await stream.receive_some() == b"(whispers)"
        await stream.aclose()
    nursery.cancel_scope.cancel()


async def test_lost_dial_never_comes_back(nursery: trio.Nursery, autojump_clock: Clock) -> None:
    network = MemoryNetwork(nursery, lambda _, __: Way(lost=True))
    network.listen("here", echo)
    with trio.move_on_after(3600) as patience:
        await network.connect("here")
    assert patience.cancelled_caught
    assert network.links == []
    nursery.cancel_scope.cancel()


async def test_way_may_refuse_a_dial(nursery: trio.Nursery) -> None:
    def way(host: str, sever: Sever) -> Way:
        raise refused(host)

    network = MemoryNetwork(nursery, way)
    network.listen("here", echo)
    with pytest.raises(ConnectionRefusedError, match="nobody listens on here"):
        await network.connect("here")
    assert network.links == []
    nursery.cancel_scope.cancel()


async def test_way_may_break_its_connection_later(nursery: trio.Nursery) -> None:
    severs: list[Sever] = []

    def way(host: str, sever: Sever) -> Way:
        severs.append(sever)
        return Way()

    network = MemoryNetwork(nursery, way)
    network.listen("here", echo)
    first, second = await network.connect("here"), await network.connect("here")
    severs[0]("reset")
    with pytest.raises(trio.BrokenResourceError):
        await first.receive_some()
    await second.send_all(b"still")
    assert await second.receive_some() == b"STILL"
    await first.aclose()
    await second.aclose()
    nursery.cancel_scope.cancel()
