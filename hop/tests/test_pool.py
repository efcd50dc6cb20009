"""The pool under cancellation: whatever moment a call is left in, no connection is lost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpcore
import httpx
import pytest
import trio
from trio.testing import MockClock

from harness.net import MemoryNetwork
from harness.steps import CancelAfter
from hop.call import make_client
from hop.exchange import ResponseBytes, send
from hop.pool import LosslessPool

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def answering(stream: trio.abc.HalfCloseableStream) -> None:
    async with stream:
        with suppress(trio.BrokenResourceError):
            while await stream.receive_some():
                await stream.send_all(HEAD)


async def ask(client: httpx.AsyncClient) -> bytes | None:
    response = ResponseBytes(await send(client, lambda: httpx.Request("POST", "http://next/")))
    try:
        return await response.next()
    finally:
        await response.aclose(0.01)


def pool_of(transport: httpx.AsyncHTTPTransport) -> LosslessPool:
    assert isinstance(transport._pool, LosslessPool)
    return transport._pool


@pytest.mark.parametrize("steps", range(40))
async def test_a_call_left_at_any_moment_leaves_no_connection_in_use(
    steps: int, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork(nursery)
        network.listen("next", answering)
        transport = network.transport()
        async with make_client(transport) as client:
            with trio.CancelScope() as scope:
                trio.lowlevel.add_instrument(CancelAfter(steps, scope))
                assert await ask(client) == b"ok"
            states = [(it.is_idle(), it.is_closed()) for it in pool_of(transport).connections]
            assert all(idle or closed for idle, closed in states), states
            assert await ask(client) == b"ok"
            await trio.testing.wait_all_tasks_blocked()
            assert len([link for link in network.links if not link.server.closed]) == 1
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def many_idle(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[httpx.AsyncClient, MemoryNetwork, set[object], list[object]]]:
    """A client after so many calls at once; which connections are old, and which were looked at."""
    old: set[object] = set()
    looked_at: list[object] = []

    def has_expired(connection: object) -> bool:
        looked_at.append(connection)
        return connection in old

    monkeypatch.setattr(httpcore.AsyncHTTPConnection, "has_expired", has_expired)
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork(nursery)
        network.listen("next", answering)
        transport = network.transport()
        async with make_client(transport) as client:
            await ask_at_once(client, count)
            old.update(pool_of(transport).connections[1:])
            looked_at.clear()
            yield client, network, old, looked_at
        nursery.cancel_scope.cancel()


async def test_connections_too_many_are_closed_when_their_time_is_over(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with many_idle(12, monkeypatch) as (client, network, _, _):
        assert len(network.links) == 12
        for _ in range(3):
            assert await ask(client) == b"ok"
        await trio.testing.wait_all_tasks_blocked()
        assert len(network.links) == 1


async def test_the_first_idle_connection_is_taken_and_few_others_are_looked_at(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with many_idle(150, monkeypatch) as (client, network, old, looked_at):
        assert len(network.links) == 1 + len(old) == 100
        kept = set(pool_of(client._transport).connections)  # type: ignore[arg-type]  # ours
        old.clear()
        assert await ask(client) == b"ok"
        assert len(looked_at) <= 10
        # As many at once as there are: each has one of its own.
        await ask_at_once(client, 100)
        assert kept == set(pool_of(client._transport).connections)  # type: ignore[arg-type]  # ours


async def ask_at_once(client: httpx.AsyncClient, times: int) -> None:
    async with trio.open_nursery() as asking:
        for _ in range(times):
            asking.start_soon(ask, client)
