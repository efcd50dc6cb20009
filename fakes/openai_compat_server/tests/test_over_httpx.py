"""Goal: an httpx client on the fake in memory sees what it would see over sockets.

Method: one client and one fake on a clock that jumps, and on asyncio's, which hardly has to wait.
"""

from collections.abc import Awaitable, Callable

import anyio
import httpx
import pytest
import trio.testing

from fakes.openai_compat_server import Behaviour, Ending, Fake, Latency, Rule, Script, raw
from fakes.openai_compat_server.over_httpx import transport_to
from fakes.openai_compat_server.script import Playable

Use = Callable[[httpx.AsyncClient, Fake], Awaitable[None]]

CHAT = "/chat/completions"
ASK = {"model": "gpt-test", "messages": [{"role": "user", "content": "hello"}]}
STREAM = {**ASK, "stream": True}
EMPTY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


def run(use: Use, *played: Playable, backend: str, latency: Latency | None = None) -> Fake:
    """Have `use` use a client of a fake that plays this; the client is left as it is."""
    script = Script((Rule(played),), strict=True)
    fake = Fake(Behaviour(0, "echo", latency or Latency(0.0, 0.0), script=script))

    async def main() -> None:
        with anyio.fail_after(10_000 if backend == "trio" else 5):
            base_url = "http://openai-fake.invalid/v1"
            await use(httpx.AsyncClient(transport=transport_to(fake), base_url=base_url), fake)

    clock = trio.testing.MockClock(autojump_threshold=0)
    anyio.run(main, backend=backend, backend_options={"clock": clock} if backend == "trio" else {})
    assert (fake.playing.unplayed, fake.playing.unmatched) == ((), ())
    return fake


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_answers_come_over_one_connection(backend: str) -> None:
    async def use(client: httpx.AsyncClient, fake: Fake) -> None:
        assert (await client.post(CHAT, json=ASK)).status_code == 429
        assert (await client.post(CHAT, json=ASK)).json()["model"] == "gpt-test"
        async with client.stream("POST", CHAT, json=STREAM) as reply:
            assert [line async for line in reply.aiter_lines()][-2:] == ["data: [DONE]", ""]
        [_] = client._transport._pool.connections  # type: ignore[attr-defined]  # httpx names no pool
        await client.aclose()

    assert len(run(use, "status-429", "ok", "ok", backend=backend).journal.entries) == 3


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("reset-mid-stream?after=2", httpx.ReadError),
        ("reset-before-bytes", httpx.ReadError),
        ("close-mid-stream?after=2", httpx.RemoteProtocolError),
        ("close-before-bytes", httpx.RemoteProtocolError),
    ],
)
def test_faults_are_those_of_a_socket(
    name: str, fault: type[httpx.TransportError], backend: str
) -> None:
    async def use(client: httpx.AsyncClient, fake: Fake) -> None:
        with pytest.raises(fault):
            await client.post(CHAT, json=STREAM)
        assert (await client.post(CHAT, json=ASK)).status_code == 200

    run(use, name, "ok", backend=backend)


def test_a_client_that_is_out_of_patience_is_seen_leaving(backend: str) -> None:
    async def use(client: httpx.AsyncClient, fake: Fake) -> None:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(CHAT, json=ASK, timeout=0.01)
        await anyio.wait_all_tasks_blocked()
        [entry] = fake.journal.entries
        assert entry.client_left_at is not None

    run(use, "silence", backend=backend)


def test_a_connection_closed_while_it_was_kept_is_not_used_again(backend: str) -> None:
    async def use(client: httpx.AsyncClient, fake: Fake) -> None:
        for _ in range(2):
            assert (await client.post(CHAT, json=ASK)).status_code == 200
            await anyio.wait_all_tasks_blocked()

    run(use, raw(EMPTY, ending=Ending.CLOSE), "ok", backend=backend)


def test_one_request_is_answered_while_another_waits(backend: str) -> None:
    async def use(client: httpx.AsyncClient, fake: Fake) -> None:
        async def ask() -> None:
            await client.post(CHAT, json=ASK)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            assert (await client.post(CHAT, json=ASK)).status_code == 200
            tasks.cancel_scope.cancel()

    run(use, "silence", "ok", backend=backend)


def test_what_a_client_leaves_open_ends_with_the_loop(backend: str) -> None:
    async def use(client: httpx.AsyncClient, fake: Fake) -> None:
        asked = client.build_request("POST", CHAT, json=STREAM)
        assert (await client.send(asked, stream=True)).status_code == 200

    [entry] = run(use, "stall?after=1&for=1h", backend=backend).journal.entries
    assert entry.ended_at is not None


def test_https_is_refused_in_words(backend: str) -> None:
    async def use(client: httpx.AsyncClient, fake: Fake) -> None:
        with pytest.raises(httpx.ConnectError, match="no TLS in memory"):
            await client.get("https://openai-fake.invalid/v1/models")
        assert (await client.post(CHAT, json=ASK)).status_code == 200

    run(use, "ok", backend=backend)


def test_time_is_the_loops() -> None:
    async def use(client: httpx.AsyncClient, fake: Fake) -> None:
        began = anyio.current_time()
        assert (await client.post(CHAT, json=ASK, timeout=None)).status_code == 200
        assert anyio.current_time() - began > 2000

    run(use, "ok", backend="trio", latency=Latency(3000.0, 0.0))
