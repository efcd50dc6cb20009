"""A response's body read past httpx: the same bytes, the same faults, in fewer pieces."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from hop.call import make_client
from hop.exchange import ResponseBytes
from hop.http1_body import Http1Body
from hop.pool import make_transport
from hop.tests.wires import OneAnswer

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@asynccontextmanager
async def body_of(*pieces: bytes) -> AsyncIterator[ResponseBytes]:
    """The body of an answer whose bytes arrive in these pieces, then end."""
    network = OneAnswer(pieces)
    async with make_client(make_transport(backend=network, keep_idle_s=None)) as client:
        request = client.build_request("GET", "http://peer/")
        body = ResponseBytes(await client.send(request, stream=True))
        try:
            yield body
        finally:
            await body.aclose(0)


async def test_body_is_read_past_httpx_when_it_is_h11s() -> None:
    """The canary of the private names: were they others, all would still work, but slower."""
    async with body_of(HEAD + chunk(b"one") + END) as body:
        assert Http1Body.of(body.response) is not None


async def test_chunks_come_as_one_piece_when_they_arrived_together() -> None:
    async with body_of(HEAD, chunk(b"one") + chunk(b"two") + b"5\r\nth", b"ree\r\n" + END) as body:
        assert [await body.next() for _ in range(4)] == [b"onetwoth", b"ree", None, None]


async def test_what_came_is_given_first_when_the_body_then_breaks() -> None:
    async with body_of(HEAD + chunk(b"one") + b"no size\r\n") as body:
        assert await body.next() == b"one"
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError):
                await body.next()


async def test_cut_body_is_a_fault_when_its_end_never_came() -> None:
    async with body_of(HEAD + chunk(b"one")) as body:
        assert await body.next() == b"one"
        with pytest.raises(httpx.RemoteProtocolError):
            await body.next()


async def test_reset_is_httpxs_fault() -> None:
    async with body_of(HEAD, OneAnswer.RESET) as body:
        with pytest.raises(httpx.ReadError):
            await body.next()


async def test_connection_is_kept_when_the_body_was_read_to_its_end() -> None:
    network = OneAnswer((HEAD + chunk(b"one") + END,) * 2)
    async with make_client(make_transport(backend=network, keep_idle_s=None)) as client:
        for _ in range(2):
            request = client.build_request("GET", "http://peer/")
            body = ResponseBytes(await client.send(request, stream=True))
            while await body.next() is not None:
                pass
            await body.aclose(0)
    assert network.connections == 1


async def test_body_of_a_tests_own_transport_is_read_as_httpx_gives_it() -> None:
    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, stream=httpx.ByteStream(b"whole"))
    )
    async with httpx.AsyncClient(transport=transport) as client:
        request = client.build_request("GET", "http://peer/")
        body = ResponseBytes(await client.send(request, stream=True))
        assert Http1Body.of(body.response) is None
        assert await body.next() == b"whole"
        assert await body.next() is None
        await body.aclose(0)


async def test_reading_is_cancelled_when_nothing_comes() -> None:
    async with body_of(HEAD, OneAnswer.SILENCE) as body:
        with trio.move_on_after(1) as scope:
            await body.next()
        assert scope.cancelled_caught
