"""The pool under cancellation: whatever moment a call is left in, no connection is lost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpcore
import httpx
import pytest
import trio
from attrs import define
from trio.testing import MockClock

from harness.net import MemoryNetwork
from harness.steps import CancelAfter
from hop.call import make_client
from hop.exchange import ResponseBytes, send
from hop.pool import LosslessPool, make_transport
from hop.tests.wires import OneAnswer

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


# What a step is depends on the order of tasks: each is left in several.
@pytest.mark.parametrize("order", range(5))
@pytest.mark.parametrize("steps", range(40))
async def test_a_call_left_at_any_moment_leaves_no_connection_in_use(
    steps: int,
    order: int,  # a part of the test's name
    autojump_clock: MockClock,
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
async def asked_at_once(
    count: int, nursery: trio.Nursery
) -> AsyncIterator[tuple[httpx.AsyncClient, LosslessPool, MemoryNetwork]]:
    """A client after so many calls at once, its pool and its network."""
    network = MemoryNetwork(nursery)
    network.listen("next", answering)
    transport = network.transport()
    async with make_client(transport) as client:
        await ask_at_once(client, count)
        yield client, pool_of(transport), network


async def test_connections_too_many_are_closed_when_their_time_is_over(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with asked_at_once(12, nursery) as (client, pool, network):
        assert len(network.links) == 12
        for connection in pool.connections[1:]:
            assert isinstance(connection, httpcore.AsyncHTTPConnection)
            assert isinstance(connection._connection, httpcore.AsyncHTTP11Connection)
            connection._connection._expire_at = 0.0
        for _ in range(3):
            assert await ask(client) == b"ok"
        await trio.testing.wait_all_tasks_blocked()
        assert len(network.links) == 1


async def test_no_more_are_kept_than_allowed_and_each_call_has_one_of_its_own(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with asked_at_once(150, nursery) as (client, pool, network):
        kept = set(pool.connections)
        assert len(kept) == len(network.links) == 100
        await ask_at_once(client, 100)
        assert set(pool.connections) == kept


@define(eq=False)
class Idle(httpcore.AsyncConnectionInterface):
    """A connection at rest that counts how often it is asked whether its time is over."""

    looked_at: int = 0

    def is_idle(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def has_expired(self) -> bool:
        self.looked_at += 1
        return False


def test_few_of_many_idle_connections_are_looked_at() -> None:
    pool = pool_of(make_transport())
    idle = [Idle() for _ in range(100)]
    pool._connections = [*idle]
    for _ in range(10):
        assert pool._assign_requests_to_connections() == []
    assert 10 <= sum(connection.looked_at for connection in idle) <= 50


async def ask_at_once(client: httpx.AsyncClient, times: int) -> None:
    async with trio.open_nursery() as asking:
        for _ in range(times):
            asking.start_soon(ask, client)


async def in_two(body: bytes) -> AsyncIterator[bytes]:
    yield body[:1]
    yield body[1:]


@pytest.mark.parametrize("body", [b"", b"ask", b"a" * 1_000_000], ids=["none", "short", "long"])
@pytest.mark.parametrize("known", [True, False], ids=["length known", "in chunks"])
async def test_request_leaves_whole_and_in_one_piece_where_its_body_is(
    body: bytes, known: bool
) -> None:
    peer = OneAnswer([HEAD])
    async with make_client(make_transport(backend=peer)) as client:
        content = body if known else in_two(body)
        response = await client.send(httpx.Request("POST", "http://next/", content=content))
        assert response.content == b"ok"
    head, _, sent = b"".join(peer.sent).partition(b"\r\n\r\n")
    assert head.startswith(b"POST / HTTP/1.1\r\n")
    chunks = [b"%x\r\n%b\r\n" % (len(p), p) for p in (body[:1], body[1:]) if p]
    assert sent == (body if known else b"".join([*chunks, b"0\r\n\r\n"]))
    if known:
        assert len(peer.sent) == 1
