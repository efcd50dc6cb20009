"""The real server as a process of its own, and the fake, asked alike."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from attrs import frozen

from fakes.openai_compat_server import Behaviour, HttpRequest, plan_response
from fakes.openai_compat_server.dialects import LLAMACPP
from fakes.openai_compat_server.tests.fake_client import CHAT, dechunked
from harness.fidelity.shapes import Answer
from harness.tidy import ROOT

PROGRAM = ROOT / "scripts/llamacpp_server.py"
# The model's own has no place for tools; with this one the server looks for calls in its answers.
TEMPLATE = Path(__file__).parent / "tools_template.jinja"
START_LIMIT_S = 60.0
ANSWER_LIMIT_S = 120.0
CONTEXT_TOKENS = 4096
JSON = "application/json"

Body = dict[str, object] | bytes


@frozen
class RealServer:
    """The real server: where it is, what it said while it loaded, how often it would ping."""

    port: int
    while_loading: tuple[Answer, ...]
    ping_every_s: float

    def ask(self, method: str, path: str, body: bytes, content_type: str = JSON) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_LIMIT_S)
        try:
            connection.request(method, path, body, {"content-type": content_type})
            return _read(connection)
        finally:
            connection.close()


@contextmanager
def serving(python: str) -> Iterator[RealServer]:
    """A real server that runs meanwhile, in the environment of the interpreter `python`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    options = ("--port", str(port), "--slots", "1", "--ping-s", "1")
    process = subprocess.Popen(  # noqa: S603 - our own program, no shell
        [python, str(PROGRAM), *options, "--chat-template", str(TEMPLATE)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        ping_every_s = float(json.loads(process.stdout.readline())["sse_ping_interval"])
        yield RealServer(port, _wait_ready(port), ping_every_s)
    finally:
        process.kill()
        process.communicate()


def _wait_ready(port: int) -> tuple[Answer, ...]:
    """What it answered before it answered well."""
    early: list[Answer] = []
    until = time.monotonic() + START_LIMIT_S
    while time.monotonic() < until:
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/v1/models")
            answer = _read(connection)
            connection.close()
        except (OSError, HTTPException):
            time.sleep(0.005)
            continue
        if answer.status == 200:
            return tuple(early)
        early.append(answer)
    raise TimeoutError("the real server did not start")


def _read(connection: HTTPConnection) -> Answer:
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def fake(method: str, path: str, body: bytes, content_type: str = JSON) -> Answer:
    """What the fake's bytes say to the same request."""
    behaviour = Behaviour(dialect=LLAMACPP, window_tokens=CONTEXT_TOKENS)
    headers = (("host", "x"), ("content-type", content_type))
    plan = plan_response(behaviour, HttpRequest(method, path, "1.1", headers, body))
    head, _, sent = b"".join(step.data for step in plan.steps).partition(b"\r\n\r\n")
    _, *lines = head.decode().split("\r\n")
    found = dict(line.split(": ", 1) for line in lines)
    return Answer(plan.status, found, dechunked(sent) if "transfer-encoding" in found else sent)


def posted(body: Body) -> tuple[str, str, bytes]:
    return "POST", CHAT, body if isinstance(body, bytes) else json.dumps(body).encode()
