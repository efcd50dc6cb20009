"""Goal: the program starts, serves, logs and stops as its README says.

Method: the real program over real sockets, in a process of its own.
"""

# ruff: noqa: S603  (the only program run is this one)

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from fakes.openai_compat_server.persona import GREETING
from fakes.openai_compat_server.tests.fake_client import chat, frames, on_the_wire

PROGRAM = (sys.executable, "-m", "fakes.openai_compat_server", "serve", "--port", "0")


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The process, its base URL, and its banner."""
    command = [*PROGRAM, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as it:
        assert it.stdout is not None
        banner = ""
        while (line := it.stdout.readline()) != "Ctrl-C stops it.\n":
            assert line, "it ended before its banner did"
            banner += line
        try:
            yield it, banner.split()[2].removesuffix("/v1"), banner
        finally:
            it.kill()


def test_the_curl_of_the_banner_says_hello_and_is_greeted() -> None:
    with running("--latency", "ttft=1ms,itl=1ms") as (_, base, banner):
        body = banner.partition(" -d '")[2].partition("'\n")[0]
        assert json.loads(body)["messages"] == [{"role": "user", "content": "hello"}]
        assert f"curl -N {base}/v1/chat/completions " in banner
        reply = httpx.post(
            f"{base}/v1/chat/completions",
            content=body,
            headers={"content-type": "application/json"},
        )
        deltas = [frame["choices"][0]["delta"] for frame in frames(reply.content)]  # type: ignore[index]  # frames are JSON
        text = "".join(delta.get("content", "") for delta in deltas)
        assert text == GREETING


def test_the_banner_names_what_the_admin_api_has() -> None:
    with running("--admin") as (_, base, banner):
        named = re.findall(r"/__admin/\w+", banner)
        assert named == ["/__admin/journal", "/__admin/script", "/__admin/unplayed"]
        for path in named:
            assert httpx.get(base + path).status_code == 200


def test_each_request_is_one_line_and_a_leaver_is_named() -> None:
    with running("--latency", "ttft=1ms,itl=20ms", "--persona", "echo") as (it, base, _):
        assert it.stdout is not None
        with httpx.Client() as client:
            assert client.get(f"{base}/health").json() == {"status": "ok"}
            assert client.get(f"{base}/v1/models").json()["object"] == "list"
            with client.stream(
                "POST", f"{base}/v1/chat/completions", json=chat("a b " * 400, stream=True)
            ) as response:
                next(response.iter_bytes())
        lines = [it.stdout.readline() for _ in range(4)]
        assert lines[0] == "\n"
        assert lines[1].startswith("GET /health 200 110 bytes in ")
        assert lines[2].startswith("GET /v1/models 200 ")
        assert lines[3].startswith("POST /v1/chat/completions 200 client left after ")


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_at_once_when_told_to_with_live_streams(told: signal.Signals) -> None:
    with running("--latency", "ttft=60s") as (
        it,
        base,
        _,
    ):
        host, port = base.removeprefix("http://").split(":")
        clients = [socket.create_connection((host, int(port)), timeout=5) for _ in range(20)]
        for client in clients:
            client.sendall(on_the_wire(chat(stream=True)))
            assert client.recv(15) == b"HTTP/1.1 200 OK"
        began = time.monotonic()
        it.send_signal(told)
        assert it.wait(timeout=5) == 0
        assert time.monotonic() - began < 0.3
        for client in clients:
            client.close()
        assert it.stderr is not None
        assert it.stderr.read() == ""


def test_413_reaches_a_client_that_is_still_sending() -> None:
    with running() as (_, base, _banner):
        body = json.dumps(chat("a" * 5_000_000)).encode()
        reply = httpx.post(f"{base}/v1/chat/completions", content=body)
        assert reply.status_code == 413


def test_a_port_in_use_is_one_line_and_status_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = subprocess.run(
            [*PROGRAM[:-1], str(port)], capture_output=True, text=True, timeout=10, check=False
        )
    assert (run.returncode, run.stdout) == (1, "")
    assert f"can not listen on 127.0.0.1 port {port}" in run.stderr
    assert run.stderr.count("\n") == 1


def test_bad_arguments_are_one_line_and_status_2() -> None:
    run = subprocess.run(
        [*PROGRAM, "--latency", "soon"], capture_output=True, text=True, timeout=10, check=False
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.count("\n") == 1


def test_nothing_is_printed_when_it_is_quiet() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [*PROGRAM[:-1], str(port), "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as it:
        transport = httpx.HTTPTransport(retries=8)  # connecting anew, with growing pauses
        with httpx.Client(transport=transport) as client:
            assert client.get(f"http://127.0.0.1:{port}/health").status_code == 200
        it.send_signal(signal.SIGTERM)
        assert it.communicate(timeout=5) == (b"", b"")
        assert it.returncode == 0


def test_listing_ends_quietly_when_its_reader_has_seen_enough() -> None:
    command = [*PROGRAM[:3], "scenarios"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as it:
        assert it.stdout is not None
        assert it.stderr is not None
        it.stdout.close()
        assert it.stderr.read() == ""
        assert it.wait(timeout=5) == 0


def test_a_listing_of_nothing_names_what_is_near_and_ends_in_status_1() -> None:
    command = [*PROGRAM[:3], "scenarios", "stal-l"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert (run.returncode, run.stdout) == (1, "")
    assert "Near names: stall" in run.stderr
    assert run.stderr.count("\n") == 1


def test_it_goes_on_serving_when_nobody_reads_its_log_any_more() -> None:
    with running() as (it, base, _):
        assert it.stdout is not None
        assert it.stderr is not None
        it.stdout.close()
        with httpx.Client() as client:
            for _ in range(3):
                assert client.get(f"{base}/health").status_code == 200
        it.send_signal(signal.SIGTERM)
        assert it.wait(timeout=5) == 0
        assert it.stderr.read() == ""


def test_a_listing_that_can_not_be_written_is_one_line_and_status_1() -> None:
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [*PROGRAM[:3], "scenarios"],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=10, check=False,
        )  # fmt: skip
    assert run.returncode == 1
    assert run.stderr.endswith("stdout: No space left on device\n")
    assert run.stderr.count("\n") == 1
