"""Goal: a container's health check tells a program that answers 200 from everything else.

Method: the probe as a process, as a container runs it, against servers over real sockets.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest


@contextmanager
def answering(status: int) -> Iterator[str]:
    """A server that answers every GET with this status; yields its address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            del arguments

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        serving.join()


def probe(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "hop.probe", *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
    )


def test_program_that_answers_200_is_healthy_whatever_proxy_is_set() -> None:
    with answering(200) as url:
        result = probe(f"{url}/ready", http_proxy="http://127.0.0.1:9", no_proxy="")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("status", [204, 404, 500, 503])
def test_other_status_is_unhealthy_and_named(status: int) -> None:
    with answering(status) as url:
        result = probe(f"{url}/ready")
    assert result.returncode == 1
    assert str(status) in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_nobody_listening_is_unhealthy() -> None:
    with answering(200) as url:
        pass
    result = probe(f"{url}/ready")
    assert (result.returncode, len(result.stderr.splitlines())) == (1, 1)


@pytest.mark.parametrize("arguments", [(), ("file:///etc/passwd",), ("http://a", "http://b")])
def test_what_is_no_address_is_refused(arguments: tuple[str, ...]) -> None:
    result = probe(*arguments)
    assert (result.returncode, result.stderr.split(":")[0]) == (2, "usage")
