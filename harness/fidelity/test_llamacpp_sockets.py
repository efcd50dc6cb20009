"""Goal: the `llamacpp` dialect can not be told from llama.cpp by keys, types, order or errors.

Method: the same requests to a real llama.cpp server, with a real model, and to the fake; the
shapes of the answers must be equal. `make test-fidelity` brings the server.
"""

import json

import pytest
from jsonschema import validate  # type: ignore[import-untyped] # it ships no types

from fakes.openai_compat_server.dialects import LLAMACPP, Refused
from fakes.openai_compat_server.tests.fake_client import CHAT, chat
from harness.fidelity.real_server import RealServer, fake, posted
from harness.fidelity.shapes import shape, shape_of_answer
from llmgw.prompt import reply_schema

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
