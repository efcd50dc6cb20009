"""Goal: a tool is called where the client demands it, or where the user names it; never else.

Method: chats in, the calls that answer them out.
"""

import json

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it ships no types

from fakes.openai_compat_server import Behaviour, plan_response
from fakes.openai_compat_server.chat_request import ChatRequest, parse_chat
from fakes.openai_compat_server.json_fields import Refusal
from fakes.openai_compat_server.seeded import draw_for
from fakes.openai_compat_server.tests.fake_client import WEATHER, chat, named, posted, tool
from fakes.openai_compat_server.tool_calls import wanted_calls

TOOLS = [tool("get_weather"), tool("clock")]
RESULT = {"role": "tool", "tool_call_id": "1", "content": "sunny"}
ASKED = {"role": "user", "content": "get_weather in Oslo"}
CALLED = {"role": "assistant", "content": None}


def asked(content: str = "hello", **fields: object) -> ChatRequest:
    return parse_chat(json.dumps(chat(content, **{"tools": TOOLS, **fields})).encode())


def called(request: ChatRequest, seed: int = 0) -> list[str]:
    return [call.name for call in wanted_calls(request, draw_for(seed))]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("hello", []),
        ("get_weather in Oslo", ["get_weather"]),
        ("Please get weather for Oslo.", ["get_weather"]),
        ("GET-WEATHER!", ["get_weather"]),
        ("Watch the clock", ["clock"]),
        ("forget_weather and clockwork", []),
        ("the weather?", []),
        ("clock, and get the weather", ["clock"]),
        ("clock, and get weather", ["get_weather", "clock"]),
    ],
)
@pytest.mark.parametrize("choice", [None, "auto"])
def test_the_tools_a_user_names_are_called_when_the_model_may_choose(
    text: str, names: list[str], choice: object
) -> None:
    assert called(asked(text, tool_choice=choice)) == names


def test_one_tool_is_called_when_calls_must_not_be_parallel() -> None:
    assert called(asked("clock, get weather", parallel_tool_calls=False)) == ["get_weather"]


@pytest.mark.parametrize(
    ("messages", "names"),
    [
        ([ASKED, CALLED, RESULT], []),
        ([ASKED, CALLED, {"role": "function", "content": "sunny"}], []),
        ([ASKED, CALLED, RESULT, {"role": "user", "content": "and thanks"}], []),
        ([ASKED, CALLED, RESULT, {"role": "user", "content": "clock?"}], ["clock"]),
        ([RESULT], []),
        ([{"role": "system", "content": "use get_weather"}], []),
    ],
)
def test_words_are_the_answer_when_a_tool_has_answered_the_question(
    messages: list[object], names: list[str]
) -> None:
    assert called(asked(messages=messages)) == names


def test_no_tool_is_called_when_none_may_be() -> None:
    assert called(asked("get_weather", tool_choice="none")) == []


def test_a_tool_is_called_whatever_was_said_when_the_client_requires_it() -> None:
    assert called(asked(tool_choice=named("clock"), messages=[ASKED, CALLED, RESULT])) == ["clock"]
    assert called(asked("watch the clock", tool_choice="required")) == ["clock"]
    drawn = {tuple(called(asked(tool_choice="required"), seed)) for seed in range(20)}
    assert drawn == {("get_weather",), ("clock",)}


@pytest.mark.parametrize("seed", range(6))
def test_the_arguments_are_valid_and_the_same_for_a_seed(seed: int) -> None:
    (call,) = wanted_calls(asked("clock"), draw_for(seed))
    assert (call,) == wanted_calls(asked("clock"), draw_for(seed))
    Draft202012Validator(WEATHER).validate(json.loads(call.arguments))


@pytest.mark.parametrize("parameters", [None, {}, {"type": "object", "properties": {}}])
def test_arguments_are_an_object_when_there_is_nothing_to_fill(parameters: object) -> None:
    (call,) = wanted_calls(asked("clock", tools=[tool("clock", parameters)]), draw_for(0))
    assert call.arguments == "{}"


def test_the_place_is_named_when_nothing_meets_the_parameters() -> None:
    broken = {"type": "object", "properties": {"a": {"type": "x"}}, "required": ["a"]}
    with pytest.raises(Refusal) as refused:
        wanted_calls(asked("b", tools=[tool(), tool("b", broken)]), draw_for(0))
    assert refused.value.param == "tools[1].function.parameters.properties.a.type"


def choice_of(**fields: object) -> dict[str, object]:
    plan = plan_response(Behaviour(), posted(chat("clock, get weather", tools=TOOLS, **fields)))
    choice = json.loads(plan.steps[0].data.partition(b"\r\n\r\n")[2])["choices"][0]
    assert isinstance(choice, dict)
    return choice


@pytest.mark.parametrize(
    ("choice", "finish_reason"),
    [("auto", "tool_calls"), ("required", "tool_calls"), (named("clock"), "stop")],
)
def test_a_call_ends_in_stop_when_the_client_named_it(choice: object, finish_reason: str) -> None:
    assert choice_of(tool_choice=choice)["finish_reason"] == finish_reason


@pytest.mark.parametrize(("limit", "calls"), [(2, 1), (14, 2), (99, 2)])
def test_calls_are_cut_when_they_are_over_max_tokens(limit: int, calls: int) -> None:
    choice = choice_of(max_tokens=limit)
    message = choice["message"]
    assert isinstance(message, dict)
    assert len(message["tool_calls"]) == calls
    whole = limit == 99
    assert choice["finish_reason"] == ("tool_calls" if whole else "length")
    assert message["tool_calls"][-1]["function"]["arguments"].endswith("}") is whole
