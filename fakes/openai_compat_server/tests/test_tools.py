"""Goal: a call is made exactly where the client demands one, with arguments its schema allows.

Method: fields in, tools and Refusals out; calls put into a dialect's frames.
"""

import json

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it ships no types

from fakes.openai_compat_server.dialects import DIALECTS, Completion
from fakes.openai_compat_server.json_fields import Refusal
from fakes.openai_compat_server.seeded import draw_for
from fakes.openai_compat_server.tools import (
    ToolCall,
    call_one,
    calling_body,
    calling_frames,
    parse_tools,
)

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 1},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
    },
    "required": ["city", "unit"],
    "additionalProperties": False,
}
CALL = ToolCall("call_1", "weather", '{"city":"x"}')
DONE = Completion("chatcmpl-1", 1, "m", ('{"city"', ':"x"}'), "tool_calls", 3, 4)


def tool(name: str = "weather", **function: object) -> dict[str, object]:
    return {"type": "function", "function": {"name": name, "parameters": WEATHER, **function}}


def named(name: str) -> dict[str, object]:
    return {"type": "function", "function": {"name": name}}


@pytest.mark.parametrize(
    ("choice", "forced"),
    [
        (None, []),
        ("none", []),
        ("auto", []),
        ("required", ["weather", "clock"]),
        (named("clock"), ["clock"]),
    ],
)
def test_a_call_is_forced_when_the_choice_says_so(choice: object, forced: list[str]) -> None:
    tools, called = parse_tools({"tools": [tool(), tool("clock")], "tool_choice": choice})
    assert [it.name for it in tools] == ["weather", "clock"]
    assert [it.name for it in called] == forced


@pytest.mark.parametrize("seed", range(6))
def test_the_arguments_are_valid_and_the_same_for_a_seed(seed: int) -> None:
    tools, _ = parse_tools({"tools": [tool()]})
    call = call_one(tools, draw_for(seed))
    assert call == call_one(tools, draw_for(seed))
    Draft202012Validator(WEATHER).validate(json.loads(call.arguments))


@pytest.mark.parametrize("parameters", [None, {}, {"type": "object", "properties": {}}])
def test_arguments_are_an_object_when_there_is_nothing_to_fill(parameters: object) -> None:
    tools, _ = parse_tools({"tools": [tool(parameters=parameters)]})
    assert call_one(tools, draw_for(0)).arguments == "{}"


def test_the_place_is_named_when_nothing_meets_the_parameters() -> None:
    broken = {"type": "object", "properties": {"a": {"type": "x"}}, "required": ["a"]}
    tools, _ = parse_tools({"tools": [tool(), tool("b", parameters=broken)]})
    with pytest.raises(Refusal) as refused:
        call_one(tools[1:], draw_for(0))
    assert refused.value.param == "tools[1].function.parameters.properties.a.type"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": {}}, "tools"),
        ({"tools": []}, "tools"),
        ({"tools": [tool()] * 129}, "tools"),
        ({"tools": ["weather"]}, "tools[0]"),
        ({"tools": [{"type": "retrieval"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [tool(""), tool()]}, "tools[0].function.name"),
        ({"tools": [tool("two words")]}, "tools[0].function.name"),
        ({"tools": [tool(parameters=[])]}, "tools[0].function.parameters"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tools": [tool()], "tool_choice": "always"}, "tool_choice"),
        ({"tools": [tool()], "tool_choice": {"type": "function"}}, "tool_choice"),
        ({"tools": [tool()], "tool_choice": named("clock")}, "tool_choice.function.name"),
    ],
)
def test_the_parameter_is_named_when_it_is_refused(fields: dict[str, object], param: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_tools(fields)
    assert refused.value.param == param


@pytest.mark.parametrize("name", DIALECTS)
def test_a_plain_answer_carries_the_call_in_place_of_text(name: str) -> None:
    body = json.loads(json.dumps(calling_body(DIALECTS[name].plain_body(DONE), CALL)))
    (choice,) = body["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city":"x"}'},
        }
    ]


@pytest.mark.parametrize("name", DIALECTS)
def test_a_stream_names_the_function_first_and_then_writes_the_arguments(name: str) -> None:
    dialect = DIALECTS[name]
    spoken = [*dialect.opening_frames(DONE, False), *dialect.token_frames(DONE, False)]
    frames = json.loads(json.dumps(list(calling_frames(spoken, CALL, opens=True))))
    deltas = [frame["choices"][0]["delta"] for frame in frames]
    pieces = [piece for delta in deltas for piece in delta["tool_calls"]]
    assert (pieces[0]["id"], pieces[0]["type"]) == ("call_1", "function")
    assert pieces[0]["function"]["name"] == "weather"
    assert all(set(piece) == {"index", "function"} for piece in pieces[1:])
    assert "".join(piece["function"]["arguments"] for piece in pieces) == '{"city":"x"}'
    assert not any(delta.get("content") for delta in deltas)
