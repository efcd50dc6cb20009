"""Goal: a tool's call has the frames, the ids and the end that each server gives one.

Method: completions into each dialect's frames; then requests that leave or take the choice.
"""

import json
import re

import pytest
from attrs import evolve

from fakes.openai_compat_server import Behaviour, plan_response
from fakes.openai_compat_server.dialects import (
    DIALECTS,
    LLAMACPP,
    OLLAMA,
    OPENAI,
    VLLM,
    VLLM_0_10,
    Call,
    Completion,
    Dialect,
    JsonObject,
)
from fakes.openai_compat_server.seeded import draw_for
from fakes.openai_compat_server.tests.fake_client import chat, named, posted, tool
from fakes.openai_compat_server.tests.golden_traces import DONE

CALL = Call("call_1", "weather", ('{"city"', ':"<x>"}'))
CALLING = evolve(DONE, tokens=(), finish_reason="tool_calls", calls=(CALL,))
CALLING_TWICE = evolve(CALLING, calls=(CALL, Call("call_2", "ping", ("{}",))))
EACH = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))


def deltas(dialect: Dialect, done: Completion) -> list[JsonObject]:
    frames = [*dialect.opening_frames(done, True), *dialect.token_frames(done, True)]
    parsed = [json.loads(dialect.event(frame).removeprefix(b"data: ")) for frame in frames]
    return [frame["choices"][0]["delta"] for frame in parsed]


def function(at: int, arguments: str, **more: str) -> JsonObject:
    named = {"name": more.pop("name")} if "name" in more else {}
    function = {**named, "arguments": arguments}
    return {"tool_calls": [{"index": at, **more, "function": function}]}


def test_a_call_opens_on_the_frame_of_the_role_when_the_server_is_openai() -> None:
    first, *rest = deltas(OPENAI, CALLING)
    opening = function(0, "", id="call_1", type="function", name="weather")
    assert first == {"role": "assistant", "content": None, **opening, "refusal": None}
    assert rest == [function(0, '{"city"'), function(0, ':"<x>"}')]
    assert list(first) == ["role", "content", "tool_calls", "refusal"]


def test_the_role_stands_alone_when_openai_makes_two_calls() -> None:
    first, *rest = deltas(OPENAI, CALLING_TWICE)
    assert first == {"role": "assistant", "content": None, "refusal": None}
    assert rest[0] == function(0, "", id="call_1", type="function", name="weather")
    assert rest[-2] == function(1, "", id="call_2", type="function", name="ping")
    assert rest[-1] == function(1, "{}")


@pytest.mark.parametrize("dialect", [VLLM, VLLM_0_10, LLAMACPP])
def test_a_call_opens_with_the_first_of_its_arguments_elsewhere(dialect: Dialect) -> None:
    _, *rest = deltas(dialect, CALLING_TWICE)
    assert rest == [
        function(0, '{"city"', id="call_1", type="function", name="weather"),
        function(0, ':"<x>"}'),
        function(1, "{}", id="call_2", type="function", name="ping"),
    ]


def test_a_call_comes_whole_when_the_server_is_ollama() -> None:
    """Its arguments are JSON that Go wrote, and then text within JSON that Go wrote."""
    first, second = deltas(OLLAMA, CALLING_TWICE)
    arguments = '{"city":"\\u003cx\\u003e"}'
    opening = function(0, arguments, id="call_1", type="function", name="weather")
    assert first == {"role": "assistant", "content": "", **opening}
    second_call = function(1, "{}", id="call_2", type="function", name="ping")
    assert second == {"role": "assistant", "content": "", **second_call}


def test_a_call_that_was_cut_is_not_seen_when_the_server_is_ollama() -> None:
    cut = evolve(CALLING_TWICE, finish_reason="length")
    assert len(deltas(OLLAMA, cut)) == 1
    assert "ping" not in str(OLLAMA.plain_body(cut))
    assert "ping" in str(LLAMACPP.plain_body(cut))


@pytest.mark.parametrize(
    ("dialect", "content"),
    [(OPENAI, None), (VLLM, ""), (VLLM_0_10, ""), (LLAMACPP, ""), (OLLAMA, "")],
)
def test_a_plain_answer_carries_its_calls(dialect: Dialect, content: str | None) -> None:
    body = json.loads(dialect.to_json(dialect.plain_body(CALLING_TWICE)))
    message = body["choices"][0]["message"]
    assert message["content"] == content
    assert [call["id"] for call in message["tool_calls"]] == ["call_1", "call_2"]
    assert {call["type"] for call in message["tool_calls"]} == {"function"}
    arguments = [json.loads(call["function"]["arguments"]) for call in message["tool_calls"]]
    assert arguments == [{"city": "<x>"}, {}]


@EACH
def test_calls_end_as_the_completion_says(dialect: Dialect) -> None:
    finish, *_ = dialect.closing_frames(CALLING, True)
    choice = json.loads(dialect.to_json(finish))["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert "tool_calls" not in choice["delta"]


@pytest.mark.parametrize(
    ("dialect", "shape"),
    [
        (OPENAI, r"call_[0-9A-Za-z]{24}"),
        (VLLM, r"chatcmpl-tool-[0-9a-f]{16}"),
        (VLLM_0_10, r"chatcmpl-tool-[0-9a-f]{32}"),
        (LLAMACPP, r"[0-9A-Za-z]{32}"),
        (OLLAMA, r"call_[0-9a-z]{8}"),
    ],
)
def test_ids_of_calls_have_the_servers_shape(dialect: Dialect, shape: str) -> None:
    ids = [dialect.call_id(draw_for(seed), at) for seed in range(500) for at in range(2)]
    assert all(re.fullmatch(shape, each) for each in ids)
    assert len(set(ids)) == len(ids)


@EACH
def test_a_call_that_was_left_to_the_model_is_made_in_every_dialect(dialect: Dialect) -> None:
    behaviour = Behaviour(dialect=dialect)
    plan = plan_response(behaviour, posted(chat("the weather?", tools=[tool()])))
    choice = json.loads(plan.steps[0].data.partition(b"\r\n\r\n")[2])["choices"][0]
    assert choice["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("dialect", "choice", "calls"),
    [
        (OPENAI, named("weather"), True),
        (LLAMACPP, named("weather"), False),  # read as "auto"
        (LLAMACPP, "required", True),
        (OLLAMA, named("weather"), False),  # not read at all
        (OLLAMA, "required", False),
    ],
)
def test_a_choice_the_server_has_no_place_for_is_left_to_the_model(
    dialect: Dialect, choice: object, calls: bool
) -> None:
    request = posted(chat("hello", tools=[tool()], tool_choice=choice))
    plan = plan_response(Behaviour(dialect=dialect), request)
    message = json.loads(plan.steps[0].data.partition(b"\r\n\r\n")[2])["choices"][0]["message"]
    assert bool(message.get("tool_calls")) is calls
