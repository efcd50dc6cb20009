"""Goal: OpenAI's own rules beyond types and values: no unknown field, every call answered.

Method: bodies in, Refusal or request out; then one refusal to the byte.
"""

import json

import pytest

from fakes.openai_compat_server import Behaviour, plan_response
from fakes.openai_compat_server.dialects.openai_request import read_chat
from fakes.openai_compat_server.json_fields import Refusal
from fakes.openai_compat_server.tests.fake_client import chat, posted

USER = {"role": "user", "content": "x"}
CALLS = {"role": "assistant", "content": None, "tool_calls": [{"id": "a"}, {"id": "b"}]}
A = {"role": "tool", "tool_call_id": "a", "content": "1"}
B = {"role": "tool", "tool_call_id": "b", "content": "2"}


def read(**fields: object) -> None:
    read_chat(json.dumps({**chat(), **fields}).encode())


def refusal(**fields: object) -> Refusal:
    with pytest.raises(Refusal) as refused:
        read(**fields)
    return refused.value


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"top_k": 4}, "Unrecognized request argument supplied: top_k"),
        ({"top_k": 4, "min_p": 1}, "Unrecognized request arguments supplied: min_p, top_k"),
        ({"guided_json": None}, "Unrecognized request argument supplied: guided_json"),
    ],
)
def test_an_unknown_field_is_refused_without_a_parameter(
    fields: dict[str, object], message: str
) -> None:
    refused = refusal(**fields)
    assert (refused.message, refused.param, refused.code) == (message, None, None)


def test_two_limits_at_once_are_refused() -> None:
    refused = refusal(max_tokens=5, max_completion_tokens=5)
    assert (refused.param, refused.code) == ("max_tokens", "invalid_parameter_combination")


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([USER, A], "messages.[1].role"),
        ([USER, CALLS, A, A, B], "messages.[3].role"),
        ([USER, CALLS, {"role": "tool", "content": "1"}], "messages[2].tool_call_id"),
        ([USER, CALLS, A], "messages.[2].role"),
        ([USER, CALLS], "messages.[1].role"),
        ([USER, CALLS, A, USER], "messages.[3].role"),
        ([USER, CALLS, USER, A, B], "messages.[2].role"),
        ([{"role": "assistant", "tool_calls": [{}]}, USER], "messages[0].tool_calls[0].id"),
        ([{"role": "assistant", "content": None}, USER], "messages.[0].content"),
        ([{"role": "assistant", "tool_calls": []}, USER], "messages.[0].content"),
    ],
)
def test_a_turn_that_fits_nothing_is_refused(messages: list[object], param: str) -> None:
    assert refusal(messages=messages).param == param


@pytest.mark.parametrize(
    "messages",
    [
        [USER, CALLS, B, A],
        [USER, CALLS, A, B, USER],
        [{"role": "assistant", "content": "hm"}, USER],
        [{"role": "assistant", "refusal": "no"}, USER],
    ],
)
def test_turns_that_fit_are_taken(messages: list[object]) -> None:
    read(messages=messages)


def strictly(schema: object, strict: object = True) -> dict[str, object]:
    named = {"name": "a", "strict": strict, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def closed(**properties: object) -> dict[str, object]:
    required = list(properties)
    shape = {"type": "object", "properties": properties, "required": required}
    return {**shape, "additionalProperties": False}


OPEN = {"type": "object"}
NULLABLE = {"type": ["object", "null"]}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (OPEN, r"In context=\(\), 'additionalProperties' is required to be supplied and to be fal"),
        (closed(meta=OPEN), r"In context=\('properties', 'meta'\), 'additionalProperties'"),
        (closed(all={"type": "array", "items": OPEN}), r"'all', 'items'\), 'additionalProperties'"),
        (closed(any={"anyOf": [{"type": "null"}, OPEN]}), r"'anyOf', '1'\), 'additional"),
        ({**closed(a={"$ref": "#/$defs/b"}), "$defs": {"b": NULLABLE}}, r"\('\$defs', 'b'\)"),
        ({**closed(a={}, b={}), "required": ["a"]}, r"every key in properties. Missing 'b'."),
        ({k: v for k, v in closed(a={}).items() if k != "required"}, "every key in properties.$"),
    ],
)
def test_a_strict_schema_must_be_closed_to_its_depth(schema: object, told: str) -> None:
    with pytest.raises(Refusal, match=told) as refused:
        read(**strictly(schema))
    assert refused.value.param == "response_format"
    read(**strictly(schema, strict=False))


def test_a_strict_function_must_be_closed_too() -> None:
    function = {"name": "f", "parameters": OPEN, "strict": True}
    refused = refusal(tools=[{"type": "function", "function": function}])
    assert refused.message.startswith("Invalid schema for function 'f': In context=()")
    assert refused.param == "tools[0].function.parameters"
    read(
        tools=[{"type": "function", "function": {**function, "parameters": closed(a=OPEN["type"])}}]
    )


def test_a_strict_schema_that_is_closed_is_taken() -> None:
    read(**strictly(closed(a={"type": "string"}, b=closed(c={"type": "integer"}), d=closed())))


def test_a_refusal_reaches_the_client_with_param_and_code() -> None:
    plan = plan_response(Behaviour(), posted(chat(temperature=2.5)))
    message = "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, "
    assert json.loads(plan.steps[0].data.partition(b"\r\n\r\n")[2])["error"] == {
        "message": f"{message}but got 2.5 instead.",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": "decimal_above_max_value",
    }
