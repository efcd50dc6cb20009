"""Goal: on real sockets the admin face is there when it was asked for, on loopback, and only then.

Method: the real program in a process of its own; a listener on every address in this one.
"""

from functools import partial

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute

from fakes.openai_compat_server import Behaviour, Fake, Latency, serve, serve_stream
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


@pytest.mark.parametrize(("on_loopback", "status"), [(False, 404), (True, 200)])
async def test_a_listener_answers_when_it_is_said_to_be_on_loopback(
    on_loopback: bool, status: int
) -> None:
    fake = Fake(Behaviour(latency=Latency(0, 0)), admin=True, on_loopback=on_loopback)
    async with anyio.create_task_group() as tasks:
        ports: list[int] = []
        listening = anyio.Event()

        def announce(port: int) -> None:
            ports.append(port)
            listening.set()

        tasks.start_soon(serve, "127.0.0.1", 0, fake, announce)
        await listening.wait()
        async with httpx.AsyncClient() as client:
            reply = await client.get(f"http://127.0.0.1:{ports[0]}/__admin/journal")
        assert reply.status_code == status
        tasks.cancel_scope.cancel()


async def test_a_socket_of_anyio_is_no_stream_in_memory() -> None:
    fake = Fake(Behaviour(latency=Latency(0, 0)), admin=True)
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, partial(serve_stream, fake=fake))
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610  (anyio's, not Django's)
        async with httpx.AsyncClient() as client:
            reply = await client.get(f"http://127.0.0.1:{port}/__admin/journal")
        assert reply.status_code == 404
        tasks.cancel_scope.cancel()
