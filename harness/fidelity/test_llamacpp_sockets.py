"""Goal: the `llamacpp` dialect can not be told from llama.cpp by keys, types, order or errors.

Method: the same requests to a real llama.cpp server, with a real model, and to the fake; the
shapes of the answers must be equal. `make test-fidelity` brings the server.
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest
from attrs import frozen
from jsonschema import validate  # type: ignore[import-untyped] # it ships no types

from fakes.openai_compat_server import Behaviour, HttpRequest, plan_response
from fakes.openai_compat_server.dialects import LLAMACPP, Refused
from fakes.openai_compat_server.tests.fake_client import CHAT, chat, dechunked
from harness.fidelity.shapes import Answer, shape, shape_of_answer
from llmgw.prompt import reply_schema

PROGRAM = Path(__file__).parent / "llamacpp_program.py"
START_LIMIT_S = 60.0
ANSWER_LIMIT_S = 120.0
CONTEXT_TOKENS = 4096

Body = dict[str, object] | bytes


@frozen
class RealServer:
    """The real server: where it is, what it said while it loaded, how often it would ping."""

    port: int
    while_loading: tuple[Answer, ...]
    ping_every_s: float

    def ask(self, method: str, path: str, body: bytes) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_LIMIT_S)
        try:
            connection.request(method, path, body, {"content-type": "application/json"})
            return _read(connection)
        finally:
            connection.close()


@pytest.fixture(scope="module")
def real() -> Iterator[RealServer]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(  # noqa: S603 - our own program, no shell
        [os.environ["FIDELITY_PYTHON"], str(PROGRAM), str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        ping_every_s = float(process.stdout.readline())
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


def fake(method: str, path: str, body: bytes) -> Answer:
    """What the fake's bytes say to the same request."""
    behaviour = Behaviour(dialect=LLAMACPP, window_tokens=CONTEXT_TOKENS)
    headers = (("host", "x"), ("content-type", "application/json"))
    plan = plan_response(behaviour, HttpRequest(method, path, "1.1", headers, body))
    head, _, sent = b"".join(step.data for step in plan.steps).partition(b"\r\n\r\n")
    _, *lines = head.decode().split("\r\n")
    found = dict(line.split(": ", 1) for line in lines)
    return Answer(plan.status, found, dechunked(sent) if "transfer-encoding" in found else sent)


def posted(body: Body) -> tuple[str, str, bytes]:
    return "POST", CHAT, body if isinstance(body, bytes) else json.dumps(body).encode()


USAGE = {"include_usage": True}
SCHEMA = reply_schema(2)
FORM = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": SCHEMA}}
LONG = "word " * 6000
SHORT = {"max_tokens": 4, "temperature": 0}
ANSWERED = {
    "plain": posted(chat("Say hello", **SHORT)),
    "stream": posted(chat("Say hello", stream=True, **SHORT)),
    "stream with usage": posted(chat("Hello", stream=True, stream_options=USAGE, **SHORT)),
    "models": ("GET", "/v1/models", b""),
    "health": ("GET", "/health", b""),
}
REFUSED = {
    "no JSON": posted(b"{"),
    "no object": posted(b"[]"),
    "no messages": posted({"model": "m"}),
    "messages of the wrong type": posted({"model": "m", "messages": 3}),
    "no content": posted({"model": "m", "messages": [{"role": "user"}]}),
    "stream of the wrong type": posted(chat(stream="yes")),
    "two choices": posted(chat(n=2)),
    "max_tokens of the wrong type": posted(chat(max_tokens="a")),
    "temperature of the wrong type": posted(chat(temperature="a")),
    "an unknown format": posted(chat(response_format={"type": "foo"})),
    "too long": posted(chat(LONG, max_tokens=4)),
    "too long, streamed": posted(chat(LONG, max_tokens=4, stream=True)),
    "unknown path": ("GET", "/v1/nothing", b""),
    "wrong method": ("GET", CHAT, b""),
}


@pytest.mark.parametrize("call", ANSWERED.values(), ids=list(ANSWERED))
def test_an_answer_has_the_real_shape(real: RealServer, call: tuple[str, str, bytes]) -> None:
    assert shape_of_answer(fake(*call)) == shape_of_answer(real.ask(*call))


@pytest.mark.parametrize("call", REFUSED.values(), ids=list(REFUSED))
def test_a_refusal_has_the_real_shape(real: RealServer, call: tuple[str, str, bytes]) -> None:
    theirs = real.ask(*call)
    assert theirs.status >= 400
    assert shape_of_answer(fake(*call)) == shape_of_answer(theirs)


@pytest.mark.parametrize("name", ["unknown path", "wrong method"])
def test_a_refusal_without_words_of_ours_is_equal_to_the_byte(real: RealServer, name: str) -> None:
    assert fake(*REFUSED[name]).body == real.ask(*REFUSED[name]).body


def test_an_answer_in_a_schema_has_the_real_shape_and_keeps_the_schema(real: RealServer) -> None:
    call = posted(chat("What is dpkg?", response_format=FORM, max_tokens=512, temperature=0))
    ours, theirs = fake(*call), real.ask(*call)
    assert shape_of_answer(ours) == shape_of_answer(theirs)
    for answer in (ours, theirs):
        message = json.loads(answer.body)["choices"][0]["message"]
        validate(json.loads(message["content"]), dict(SCHEMA))


def test_a_cold_server_refuses_as_the_dialect_says(real: RealServer) -> None:
    refused = LLAMACPP.loading()
    assert isinstance(refused, Refused)
    assert real.while_loading, "the server was never seen loading"
    for answer in real.while_loading:
        assert (answer.status, answer.body) == (refused.status, refused.body)
        assert answer.headers["content-type"] == refused.content_type


def test_a_long_silence_is_filled_as_the_dialect_fills_it(real: RealServer) -> None:
    assert LLAMACPP.keep_alive is not None
    assert LLAMACPP.keep_alive.every_s == real.ping_every_s
    words = " ".join(f"w{number}" for number in range(900))
    body = real.ask(*posted(chat(words, max_tokens=1, stream=True))).body
    silence, _, rest = body.partition(b"data: ")
    assert silence
    assert silence == LLAMACPP.keep_alive.data * (len(silence) // len(LLAMACPP.keep_alive.data))
    assert b"content" in rest


def test_shapes_tell_apart_what_differs() -> None:
    assert shape({"a": 1, "b": 2}) != shape({"b": 2, "a": 1})
    assert shape({"a": 1}) != shape({"a": 1.0})
    assert shape({"a": None}) != shape({"a": ""})
    assert shape({"type": "x"}) != shape({"type": "y"})
    assert shape({"a": "x"}) == shape({"a": "y"})
