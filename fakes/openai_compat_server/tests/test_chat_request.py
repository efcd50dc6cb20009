"""Goal: every body the real API refuses is refused here, with the parameter named.

Method: bodies in, Refusal or request out.
"""

import json

import pytest

from fakes.openai_compat_server.chat_request import Message, parse_chat
from fakes.openai_compat_server.json_fields import Refusal
from fakes.openai_compat_server.tests.fake_client import chat

USER = {"role": "user", "content": "x"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'"text"',
        b"{}{}",
        b'{"model": NaN}',
        b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b"[" * 100_000,
        b'{"seed": ' + b"9" * 5_000 + b"}",
    ],
)
def test_the_body_as_a_whole_is_refused_when_it_is_no_json_object(body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        parse_chat(body)
    assert refused.value.param is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 7}, "model"),
        ({"model": " "}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [USER, "hi"]}, "messages[1]"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
        ),
        ({"stream": "true"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": []}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"n": 2}, "n"),
        ({"n": True}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_completion_tokens": "9"}, "max_completion_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"top_p": False}, "top_p"),
        ({"frequency_penalty": -3}, "frequency_penalty"),
        ({"stop": 5}, "stop"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"tools": {}}, "tools"),
        ({"parallel_tool_calls": True}, "parallel_tool_calls"),
        ({"temperature": -0.1}, "temperature"),
        ({"top_p": 1.1}, "top_p"),
        ({"presence_penalty": 2.5}, "presence_penalty"),
        ({"n": 0}, "n"),
        ({"n": "1"}, "n"),
        ({"stop": [1]}, "stop"),
        ({"stop": ""}, "stop"),
        ({"seed": 1.5}, "seed"),
        ({"seed": "a"}, "seed"),
        ({"user": 5}, "user"),
        ({"store": "yes"}, "store"),
        ({"metadata": []}, "metadata"),
        ({"service_tier": 1}, "service_tier"),
        ({"logprobs": "yes"}, "logprobs"),
        ({"logprobs": 1}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": -1}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 1.5}, "top_logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logit_bias": []}, "logit_bias"),
        ({"logit_bias": {"50256": 101}}, "logit_bias.50256"),
        ({"logit_bias": {"50256": "x"}}, "logit_bias.50256"),
        ({"reasoning_effort": "all"}, "reasoning_effort"),
        ({"functions": {}}, "functions"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {}}, "response_format.type"),
        ({"response_format": {"type": ["text"]}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": 1, "schema": {}}}},
            "response_format.json_schema.name",
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "a b", "schema": {}},
                }
            },
            "response_format.json_schema.name",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": 1}}},
            "response_format.json_schema.schema",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
            "response_format.json_schema.name",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
            "response_format.json_schema.schema",
        ),
    ],
)
def test_the_parameter_is_named_when_it_is_refused(fields: dict[str, object], param: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_chat(json.dumps({**chat(), **fields}).encode())
    assert refused.value.param == param
    assert f"'{param}'" in refused.value.message


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"messages": None}, "missing_required_parameter"),
        ({"messages": []}, "empty_array"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "invalid_value"),
        ({"temperature": "hot"}, "invalid_type"),
        ({"temperature": 2.5}, "decimal_above_max_value"),
        ({"top_p": -1}, "integer_below_min_value"),
        ({"max_tokens": 0}, "integer_below_min_value"),
        ({"n": 2}, "integer_above_max_value"),
        ({"stop": ["a"] * 5}, "array_above_max_length"),
        ({"response_format": {"type": "xml"}}, "invalid_value"),
    ],
)
def test_a_refusal_carries_the_code_of_the_real_api(fields: dict[str, object], code: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_chat(json.dumps({**chat(), **fields}).encode())
    assert (refused.value.code, refused.value.status) == (code, 400)


def test_a_request_is_read_when_it_uses_everything() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]
    request = parse_chat(
        json.dumps(
            chat(
                messages=[
                    {"role": "assistant", "content": None},
                    {"role": "user", "content": parts},
                ],
                stream=True,
                stream_options={"include_usage": True},
                max_tokens=9,
                max_completion_tokens=5,
                stop="END",
                n=1,
                temperature=0,
                unknown_field=object.__name__,
                response_format={"type": "json_object"},
            )
        ).encode()
    )
    assert request.messages == (Message("assistant", ""), Message("user", "a\nb"))
    assert (request.stream, request.include_usage, request.max_tokens) == (True, True, 5)
    assert (request.stop, request.response_format) == (("END",), "json_object")
