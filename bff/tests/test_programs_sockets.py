"""The three services as real processes: how they start, refuse to, and stop."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
import trio
from attrs import frozen

from fakes.openai_compat_server import Behaviour
from fakes.openai_compat_server.pytest_plugin import serving

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("bff", "qs", "llmgw")
GONE_S = 5.0
SHORT_DRAIN = {"DRAIN_TIMEOUT_MS": "600"}
CHAT = {"message": {"role": "user", "content": "Which package does a file belong to?"}}
GENERATE = {
    "messages": [{"role": "user", "content": "Which package does a file belong to?"}],
    "context": {"chunks": [{"chunk_id": "d#1", "content": "dpkg -S names a file's package."}]},
}


def environment(**settings: str) -> dict[str, str]:
    """What a program finds: nothing of ours but these."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), **settings}


def command(service: str, *arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", service, *arguments]


async def ran(service: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[bytes]:
    """A program that ends by itself."""
    with trio.fail_after(20):
        return await trio.run_process(
            command(service, *arguments),
            env=environment(**settings),
            cwd=ROOT,
            check=False,
            capture_stdout=True,
            capture_stderr=True,
        )


@frozen
class Running:
    """A program that serves."""

    process: trio.Process
    url: str

    async def stop(self, number: int) -> tuple[int, float, bytes]:
        """Its exit code, how long it took, and what it still logged."""
        began = trio.current_time()
        self.process.send_signal(number)
        with trio.fail_after(GONE_S):
            code = await self.process.wait()
        took = trio.current_time() - began
        assert self.process.stdout is not None
        return code, took, b"".join([data async for data in self.process.stdout])


@asynccontextmanager
async def started(service: str, **settings: str) -> AsyncIterator[Running]:
    """A program on a free port, serving."""
    env = environment(**{f"{service.upper()}_PORT": "0", **settings})
    process = await trio.lowlevel.open_process(
        command(service), env=env, cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        with trio.fail_after(20):
            yield Running(process, f"http://127.0.0.1:{await _port(process)}")
    finally:
        if process.returncode is None:
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
        assert process.stdout is not None
        await process.stdout.aclose()


async def _port(process: trio.Process) -> int:
    assert process.stdout is not None
    said = b""
    while b"\n" not in said:
        data = await process.stdout.receive_some()
        assert data, "it ended before it served"
        said += data
    line: dict[str, object] = json.loads(said.splitlines()[0])
    assert line["event"] == "serving"
    assert isinstance(line["port"], int)
    return line["port"]


@contextmanager
def bound() -> Iterator[int]:
    """A port that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


@pytest.mark.parametrize("service", SERVICES)
async def test_a_program_explains_itself_and_refuses_in_one_line_each(service: str) -> None:
    prefix = service.upper()
    bad = {f"{prefix}_PORT": "x", "HOP_CONNECT_TIMEOUT_MS": "0"}
    results: dict[str, subprocess.CompletedProcess[bytes]] = {}

    async def note(name: str, settings: dict[str, str], *arguments: str) -> None:
        results[name] = await ran(service, *arguments, **settings)

    with bound() as port:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(note, "help", {}, "--help")
            nursery.start_soon(note, "bad", bad)
            nursery.start_soon(note, "taken", {f"{prefix}_PORT": str(port)})
    assert results["help"].returncode == 0
    assert f"{prefix}_PORT=" in results["help"].stdout.decode()
    assert results["bad"].returncode == 2
    lines = results["bad"].stderr.decode().splitlines()
    assert sorted(line.partition("=")[0] for line in lines) == sorted(
        f"{service}: {variable}" for variable in bad
    )
    assert results["taken"].returncode == 1
    said = results["taken"].stderr.decode()
    assert said == f"{service}: cannot listen on 127.0.0.1:{port}: the port is in use\n"


@pytest.mark.parametrize("service", SERVICES)
async def test_an_idle_program_is_gone_soon_after_a_signal(service: str) -> None:
    async with started(service) as program, httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"{program.url}/health")).json()["service"] == service
        code, took, logged = await program.stop(signal.SIGTERM)
    assert code == 0
    assert took < 2
    assert json.loads(logged.splitlines()[-1])["event"] == "stopped"


async def test_a_program_whose_output_is_gone_serves_and_ends_well() -> None:
    async with started("bff") as program, httpx.AsyncClient(trust_env=False) as client:
        assert program.process.stdout is not None
        await program.process.stdout.aclose()
        for _ in range(2):
            assert (await client.get(f"{program.url}/nowhere")).status_code == 404
        program.process.send_signal(signal.SIGTERM)
        with trio.fail_after(GONE_S):
            assert await program.process.wait() == 0


async def test_a_signal_right_after_the_first_line_is_heard() -> None:
    async with started("bff") as program:
        code, _, _ = await program.stop(signal.SIGINT)
    assert code == 0


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """A neighbour that takes every call and says nothing."""

    async def hold(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, hold, listeners)
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def ended_by_drain(program: Running, path: str, body: Mapping[str, object]) -> bytes:
    """A live call's whole answer, while its program is told to stop."""
    answers: list[httpx.Response] = []

    async def ask(client: httpx.AsyncClient) -> None:
        answers.append(await client.post(f"{program.url}{path}", json=body))

    client = httpx.AsyncClient(trust_env=False, timeout=10)
    async with client, trio.open_nursery() as nursery:
        nursery.start_soon(ask, client)
        await trio.sleep(0.3)
        code, took, logged = await program.stop(signal.SIGTERM)
    assert code == 0
    assert took < GONE_S
    assert b"ADMISSION_SHUTTING_DOWN" in logged
    return answers[0].content


async def ingested(folder: Path) -> str:
    """An index of one small document; its path."""
    folder.joinpath("docs").mkdir()
    page = "# Files\n\nTo which package does a file belong? dpkg -S names it.\n"
    folder.joinpath("docs", "files.md").write_text(page)
    index = str(folder / "index.sqlite3")
    done = await ran("qs.ingest", str(folder / "docs"), "--index", index)
    assert done.returncode == 0, done.stderr
    return index


def endings(stream: bytes) -> list[str]:
    names: list[str] = re.findall(r"^event: (\w+)$", stream.decode(), re.MULTILINE)
    return names


async def test_a_live_call_of_the_bff_ends_with_its_reason() -> None:
    async with silent() as qs, started("bff", BFF_QS_URL=qs, **SHORT_DRAIN) as program:
        answer = await ended_by_drain(program, "/chat?stream=true", CHAT)
    assert b"ADMISSION_SHUTTING_DOWN" in answer


async def test_a_second_signal_does_not_wait_for_the_drain() -> None:
    client = httpx.AsyncClient(trust_env=False, timeout=10)

    async def ask(url: str) -> None:
        with suppress(httpx.HTTPError):
            await client.post(f"{url}/chat", json=CHAT)

    async with (
        silent() as qs,
        started("bff", BFF_QS_URL=qs, DRAIN_TIMEOUT_MS="3500") as program,
        client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(ask, program.url)
        await trio.sleep(0.3)
        program.process.send_signal(signal.SIGTERM)
        await trio.sleep(0.2)
        code, took, _ = await program.stop(signal.SIGTERM)
    assert code == 0
    assert took < 2


async def test_a_live_stream_of_qs_ends_with_its_reason(tmp_path: Path) -> None:
    index = await ingested(tmp_path)
    settings = {"QS_INDEX_PATH": index, "QS_MIN_SCORE": "0", **SHORT_DRAIN}
    async with silent() as neighbour, started("qs", QS_LLM_URL=neighbour, **settings) as program:
        answer = await ended_by_drain(program, "/chat?stream=true", CHAT)
    assert endings(answer) == ["meta", "sources", "error", "done"]
    assert b"ADMISSION_SHUTTING_DOWN" in answer


async def test_a_live_stream_of_llmgw_ends_with_its_reason() -> None:
    body = {**GENERATE, "stream": True}
    with serving(Behaviour(scenario="silence")) as model:
        async with started("llmgw", LLM_BASE_URL=model.base_url, **SHORT_DRAIN) as program:
            answer = await ended_by_drain(program, "/v1/generate", body)
        assert len(model.wait_left()) == 1
    assert endings(answer)[-2:] == ["error", "done"]
    assert b"ADMISSION_SHUTTING_DOWN" in answer


async def test_the_toy_answers_without_a_model_server() -> None:
    toy = started("llmgw", LLM_PROVIDER="toy")
    async with toy as program, httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{program.url}/v1/generate", json=GENERATE)
        code, _, _ = await program.stop(signal.SIGTERM)
    assert (answer.json()["status"], code) == ("ok", 0)


async def test_addresses_are_counted_apart_when_no_key_is_needed() -> None:
    """Loopback has many addresses; only sockets have any."""
    rate = {"BFF_RATE_PER_MINUTE": "1", "BFF_RATE_BURST": "2"}
    async with started("bff", BFF_QS_URL="http://127.0.0.1:9", **rate) as bff:
        for address in ("127.0.0.1", "127.0.0.2"):
            # A new connection each time: it is the address that counts, not the port.
            statuses = []
            for _ in range(3):
                way = httpx.AsyncHTTPTransport(local_address=address)
                async with httpx.AsyncClient(transport=way) as client:
                    statuses.append((await client.post(f"{bff.url}/chat", json=CHAT)).status_code)
            assert statuses == [200, 200, 429], address


@pytest.mark.parametrize("service", SERVICES)
async def test_no_key_is_printed_when_one_is_unusable(service: str) -> None:
    variable = f"{service.upper()}_API_KEYS"
    result = await ran(service, **{variable: "hunter2,hunter2"})
    assert result.returncode == 2
    assert result.stderr == f"{service}: {variable}=(secret): key 2 is the same as key 1\n".encode()
    assert result.stdout == b""
