"""Goal: what only a kernel can show is real: resets, refusals, a connection that is not made.

Method: the listener in this process, over real sockets, under both of anyio's back ends.
"""

import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import anyio.to_thread
import pytest
from attrs import evolve

from fakes.openai_compat_server import Behaviour, Ending, Fake, Latency, plan_response, serve
from fakes.openai_compat_server.catalogue import CATALOGUE
from fakes.openai_compat_server.scenario import Face
from fakes.openai_compat_server.tests.fake_client import chat, on_the_wire, posted

SOON_S = 0.3
# Long enough to be kept, short enough to wait for.
QUICK = {"for": "for=20ms", "every": "every=1ms"}
CALM = Behaviour(persona="echo", latency=Latency(0.0, 0.0))
PERFORMED = [row for row in CATALOGUE.values() if row.face is Face.ANSWER]


def against(scenario: str, client: Callable[[int], None], backend: str = "asyncio") -> None:
    """Run a blocking client against a listener that plays the scenario."""
    fake = Fake(evolve(CALM, scenario=scenario))

    async def run() -> None:
        ports: list[int] = []
        listening = anyio.Event()

        def announce(port: int) -> None:
            ports.append(port)
            listening.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve, "127.0.0.1", 0, fake, announce)
            await listening.wait()
            await anyio.to_thread.run_sync(client, ports[0])
            tasks.cancel_scope.cancel()

    program: Callable[[], Awaitable[None]] = run
    anyio.run(program, backend=backend)


def dialled(port: int, data: bytes) -> tuple[bytes, bool]:
    """What one connection brings, and whether it ended in a reset."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(data)
        try:
            while part := client.recv(65_536):
                received += part
        except ConnectionResetError:
            return received, True
    return received, False


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    ("scenario", "is_reset"),
    [
        ("reset-before-bytes", True),
        ("reset-mid-stream?after=2", True),
        ("close-mid-stream?after=2", False),
        ("close-before-bytes", False),
        ("accept-reset", True),
    ],
)
def test_a_reset_is_a_reset_and_a_close_is_none(
    scenario: str, is_reset: bool, backend: str
) -> None:
    seen: list[tuple[bytes, bool]] = []

    def client(port: int) -> None:
        try:
            seen.append(dialled(port, on_the_wire(chat("one two three", stream=True))))
        except (ConnectionResetError, BrokenPipeError):
            # A reset that is there before the request has left says so at the sending.
            seen.append((b"", True))

    against(scenario, client, backend)
    ((data, was_reset),) = seen
    assert was_reset is is_reset
    assert b"[DONE]" not in data


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "plain"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_every_scenario_is_on_the_wire_to_the_byte(backend: str, stream: bool) -> None:
    def client(port: int) -> None:
        for row in PERFORMED:
            query = "&".join(QUICK[key] for key in row.parameters if key in QUICK)
            model = f"fake:{row.name}?{query}" if query else f"fake:{row.name}"
            body = {**chat("one two three", stream=stream), "model": model}
            plan = plan_response(CALM, posted(body))
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(on_the_wire(body))
                planned = b"".join(step.data for step in plan.steps)
                if plan.ending is Ending.RESET:
                    assert planned.startswith(to_the_end(connection)), row.name
                elif plan.ending is Ending.SILENCE:
                    connection.settimeout(0.05)
                    with pytest.raises(TimeoutError):
                        connection.recv(1)
                else:
                    assert exactly(connection, len(planned)) == planned, row.name

    against("", client, backend)


def to_the_end(connection: socket.socket) -> bytes:
    received = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            received += part
    return received


def exactly(connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size and (part := connection.recv(65_536)):
        received += part
    return bytes(received)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_port_is_held_and_refuses(backend: str) -> None:
    def client(port: int) -> None:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
        with pytest.raises(OSError, match="in use"), socket.socket() as other:
            other.bind(("127.0.0.1", port))

    against("refused", client, backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_connection_is_not_made_when_the_queue_is_full(backend: str) -> None:
    def client(port: int) -> None:
        with pytest.raises(TimeoutError):
            socket.create_connection(("127.0.0.1", port), timeout=SOON_S)

    against("slow-connect", client, backend)


def test_a_connection_is_made_when_the_queue_has_room_again() -> None:
    seen: list[tuple[bytes, bool]] = []

    def client(port: int) -> None:
        asked = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        seen.append(dialled(port, asked))

    against("slow-connect?for=200ms", client)
    assert seen[0][0].startswith(b"HTTP/1.1 200 OK")
