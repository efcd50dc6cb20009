"""Goal: the fake behind TLS is taken for a real HTTPS server, and its faults for real ones.

Method: the listener over real sockets under both of anyio's back ends, against the standard
library's TLS; the real program, as its banner says how to use it.
"""

# ruff: noqa: S603  (the only programs run are this one, and curl with what its banner says)

import os
import shlex
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import anyio
import anyio.to_thread
import httpx
import pytest

from fakes.openai_compat_server import Behaviour, Fake, Journal, Latency, Tls, serve
from fakes.openai_compat_server.tests.fake_client import chat, frames, on_the_wire

PROGRAM = (sys.executable, "-m", "fakes.openai_compat_server", "serve", "--port", "0")
BACK_ENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
TLS = Tls()
SOON_S = 0.1


def against(
    scenario: str, client: Callable[[int], None], backend: str, journal: Journal | None = None
) -> Fake:
    """Run a blocking client against a listener that plays the scenario."""
    behaviour = Behaviour(persona="echo", latency=Latency(0.0, 0.0), scenario=scenario)
    fake = Fake(behaviour, journal=journal or Journal(), tls=TLS)

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            ports: list[int] = []
            listening = anyio.Event()

            def announce(port: int) -> None:
                ports.append(port)
                listening.set()

            tasks.start_soon(serve, "127.0.0.1", 0, fake, announce)
            await listening.wait()
            await anyio.to_thread.run_sync(client, ports[0])
            tasks.cancel_scope.cancel()

    program: Callable[[], Awaitable[None]] = run
    anyio.run(program, backend=backend)
    return fake


@contextmanager
def secured(port: int, host: str = "localhost") -> Iterator[ssl.SSLSocket]:
    """A client that trusts the authority, after its handshake."""
    connected = socket.create_connection(("127.0.0.1", port), timeout=5)
    with connected, TLS.trust().wrap_socket(connected, server_hostname=host) as client:
        yield client


@BACK_ENDS
@pytest.mark.parametrize(
    ("scenario", "fault", "named"),
    [
        ("tls-wrong-host", ssl.SSLCertVerificationError, "Hostname mismatch"),
        ("tls-unknown-authority", ssl.SSLCertVerificationError, "unable to get local issuer"),
        ("tls-expired", ssl.SSLCertVerificationError, "certificate has expired"),
        ("tls-cut-handshake", ssl.SSLEOFError, "EOF"),
        ("tls-not-spoken", ssl.SSLError, "WRONG_VERSION_NUMBER"),
        ("tls-silent-handshake", TimeoutError, "timed out"),
    ],
)
def test_a_handshake_fails_and_the_same_authority_is_trusted_for_the_right_host(
    scenario: str, fault: type[Exception], named: str, backend: str
) -> None:
    def refuse(port: int) -> None:
        connected = socket.create_connection(("127.0.0.1", port), timeout=5)
        connected.settimeout(SOON_S if fault is TimeoutError else 5)
        with connected, pytest.raises(fault, match=named):
            TLS.trust().wrap_socket(connected, server_hostname="localhost")

    def take(port: int) -> None:
        for host in ("localhost", "127.0.0.1"):
            with secured(port, host) as client:
                assert client.selected_alpn_protocol() in (None, "http/1.1")

    against(scenario, refuse, backend)
    against("", take, backend)


@BACK_ENDS
@pytest.mark.parametrize(
    ("scenario", "is_reset"), [("reset-mid-stream?after=1", True), ("no-final-chunk", False)]
)
def test_a_reset_is_a_reset_and_a_close_is_none_behind_tls(
    scenario: str, is_reset: bool, backend: str
) -> None:
    seen = []

    def client(port: int) -> None:
        with secured(port) as connection:
            connection.sendall(on_the_wire(chat("one two three", stream=True)))
            # The connection itself, since a reset is just another end to TLS.
            with socket.socket(fileno=os.dup(connection.fileno())) as beneath:
                beneath.setblocking(True)
                try:
                    while beneath.recv(65_536):
                        pass
                    seen.append(False)
                except ConnectionResetError:
                    seen.append(True)

    against(scenario, client, backend)
    assert seen == [is_reset]


@BACK_ENDS
def test_what_is_sent_and_read_at_once_comes_whole_behind_tls(backend: str) -> None:
    """Answers of many records, a refusal while the client still sends, and the connection kept."""

    def client(port: int) -> None:
        url = f"https://localhost:{port}/v1/chat/completions"
        with httpx.Client(verify=TLS.trust(), trust_env=False) as client:
            for _ in range(2):
                reply = client.post(url, json=chat("a " * 4_000, stream=True))
                assert sum(bool(frame["choices"]) for frame in frames(reply.content)) > 1_000
            assert client.post(url, json=chat("a" * 5_000_000)).status_code == 413

    fake = against("", client, backend)
    assert [entry.status for entry in fake.journal.entries] == [200, 200, 413]
    assert [entry.client_left_at for entry in list(fake.journal.entries)[:2]] == [None, None]


@BACK_ENDS
def test_a_client_that_leaves_behind_tls_is_seen_leaving(backend: str) -> None:
    noticed = Event()

    def client(port: int) -> None:
        with secured(port) as connection:
            connection.sendall(on_the_wire(chat("one two", stream=True)))
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
        assert noticed.wait(5)

    journal = Journal(on_end=lambda _: noticed.set())
    against("stall?after=1", client, backend, journal)
    assert journal.entries[0].client_left_at is not None


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The program, and its banner."""
    command = [*PROGRAM, "--latency", "ttft=1ms,itl=0ms", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as it:
        assert it.stdout is not None
        banner = ""
        while not banner.endswith("Ctrl-C stops it.\n"):
            line = it.stdout.readline()
            assert line, "it ended before its banner did"
            banner += line
        try:
            yield it, banner
        finally:
            it.kill()


def curl(banner: str) -> subprocess.CompletedProcess[str]:
    """The banner's own example."""
    (line,) = (line for line in banner.splitlines() if line.startswith("curl "))
    command = ["curl", "-sS", *shlex.split(line)[1:]]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)


def test_the_curl_of_the_banner_trusts_the_authority_and_the_file_goes_at_the_end() -> None:
    with running("--tls") as (it, banner):
        assert banner.startswith("OpenAI-compatible fake: https://127.0.0.1:")
        authority = Path(banner.partition("the authority in ")[2].partition(". Try it")[0])
        assert authority.exists()
        answered = curl(banner)
        assert answered.stdout.endswith("data: [DONE]\n\n"), answered.stderr
        it.send_signal(signal.SIGTERM)
        assert it.wait(timeout=5) == 0
        assert not authority.exists()
        assert it.stderr is not None
        assert it.stderr.read() == ""


def test_a_wrong_host_is_refused_by_curl_and_named_in_the_log(tmp_path: Path) -> None:
    authority = tmp_path / "an authority.pem"
    arguments = ("--tls-ca", str(authority), "--scenario", "tls-wrong-host")
    with running(*arguments) as (it, banner):
        assert "Playing tls-wrong-host." in banner
        refused = curl(banner)
        assert refused.returncode == 60, refused.stderr
        assert it.stdout is not None
        assert it.stdout.readline() == "\n"
        assert it.stdout.readline().startswith("(TLS wrong host: ")
    assert authority.exists()


def test_a_further_host_is_named_in_the_certificate(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    with running("--tls", "--tls-ca", str(authority), "--tls-host", "model.example") as (_, banner):
        port = int(banner.split()[2].rpartition(":")[2].removesuffix("/v1"))
        trust = ssl.create_default_context(cafile=authority)
        connected = socket.create_connection(("127.0.0.1", port), timeout=5)
        with connected, trust.wrap_socket(connected, server_hostname="model.example"):
            pass


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--tls", "--tls-host", "my_host"), "my_host"),
        (("--tls", "--tls-ca", "/nowhere/ca.pem"), "--tls-ca: "),
        (("--tls", "--tls-ca", __file__), "is there already"),
    ],
)
def test_what_keeps_tls_from_starting_is_one_line_and_status_1(
    arguments: tuple[str, ...], named: str
) -> None:
    run = subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=10, check=False
    )
    assert (run.returncode, run.stdout) == (1, "")
    assert named in run.stderr
    assert run.stderr.count("\n") == 1
