"""Goal: on real sockets the admin face is there when it was asked for, for this machine alone.

Method: the real program in a process of its own; listeners and sockets of each kind in this one.
"""

import socket
import ssl
from functools import partial

import anyio
import httpx
import pytest
import trio
from anyio.abc import SocketAttribute

from fakes.openai_compat_server import Behaviour, Fake, Latency, serve, serve_stream
from fakes.openai_compat_server.over_trio import TrioWire
from fakes.openai_compat_server.peer import is_local
from fakes.openai_compat_server.socket_wire import SocketWire
from fakes.openai_compat_server.tests.fake_client import chat
from fakes.openai_compat_server.tests.test_fake_sockets import running

CHAT = "/v1/chat/completions"


def test_a_session_is_scripted_and_read_over_a_socket() -> None:
    with running("--admin", "--latency", "ttft=1ms,itl=1ms") as (_, base, banner):
        assert "Admin at /__admin/journal" in banner
        with httpx.Client(base_url=base) as client:
            mine = {"x-fake-session": "mine"}
            script = {"rule": [{"play": ["status-429", "ok"]}]}
            client.put("/__admin/script", json=script, headers=mine).raise_for_status()
            headers = (mine, None, mine)
            got = [client.post(CHAT, json=chat(), headers=it).status_code for it in headers]
            assert got == [429, 200, 200]
            journal = client.get("/__admin/journal", headers=mine).json()
            assert [entry["status"] for entry in journal["entries"]] == [429, 200]
            assert client.get("/__admin/unplayed", headers=mine).json()["unplayed"] == []


def test_it_is_not_there_when_nobody_asked_for_it() -> None:
    with running() as (_, base, banner):
        assert "dmin" not in banner
        assert httpx.get(f"{base}/__admin/journal").status_code == 404


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # noqa: S104  (for the test's length)
async def test_a_listener_answers_clients_of_this_machine(address: str) -> None:
    fake = Fake(Behaviour(latency=Latency(0, 0)), admin=True)
    async with anyio.create_task_group() as tasks:
        ports: list[int] = []
        listening = anyio.Event()

        def announce(port: int) -> None:
            ports.append(port)
            listening.set()

        tasks.start_soon(serve, address, 0, fake, announce)
        await listening.wait()
        assert await status_of(ports[0]) == 200
        assert await status_of(ports[0], host="rebound.example") == 403
        tasks.cancel_scope.cancel()


async def test_a_socket_of_anyio_knows_its_peer() -> None:
    fake = Fake(Behaviour(latency=Latency(0, 0)), admin=True)
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, partial(serve_stream, fake=fake))
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610  (anyio's, not Django's)
        assert await status_of(port) == 200
        tasks.cancel_scope.cancel()


async def test_a_socket_of_trio_knows_its_peer_beneath_whatever_is_over_it() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    client = await trio.open_tcp_stream(*listener.socket.getsockname())
    server = await listener.accept()
    async with client, server, listener:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        secured = trio.SSLStream(server, context, server_side=True)
        for stream in (server, secured, trio.StapledStream(server, server)):
            assert TrioWire(stream).peer == "127.0.0.1"
    assert TrioWire(secured).peer == ""


async def test_a_connection_that_is_lost_is_nobodys() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire = SocketWire(theirs)
        assert is_local(wire)
        await wire.aclose()
        assert not is_local(wire)


async def status_of(port: int, host: str = "localhost") -> int:
    async with httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{port}/__admin/journal"
        return (await client.get(url, headers={"host": f"{host}:{port}"})).status_code
