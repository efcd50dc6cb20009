"""The pool under cancellation: whatever moment a call is left in, no connection is lost."""

from contextlib import suppress

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
