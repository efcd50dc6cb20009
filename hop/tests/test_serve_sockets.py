"""Serving over real sockets: what the in-memory network cannot show."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import attrs
import pytest
import trio
from quart.typing import ResponseReturnValue

from hop.serve import (
    CannotListen,
    Drain,
    HopApp,
    Limits,
    current_request,
    open_listeners,
    serve,
)

LIMITS = Limits(stall_s=0.2, notice_s=0.05, drain_s=0.2, flush_s=0.1)
GET = b"GET %b HTTP/1.1\r\nhost: hop\r\n\r\n"


@attrs.define
class Server:
    """A server on a real port, and how its one kind of request ended."""

    port: int = 0
    ended: trio.Event = attrs.field(factory=trio.Event)
    end: str = ""
    stop: trio.Event = attrs.field(factory=trio.Event)
    gone: trio.Event = attrs.field(factory=trio.Event)
    clients: list[trio.SocketStream] = attrs.field(factory=list)

    def app(self) -> HopApp:
        app = HopApp("hop", on_error=print, max_body_bytes=1000)
        app.add_url_rule("/ok", view_func=self.ok)
        app.add_url_rule("/wait", view_func=self.wait)
        app.add_url_rule("/big", view_func=self.big)
        app.add_url_rule("/echo", view_func=self.echo, methods=["POST"])
        return app

    async def ok(self) -> ResponseReturnValue:
        return {"client": current_request().remote_addr}

    async def wait(self) -> ResponseReturnValue:
        await current_request().lifetime.enter_async_context(self.noted())
        await trio.sleep_forever()
        raise AssertionError

    async def big(self) -> ResponseReturnValue:
        await current_request().lifetime.enter_async_context(self.noted())
        return b"x" * 30_000_000, 200

    async def echo(self) -> ResponseReturnValue:
        return {"bytes": len(await current_request().get_data())}

    @asynccontextmanager
    async def noted(self) -> AsyncIterator[None]:
        asked = current_request()
        try:
            yield
        finally:
            self.end = "stalled" if asked.peer.stalled else "left" if asked.peer.left else "?"
            self.ended.set()

    async def dial(self, data: bytes) -> trio.SocketStream:
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        self.clients.append(stream)
        await stream.send_all(data)
        return stream


@pytest.fixture
async def server(nursery: trio.Nursery) -> AsyncIterator[Server]:
    server = Server()
    listeners = await open_listeners("127.0.0.1", 0)
    server.port = listeners[0].socket.getsockname()[1]

    async def run() -> None:
        await serve(server.app(), listeners, drain=Drain(), limits=LIMITS, stop=server.stop.wait)
        server.gone.set()

    nursery.start_soon(run)
    yield server
    for client in server.clients:
        await trio.aclose_forcefully(client)


async def read_all(stream: trio.SocketStream) -> bytes:
    data = bytearray()
    async for more in stream:
        data += more
    return bytes(data)


async def close(stream: trio.SocketStream) -> None:
    await stream.aclose()


async def half_close(stream: trio.SocketStream) -> None:
    await stream.send_eof()


async def reset(stream: trio.SocketStream) -> None:
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    await stream.aclose()


@pytest.mark.parametrize("leave", [close, half_close, reset])
@pytest.mark.parametrize("pending", [b"", b"\r\n", GET % b"/ok"])
async def test_handler_is_cancelled_within_its_limit_when_the_client_leaves(
    server: Server, pending: bytes, leave: Callable[[trio.SocketStream], Awaitable[None]]
) -> None:
    stream = await server.dial(GET % b"/wait" + pending)
    await trio.sleep(0.02)
    assert not server.ended.is_set()
    await leave(stream)
    with trio.fail_after(0.25):
        await server.ended.wait()
    assert server.end == "left"


async def test_client_is_dropped_when_it_stops_reading(server: Server) -> None:
    stream = await server.dial(GET % b"/big")
    with trio.fail_after(2):
        await server.ended.wait()
    assert server.end == "stalled"
    await stream.aclose()


async def test_oversize_upload_gets_its_413_and_no_reset(server: Server) -> None:
    head = (
        b"POST /echo HTTP/1.1\r\nhost: hop\r\ncontent-length: 10000000\r\nconnection: close\r\n\r\n"
    )
    stream = await server.dial(head)
    await stream.send_all(b"x" * 10_000_000)
    assert (await read_all(stream)).startswith(b"HTTP/1.1 413 ")


async def test_refusal_is_read_when_100_kb_of_headers_were_sent_first(server: Server) -> None:
    stream = await server.dial(
        b"GET /ok HTTP/1.1\r\nhost: hop\r\nx: " + b"y" * 100_000 + b"\r\n\r\n"
    )
    assert (await read_all(stream)).startswith(b"HTTP/1.1 431 ")


async def test_client_has_an_address(server: Server) -> None:
    stream = await server.dial(GET % b"/ok")
    data = b""
    while b"}" not in data:
        data += await stream.receive_some()
    assert b'{"client":"127.0.0.1"}' in data


async def test_server_is_gone_soon_when_stopped_with_idle_busy_and_stalled_clients(
    server: Server,
) -> None:
    for path in (b"/ok", b"/wait", b"/big"):
        await server.dial(GET % path)
    await server.dial(b"GET /half")
    await trio.sleep(0.05)
    server.stop.set()
    with trio.fail_after(0.05 + 0.2 + 0.1 + 0.25):
        await server.gone.wait()
    with pytest.raises(OSError, match="all attempts to connect"):
        await server.dial(b"")


async def test_port_in_use_is_named_in_one_line(server: Server) -> None:
    with pytest.raises(CannotListen) as caught:
        await open_listeners("127.0.0.1", server.port)
    assert str(caught.value) == f"cannot listen on 127.0.0.1:{server.port}: the port is in use"


async def test_unknown_host_is_named_in_one_line() -> None:
    with pytest.raises(CannotListen, match=r"^cannot listen on no\.such\.invalid:1: .+$"):
        await open_listeners("no.such.invalid", 1)


async def test_port_can_be_used_again_when_a_server_has_just_closed_connections() -> None:
    listeners = await open_listeners("127.0.0.1", 0)
    port = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        drain, stop = Drain(), trio.Event()
        app = Server().app()
        nursery.start_soon(
            partial(serve, app, listeners, drain=drain, limits=LIMITS, stop=stop.wait)
        )
        client = await trio.open_tcp_stream("127.0.0.1", port)
        stop.set()
        assert await read_all(client) == b""  # the server closed first: its side is in TIME_WAIT
    await client.aclose()
    for listener in await open_listeners("127.0.0.1", port):
        await listener.aclose()
