"""Goal: what a client says of its tools is read, or refused with the parameter named.

Method: fields in, Offers and Refusals out.
"""

import pytest

from fakes.openai_compat_server.json_fields import Refusal
from fakes.openai_compat_server.tests.fake_client import named, tool
from fakes.openai_compat_server.tools import Choice, parse_tools


@pytest.mark.parametrize(
    ("given", "choice", "names"),
    [
        (None, Choice.AUTO, ["weather", "clock"]),
        ("auto", Choice.AUTO, ["weather", "clock"]),
        ("none", Choice.NONE, ["weather", "clock"]),
        ("required", Choice.REQUIRED, ["weather", "clock"]),
        (named("clock"), Choice.NAMED, ["clock"]),
    ],
)
def test_the_choice_is_read_and_leaves_the_tool_it_names(
    given: object, choice: Choice, names: list[str]
) -> None:
    offer = parse_tools({"tools": [tool(), tool("clock")], "tool_choice": given})
    assert (offer.choice, [each.name for each in offer.tools]) == (choice, names)
    assert offer.parallel


def test_nothing_is_offered_when_there_are_no_tools() -> None:
    assert parse_tools({}).choice is Choice.NONE


def test_calls_are_parallel_unless_the_client_minds() -> None:
    assert not parse_tools({"tools": [tool()], "parallel_tool_calls": False}).parallel


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"tools": {}}, "tools", "invalid_type"),
        ({"tools": []}, "tools", "empty_array"),
        ({"tools": [tool()] * 129}, "tools", "array_above_max_length"),
        ({"tools": ["weather"]}, "tools[0]", "invalid_type"),
        ({"tools": [{"type": "retrieval"}]}, "tools[0].type", "invalid_value"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter"),
        ({"tools": [{"type": "function", "function": 1}]}, "tools[0].function", "invalid_type"),
        ({"tools": [tool(""), tool()]}, "tools[0].function.name", "invalid_value"),
        ({"tools": [tool("two words")]}, "tools[0].function.name", "invalid_value"),
        ({"tools": [tool(parameters=[])]}, "tools[0].function.parameters", "invalid_type"),
        ({"tool_choice": "auto"}, "tool_choice", None),
        ({"parallel_tool_calls": True}, "parallel_tool_calls", None),
        ({"tools": [tool()], "parallel_tool_calls": 1}, "parallel_tool_calls", "invalid_type"),
        ({"tools": [tool()], "tool_choice": "always"}, "tool_choice", "invalid_value"),
        ({"tools": [tool()], "tool_choice": {"type": "function"}}, "tool_choice", "invalid_value"),
        ({"tools": [tool()], "tool_choice": named("clock")}, "tool_choice.function.name", None),
    ],
)
def test_the_parameter_is_named_when_it_is_refused(
    fields: dict[str, object], param: str, code: str | None
) -> None:
    with pytest.raises(Refusal) as refused:
        parse_tools(fields)
    assert (refused.value.param, refused.value.code) == (param, code)
