"""Goal: Ollama's `/v1` reads types as Go does, and no field it has no place for.

Method: fields in, Refusal or request out.
"""

import json

import pytest

from fakes.openai_compat_server.chat_request import ChatRequest
from fakes.openai_compat_server.dialects.ollama_request import read_chat
from fakes.openai_compat_server.json_fields import Refusal
from fakes.openai_compat_server.tests.fake_client import chat, named, tool
from fakes.openai_compat_server.tools import Choice

PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def read(**fields: object) -> ChatRequest:
    return read_chat(json.dumps({**chat(), **fields}).encode())


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 7},
        {"n": 5},
        {"max_completion_tokens": "x"},
        {"logit_bias": 1},
        {"stop": 5},
        {"stop": [1, ""]},
        {"stream": None},
        {"stream_options": {"include_usage": True}},
        {"tools": []},
        {"tool_choice": "always"},
        {"parallel_tool_calls": 1},
        {"response_format": {"type": "foo"}},
        {"response_format": {"type": "json_schema"}},
        {"messages": [{"role": "wizard", "content": "x"}]},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": "a"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, PNG]}]},
        {"unknown": 1},
    ],
)
def test_what_has_no_place_or_only_a_strange_value_is_let_pass(fields: dict[str, object]) -> None:
    read(**fields)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"messages": None}, "too short"),
        ({"messages": []}, "too short"),
        ({"messages": "hi"}, "ChatCompletionRequest.messages"),
        ({"messages": ["hi"]}, "ChatCompletionRequest.messages"),
        ({"messages": [{"role": 1, "content": "x"}]}, "ChatCompletionRequest.role"),
        ({"messages": [{"role": "user"}]}, "invalid message content type"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "invalid message format"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "invalid message format"),
        (
            {"messages": [{"role": "user", "content": [{**PNG, "image_url": "http://x/y"}]}]},
            "invalid image input",
        ),
        ({"model": None}, "model is required"),
        ({"model": 5}, "ChatCompletionRequest.model"),
        ({"stream": "yes"}, "ChatCompletionRequest.stream"),
        ({"stream_options": []}, "ChatCompletionRequest.stream_options"),
        ({"stream_options": {"include_usage": 1}}, "ChatCompletionRequest.include_usage"),
        ({"max_tokens": 1.5}, "ChatCompletionRequest.max_tokens"),
        ({"max_tokens": True}, "ChatCompletionRequest.max_tokens"),
        ({"temperature": "hot"}, "ChatCompletionRequest.temperature"),
        ({"seed": "a"}, "ChatCompletionRequest.seed"),
        ({"response_format": "json"}, "ChatCompletionRequest.response_format"),
        ({"tools": {}}, "ChatCompletionRequest.tools"),
        ({"tools": ["x"]}, "ChatCompletionRequest.tools"),
        ({"tools": [tool("a", [])]}, "ChatCompletionRequest.parameters"),
    ],
)
def test_what_go_can_not_unmarshal_is_refused(fields: dict[str, object], told: str) -> None:
    with pytest.raises(Refusal, match=told) as refused:
        read(**fields)
    assert refused.value.status == 400


@pytest.mark.parametrize("choice", ["none", "required", named("clock")])
def test_tools_are_the_models_choice_whatever_the_client_chose(choice: object) -> None:
    offer = read(tools=[tool(), tool("clock")], tool_choice=choice, parallel_tool_calls=False).offer
    assert (offer.choice, offer.parallel, len(offer.tools)) == (Choice.AUTO, True, 2)


def test_a_request_is_read_when_it_uses_everything() -> None:
    form = {"type": " JSON_Schema ", "json_schema": {"schema": {"type": "object"}}}
    options = {"include_usage": True}
    request = read(
        stream=True, stream_options=options, max_tokens=5, stop=["a", 1], response_format=form
    )
    assert (request.stream, request.include_usage, request.max_tokens) == (True, True, 5)
    assert (request.stop, request.response_format) == (("a",), "json_schema")
    assert request.schema == {"type": "object"}
    assert read(max_tokens=-1).max_tokens is None
