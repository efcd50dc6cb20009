"""What a llama.cpp server takes and refuses, as rows for the fake's tests and the real server."""

from collections.abc import Mapping

from fakes.openai_compat_server.tests.fake_client import named, tool

Fields = Mapping[str, object]
_USER = {"role": "user", "content": "x"}


def _form(**fields: object) -> Fields:
    return {"response_format": {"type": "json_schema", **fields}}


def _said(**message: object) -> Fields:
    return {"messages": [message]}


TAKEN: Mapping[str, Fields] = {
    "model null": {"model": None},
    "model a number": {"model": 7},
    "no messages": {"messages": []},
    "an unknown role": _said(role="wizard", content="x"),
    "content null": _said(role="user", content=None),
    "an assistant's content null": {"messages": [{"role": "assistant", "content": None}, _USER]},
    "a tool that nobody called": {"messages": [_USER, {"role": "tool", "content": "x"}]},
    "stream_options without stream": {"stream_options": {"include_usage": True}},
    "stream_options a list": {"stream_options": []},
    "n true": {"n": True},
    "n a fraction": {"n": 1.5},
    "max_tokens 0": {"max_tokens": 0},
    "max_tokens true": {"max_tokens": True},
    "max_tokens a fraction": {"max_tokens": 1.5},
    "temperature high": {"temperature": 100},
    "temperature below zero": {"temperature": -1},
    "top_p over one": {"top_p": 1.5},
    "top_p false": {"top_p": False},
    "frequency_penalty low": {"frequency_penalty": -3},
    "stop a number": {"stop": 5},
    "stop five times": {"stop": ["a"] * 5},
    "stop empty": {"stop": [""]},
    "tools none": {"tools": []},
    "a tool's name in words": {"tools": [tool("two words")]},
    "tool_choice without tools": {"tool_choice": "required"},
    "tool_choice a number": {"tools": [tool()], "tool_choice": 5},
    "tool_choice of no tool": {"tools": [tool()], "tool_choice": named("clock")},
    "parallel_tool_calls a string": {"tools": [tool()], "parallel_tool_calls": "a"},
    "response_format a string": {"response_format": "json"},
    "response_format empty": {"response_format": {}},
    "no schema": _form(),
    "a schema without a name": _form(json_schema={"schema": {"type": "object"}}),
    "a schema's place empty": _form(json_schema={"name": "a"}),
    "a schema that is a string": _form(json_schema={"name": "a", "schema": "x"}),
    "top_logprobs high": {"logprobs": True, "top_logprobs": 21},
    "logit_bias a string": {"logit_bias": "a"},
    "user a number": {"user": 5},
    "seed a fraction": {"seed": 1.5},
    "an unknown field": {"zzz": 1},
}
REFUSED: Mapping[str, tuple[Fields, int]] = {
    "messages null": ({"messages": None}, 400),
    "messages a string": ({"messages": "hi"}, 400),
    "a message that is a string": ({"messages": ["hi"]}, 400),
    "no content": (_said(role="user"), 400),
    "an assistant without content": (_said(role="assistant"), 400),
    "content a number": (_said(role="user", content=5), 400),
    "a part that is a string": (_said(role="user", content=["x"]), 400),
    "a part of no known type": (_said(role="user", content=[{"type": "bogus"}]), 400),
    "a part without text": (_said(role="user", content=[{"type": "text"}]), 500),
    "an image": (
        _said(role="user", content=[{"type": "image_url", "image_url": {"url": "x"}}]),
        500,
    ),
    "no role": (_said(content="x"), 500),
    "a role that is a list": (_said(role=["user"], content="x"), 500),
    "stream a string": ({"stream": "true"}, 400),
    "stream a number": ({"stream": 1}, 400),
    "include_usage a number": ({"stream": True, "stream_options": {"include_usage": 1}}, 400),
    "n two": ({"n": 2}, 400),
    "n zero": ({"n": 0}, 400),
    "n a string": ({"n": "a"}, 400),
    "max_tokens a string": ({"max_tokens": "9"}, 400),
    "max_tokens below -1": ({"max_tokens": -5}, 400),
    "temperature a string": ({"temperature": "hot"}, 400),
    "frequency_penalty a string": ({"frequency_penalty": "a"}, 400),
    "stop of numbers": ({"stop": [5]}, 400),
    "seed a string": ({"seed": "a"}, 400),
    "logprobs a string": ({"logprobs": "a"}, 400),
    "top_logprobs alone": ({"top_logprobs": 3}, 400),
    "logprobs, tools and stream": ({"logprobs": True, "tools": [tool()], "stream": True}, 400),
    "tools an object": ({"tools": {}}, 500),
    "a tool that is a string": ({"tools": ["w"]}, 500),
    "a tool of no known type": ({"tools": [{"type": "retrieval"}]}, 500),
    "a tool without a function": ({"tools": [{"type": "function"}]}, 500),
    "a tool without a name": ({"tools": [{"type": "function", "function": {}}]}, 500),
    "a tool's parameters a list": ({"tools": [tool("a", [])]}, 400),
    "an unknown tool_choice": ({"tools": [tool()], "tool_choice": "always"}, 400),
    "an unknown format": ({"response_format": {"type": "foo"}}, 400),
}
