"""The in-memory network keeps TCP's promises, and httpx cannot tell the difference."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx
import pytest
import trio
import trio.testing

from fakes.openai_compat_server import Tls
from fakes.openai_compat_server.scenario import Handshake
from harness.memory_stream import WIRE_BYTES, MemoryStream, memory_pair
from harness.net import MemoryNetwork, serve_memory
from hop.serve import HopApp

Clock = trio.testing.MockClock


async def pair_maker() -> tuple[MemoryStream, MemoryStream]:
    return memory_pair()


async def clogged_pair_maker() -> tuple[MemoryStream, MemoryStream]:
    left, right = memory_pair()
    await left.send_all(b"x" * WIRE_BYTES)
    await right.send_all(b"x" * WIRE_BYTES)
    return left, right


async def test_streams_pass_trios_own_checks() -> None:
    await trio.testing.check_half_closeable_stream(pair_maker, None)


async def test_send_blocks_when_the_peer_does_not_read(autojump_clock: Clock) -> None:
    near, far = memory_pair()
    await near.send_all(b"x" * WIRE_BYTES)
    with trio.move_on_after(5) as blocked:
        await near.send_all(b"y")
    assert blocked.cancelled_caught
    assert await far.receive_some(10) == b"x" * 10
    await near.send_all(b"y")


async def test_blocked_send_fails_when_the_peer_leaves(nursery: trio.Nursery) -> None:
    near, far = await clogged_pair_maker()

    async def send() -> None:
        with pytest.raises(trio.BrokenResourceError):
            await near.send_all(b"y")
        near_failed.set()

    near_failed = trio.Event()
    nursery.start_soon(send)
    await trio.testing.wait_all_tasks_blocked()
    await far.aclose()
    await near_failed.wait()


async def slow_pair_maker() -> tuple[MemoryStream, MemoryStream]:
    return memory_pair(arrives=lambda now: now + 0.01)


async def test_slow_streams_pass_trios_own_checks(autojump_clock: Clock) -> None:
    await trio.testing.check_half_closeable_stream(slow_pair_maker, None)


async def test_bytes_and_the_end_take_the_time_that_the_network_says(autojump_clock: Clock) -> None:
    near, far = memory_pair(arrives=lambda now: max(now, began + 5.0) + 0.5)
    began = trio.current_time()
    await near.send_all(b"one")
    await trio.sleep(5.2)
    assert not far.is_readable
    await near.send_all(b"two")
    await near.aclose()
    assert (await far.receive_some(), trio.current_time() - began) == (b"one", 5.5)
    assert far.is_readable is False
    assert (await far.receive_some(), trio.current_time() - began) == (b"two", 5.7)
    assert (await far.receive_some(), trio.current_time() - began) == (b"", 5.7)


async def test_nothing_overtakes_when_the_network_gets_quicker(autojump_clock: Clock) -> None:
    waits = iter((3.0, 0.0))
    near, far = memory_pair(arrives=lambda now: now + next(waits))
    began = trio.current_time()
    await near.send_all(b"one")
    await near.send_all(b"two")
    assert (await far.receive_some(), trio.current_time() - began) == (b"onetwo", 3.0)


async def test_what_is_under_way_is_unread_to_its_sender(autojump_clock: Clock) -> None:
    near, far = memory_pair(capacity=4, arrives=lambda now: now + 2.0)
    began = trio.current_time()
    with trio.move_on_after(1) as blocked:
        await near.send_all(b"12345")
    assert blocked.cancelled_caught
    assert (await far.receive_some(), trio.current_time() - began) == (b"1234", 2.0)


async def test_reset_loses_what_is_under_way_and_takes_its_time(autojump_clock: Clock) -> None:
    near, far = memory_pair(arrives=lambda now: now + 2.0)
    began = trio.current_time()
    await near.send_all(b"one")
    near.reset()
    with pytest.raises(trio.BrokenResourceError):
        await far.receive_some()
    assert trio.current_time() - began == 2.0


async def test_close_shows_what_was_sent_then_end_of_file() -> None:
    near, far = memory_pair()
    await near.send_all(b"last words")
    await near.aclose()
    assert await far.receive_some() == b"last words"
    assert await far.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError):
        await far.send_all(b"x")


async def test_close_on_unread_bytes_shows_what_was_sent_then_a_reset() -> None:
    near, far = memory_pair()
    await far.send_all(b"never read")
    await near.send_all(b"last words")
    await trio.aclose_forcefully(near)
    assert await far.receive_some() == b"last words"
    with pytest.raises(trio.BrokenResourceError):
        await far.receive_some()


async def test_reset_loses_what_was_under_way() -> None:
    near, far = memory_pair()
    await near.send_all(b"lost")
    near.reset()
    with pytest.raises(trio.BrokenResourceError):
        await far.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        await far.send_all(b"x")


async def test_is_readable_when_a_read_would_not_block() -> None:
    near, far = memory_pair()
    readable = [far.is_readable]
    await near.send_all(b"x")
    readable.append(far.is_readable)
    await far.receive_some()
    readable.append(far.is_readable)
    await near.aclose()
    readable.append(far.is_readable)
    assert readable == [False, True, False, True]


async def test_dial_is_refused_when_nobody_listens(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(nursery)
    with pytest.raises(ConnectionRefusedError):
        await network.connect("nobody")
    async with network.client() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://nobody/")
    assert network.links == []


async def test_dial_is_refused_and_waiting_streams_reset_when_the_listener_closes(
    nursery: trio.Nursery,
) -> None:
    network = MemoryNetwork(nursery)
    listener = network.listener("here")
    waiting = await network.connect("here")
    await listener.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await waiting.receive_some()
    with pytest.raises(ConnectionRefusedError):
        await network.connect("here")
    await network.listener("here").aclose()


async def test_host_can_be_taken_once(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(nursery)
    network.listener("here")
    with pytest.raises(OSError, match="in use"):
        network.listener("here")


async def test_connect_times_out_when_the_backlog_is_full(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    network = MemoryNetwork(nursery)
    network.listener("busy")
    for _ in range(128):
        await network.connect("busy")
    async with network.client(timeout=2) as client:
        with pytest.raises(httpx.ConnectTimeout):
            await client.get("http://busy/")
    assert trio.current_time() == pytest.approx(2)
    assert len(network.links) == 128


async def test_read_times_out_when_the_handler_is_silent(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    async def silent(stream: MemoryStream) -> None:
        await trio.sleep_forever()

    network = MemoryNetwork(nursery)
    network.listen("silent", silent)
    async with network.client(timeout=3) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get("http://silent/")
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_client_sees_how_the_handler_ends(
    nursery: trio.Nursery, how: str, autojump_clock: Clock
) -> None:
    async def end(stream: MemoryStream) -> None:
        await stream.receive_some()
        if how == "reset":
            stream.reset()

    network = MemoryNetwork(nursery)
    network.listen("ends", end)
    expected = httpx.ReadError if how == "reset" else httpx.RemoteProtocolError
    async with network.client() as client:
        with pytest.raises(expected):
            await client.get("http://ends/")
    nursery.cancel_scope.cancel()


async def test_closed_keep_alive_connection_is_not_reused(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    app = HopApp("hop", on_error=print, max_body_bytes=1)

    @app.get("/")
    async def ok() -> dict[str, bool]:
        return {"ok": True}

    network = MemoryNetwork(nursery)
    serve_memory(network, "hop", app)
    async with network.client() as client:
        first = await client.get("http://hop/")
        used = network.links[0]
        assert (await client.get("http://hop/")).status_code == first.status_code
        assert network.links == [used]
        await trio.sleep(31)  # past the server's idle time
        assert (await client.get("http://hop/")).status_code == first.status_code
        assert network.links != [used]
    await trio.testing.wait_all_tasks_blocked()
    assert network.links == []
    nursery.cancel_scope.cancel()


async def test_connect_waits_for_the_accept_when_there_is_no_backlog(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    network = MemoryNetwork(nursery)
    listener = network.listener("busy", backlog=0)
    async with network.client(timeout=2) as client:
        with pytest.raises(httpx.ConnectTimeout):
            await client.get("http://busy/")
    assert network.links == []
    nursery.start_soon(network.connect, "busy")
    await (await listener.accept()).aclose()


def hello(tls: Tls) -> Callable[[MemoryStream], Awaitable[None]]:
    """Answers one request over TLS, and waits for the client to leave."""

    async def handle(stream: MemoryStream) -> None:
        secured = trio.SSLStream(
            stream, tls.context(Handshake.RIGHT), server_side=True, https_compatible=True
        )
        with suppress(trio.BrokenResourceError):
            await secured.receive_some()
            await secured.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
            await secured.receive_some()
        await trio.aclose_forcefully(secured)

    return handle


async def test_https_is_real_when_the_server_secures_its_end(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    network, tls = MemoryNetwork(nursery), Tls(("right",))
    network.listen("right", hello(tls))
    network.listen("wrong", hello(tls))
    async with httpx.AsyncClient(transport=network.transport(tls.trust())) as client:
        assert (await client.get("https://right/")).text == "hi"
        with pytest.raises(httpx.ConnectError) as caught:
            await client.get("https://wrong/")
    assert "Hostname mismatch" in causes(caught.value)
    async with network.client() as nobodys_friend:
        with pytest.raises(httpx.ConnectError) as caught:
            await nobodys_friend.get("https://right/")
    assert "certificate" in causes(caught.value)
    await trio.testing.wait_all_tasks_blocked()
    assert network.links == []
    nursery.cancel_scope.cancel()


async def test_connecting_times_out_when_the_handshake_is_not_answered(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    network = MemoryNetwork(nursery)
    network.listener("silent")
    async with network.client(timeout=2) as client:
        with pytest.raises(httpx.ConnectTimeout):
            await client.get("https://silent/")
    assert trio.current_time() == pytest.approx(2)
    assert [link.client.closed for link in network.links] == [True]


def causes(fault: BaseException | None) -> str:
    """What an exception and all that led to it say."""
    told = []
    while fault is not None:
        told.append(str(fault))
        fault = fault.__cause__ or fault.__context__
    return "; ".join(told)
