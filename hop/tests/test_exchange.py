"""One exchange of bytes: a kept connection that died is redone once, a fresh one never."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
import trio.testing
from attrs import frozen
from trio.testing import MockClock

from harness.hop_stage import LAST_CHUNK, SSE_HEAD, Play, Upstream, chunk, raw, whole
from harness.memory_stream import MemoryStream
from harness.net import MemoryNetwork
from hop.call import make_client
from hop.exchange import RequestBytes, ResponseBytes, request_of, send

Ask = tuple[Upstream, MemoryNetwork, httpx.AsyncClient]
ANSWER = whole(200, b"{}")


@asynccontextmanager
async def asking(play: Play) -> AsyncIterator[Ask]:
    async with trio.open_nursery() as nursery:
        network, upstream = MemoryNetwork(nursery), Upstream(play)
        network.listen("next", upstream.serve)
        async with make_client(network.transport()) as client:
            yield upstream, network, client
        await trio.sleep(0.25)
        assert network.links == []
        nursery.cancel_scope.cancel()


async def ask(client: httpx.AsyncClient, body: bytes = b"body") -> bytes:
    response = await send(
        client, lambda: client.build_request("POST", "http://next/", content=body)
    )
    data = ResponseBytes(response)
    whole_body = b""
    while (piece := await data.next()) is not None:
        whole_body += piece
    await data.aclose(0)
    return whole_body


def dying_when_kept(*death: bytes | str) -> Play:
    """The first request of a connection is answered; the second meets `death`."""
    served: set[int] = set()
    die = raw(*death)  # type: ignore[arg-type]  # ends are words

    async def play(stream: MemoryStream) -> None:
        if id(stream) in served:
            return await die(stream)
        served.add(id(stream))
        return await ANSWER(stream)

    return play


@pytest.mark.parametrize("death", ["eof", "reset"])
async def test_a_kept_connection_that_died_is_redone_on_a_new_one(
    autojump_clock: MockClock, death: str
) -> None:
    async with asking(dying_when_kept(death)) as (upstream, _, client):
        assert await ask(client) == b"{}"
        assert await ask(client, b"again") == b"{}"
    assert [asked.body for asked in upstream.asked] == [b"body", b"again", b"again"]


@pytest.mark.parametrize("death", ["eof", "reset"])
async def test_several_dead_connections_do_not_fail_a_call(
    autojump_clock: MockClock, death: str
) -> None:
    async with asking(dying_when_kept(death)) as (_, network, client):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask, client)
        assert len(network.links) == 3
        assert await ask(client, b"again") == b"{}"


async def test_a_kept_connection_that_closed_while_idle_is_not_used(
    autojump_clock: MockClock,
) -> None:
    async def answer_and_close(stream: MemoryStream) -> None:
        await ANSWER(stream)
        await stream.aclose()

    async with asking(answer_and_close) as (upstream, _, client):
        await ask(client)
        await ask(client)
    assert len(upstream.asked) == 2


@pytest.mark.parametrize("death", ["eof", "reset"])
async def test_a_fresh_connection_that_dies_is_not_redone(
    autojump_clock: MockClock, death: str
) -> None:
    async with asking(raw(death)) as (upstream, _, client):  # type: ignore[arg-type]  # ends are words
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await ask(client)
    assert len(upstream.asked) == 1


async def test_an_answer_that_breaks_off_is_not_redone(autojump_clock: MockClock) -> None:
    cut = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"
    async with asking(dying_when_kept(cut, "eof")) as (upstream, _, client):
        await ask(client)
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(client)
    assert len(upstream.asked) == 2


async def test_a_request_body_is_given_once() -> None:
    body = RequestBytes(b"abc")
    assert [piece async for piece in body] == [b"abc"]
    assert [piece async for piece in RequestBytes(b"")] == []


async def test_closing_reads_on_for_no_longer_than_it_is_told(autojump_clock: MockClock) -> None:
    play = raw(SSE_HEAD, chunk(b"x"), "hang")
    async with asking(play) as (upstream, _, client):
        request = client.build_request("POST", "http://next/")
        data = ResponseBytes(await send(client, lambda: request))
        assert await data.next() == b"x"
        await data.aclose(0.02)
        assert trio.current_time() == pytest.approx(0.02)
    assert upstream.left == [pytest.approx(0.02)]


@frozen
class Busy(trio.abc.Instrument):
    """A machine on which each step takes a second: whatever limits there are, are over at once."""

    clock: MockClock

    def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002 - trio's
        self.clock.jump(1.0)


async def test_closing_closes_however_late_it_is(autojump_clock: MockClock) -> None:
    async with asking(raw(SSE_HEAD, chunk(b"one"), "hang")) as (_, network, client):
        request = client.build_request("POST", "http://next/")
        body = ResponseBytes(await send(client, lambda: request))
        assert await body.next() == b"one"
        busy = Busy(autojump_clock)
        trio.lowlevel.add_instrument(busy)
        await body.aclose(0)
        trio.lowlevel.remove_instrument(busy)
        await trio.testing.wait_all_tasks_blocked()
        assert network.links == []


@pytest.mark.parametrize(
    "rest", [(chunk(b"y"), LAST_CHUNK), (b"zz\r\n",), ("eof",), ("reset",), (chunk(b"y") * 9_999,)]
)
async def test_closing_raises_nothing_whatever_still_comes(
    autojump_clock: MockClock, rest: tuple[bytes | str, ...]
) -> None:
    play = raw(SSE_HEAD, chunk(b"x"), 0.01, *rest, "hang")  # type: ignore[arg-type]  # ends are words
    async with asking(play) as (_, __, client):
        request = client.build_request("POST", "http://next/")
        data = ResponseBytes(await send(client, lambda: request))
        await data.next()
        await data.aclose(0.02)
        assert trio.current_time() <= 0.02


async def test_a_client_keeps_no_cookie_and_follows_nobody() -> None:
    asked: list[httpx.Request] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        asked.append(request)
        return httpx.Response(302, headers={"set-cookie": "a=b", "location": "http://away/"})

    async with make_client(httpx.MockTransport(answer)) as client:
        for _ in range(2):
            response = await send(client, lambda: request_of("GET", "http://next/", {}))
            assert response.status_code == 302
            assert (await client.get("http://next/")).status_code == 302
    assert [request.url.host for request in asked] == ["next"] * 4
    assert not any("cookie" in request.headers for request in asked)
