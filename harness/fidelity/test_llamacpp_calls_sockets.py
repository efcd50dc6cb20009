"""Goal: a tool's call in the `llamacpp` dialect can not be told from llama.cpp's.

Method: a real model, shown three calls and asked for a fourth, so that it makes one.
"""

import json

import pytest

from fakes.openai_compat_server.tests.fake_client import chat, named, tool
from harness.fidelity.real_server import RealServer, fake, posted
from harness.fidelity.shapes import Answer, shape_of_answer

CITIES = ("Oslo", "Rome", "Bonn")
SHORT_CITY = {"type": "string", "maxLength": 12}
LONG_CITY = {"type": "string", "minLength": 300}
CUT = {"max_tokens": 30}  # after the name, and before the end of the arguments
USAGE = {"stream": True, "stream_options": {"include_usage": True}}


def asked(city: object, **fields: object) -> tuple[str, str, bytes]:
    """For a call of `weather`, which the three before it make the likeliest answer."""
    parameters = {"type": "object", "properties": {"city": city}, "required": ["city"]}
    messages: list[object] = []
    for at, name in enumerate(CITIES):
        function = {"name": "weather", "arguments": json.dumps({"city": name})}
        call = {"id": f"call_{at}", "type": "function", "function": function}
        messages += [
            {"role": "user", "content": f"Call weather for {name}"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
        ]
    messages.append({"role": "user", "content": "Call weather for Paris"})
    body = chat(messages=messages, tools=[tool("weather", parameters)], temperature=0)
    return posted({**body, "max_tokens": 100, **fields})


CALLS = {
    "left to the model": asked(SHORT_CITY),
    "required": asked(SHORT_CITY, tool_choice="required"),
    "named, and so left to the model": asked(SHORT_CITY, tool_choice=named("weather")),
    "streamed": asked(SHORT_CITY, stream=True),
    "streamed with usage": asked(SHORT_CITY, tool_choice="required", **USAGE),
    "cut": asked(LONG_CITY, tool_choice="required", **CUT),
    "cut, streamed": asked(LONG_CITY, tool_choice="required", stream=True, **CUT),
}


def calls(answer: Answer) -> bool:
    return b'"tool_calls":[' in answer.body


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_a_call_has_the_real_shape(real: RealServer, call: tuple[str, str, bytes]) -> None:
    ours, theirs = fake(*call), real.ask(*call)
    assert calls(theirs), "the real model made no call"
    assert shape_of_answer(ours) == shape_of_answer(theirs)


def test_ids_of_calls_are_as_long_as_the_real_ones(real: RealServer) -> None:
    answers = [each.body for each in (fake(*CALLS["required"]), real.ask(*CALLS["required"]))]
    messages = [json.loads(body)["choices"][0]["message"] for body in answers]
    ids = [message["tool_calls"][0]["id"] for message in messages]
    assert [len(each) for each in ids] == [32, 32]
    assert all(each.isalnum() for each in ids)


def test_no_call_is_made_when_none_may_be(real: RealServer) -> None:
    call = asked(SHORT_CITY, tool_choice="none")
    assert not calls(fake(*call))
