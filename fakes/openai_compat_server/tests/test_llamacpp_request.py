"""Goal: llama.cpp's patience, and its 500s for what a client did wrong.

Method: fields in, status or request out; `make test-fidelity` puts the same to the real server.
"""

import json

import pytest

from fakes.openai_compat_server.chat_request import ChatRequest, Message
from fakes.openai_compat_server.dialects.llamacpp_request import read_chat
from fakes.openai_compat_server.json_fields import Refusal
from fakes.openai_compat_server.tests.fake_client import chat, named, tool
from fakes.openai_compat_server.tests.llamacpp_rows import REFUSED, TAKEN
from fakes.openai_compat_server.tools import Choice


def read(fields: dict[str, object]) -> ChatRequest:
    return read_chat(json.dumps({**chat(), **fields}).encode())


@pytest.mark.parametrize("fields", TAKEN.values(), ids=list(TAKEN))
def test_what_it_has_no_use_for_is_let_pass(fields: dict[str, object]) -> None:
    read(fields)


@pytest.mark.parametrize(("fields", "status"), REFUSED.values(), ids=list(REFUSED))
def test_what_it_can_not_take_apart_is_refused(fields: dict[str, object], status: int) -> None:
    with pytest.raises(Refusal) as refused:
        read(fields)
    assert refused.value.status == status


def test_a_request_is_read_when_nothing_but_messages_is_given() -> None:
    request = read_chat(b'{"messages": [{"role": "wizard", "content": null}]}')
    assert (request.model, request.messages) == ("fake", (Message("wizard", ""),))
    assert (request.stream, request.max_tokens, request.offer.choice) == (False, None, Choice.NONE)


@pytest.mark.parametrize(
    ("given", "limit"),
    [({"max_tokens": 0}, 0), ({"max_tokens": -1}, None), ({"max_tokens": 2.9}, 2),
     ({"max_tokens": 9, "max_completion_tokens": 5}, 5)],
)  # fmt: skip
def test_a_limit_is_cut_to_a_whole_number_and_minus_one_is_none(
    given: dict[str, object], limit: int | None
) -> None:
    assert read(given).max_tokens == limit


@pytest.mark.parametrize(
    ("choice", "read_as"),
    [("required", Choice.REQUIRED), ("none", Choice.NONE), (named("weather"), Choice.AUTO)],
)
def test_a_choice_that_names_a_function_is_read_as_auto(choice: object, read_as: Choice) -> None:
    assert read({"tools": [tool()], "tool_choice": choice}).offer.choice is read_as


def test_a_schema_that_is_none_leaves_the_answer_free() -> None:
    form: dict[str, object] = {"type": "json_schema", "json_schema": {"name": "a"}}
    assert read({"response_format": form}).response_format == "text"
    form = {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}
    assert read({"response_format": form}).response_format == "json_schema"


def test_an_empty_stop_stops_nothing() -> None:
    assert read({"stop": ["", "a", ""]}).stop == ("a",)
