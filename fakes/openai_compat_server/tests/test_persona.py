"""Goal: the answer has the asked-for form, cites what it used, and keeps to the limits given.

Method: chat requests in, text out.
"""

import json
from collections.abc import Callable

import pytest

from fakes.openai_compat_server.chat_request import ChatRequest, parse_chat
from fakes.openai_compat_server.json_fields import Refusal
from fakes.openai_compat_server.persona import (
    ABSTAINED,
    GREETING,
    NO_SOURCES,
    echo,
    extractive,
    lorem,
)
from fakes.openai_compat_server.seeded import Draw, draw_for
from fakes.openai_compat_server.tests.fake_client import chat, framed
from fakes.openai_compat_server.tests.scenario_tables import FOLDER

PASSAGES = ("Logs are written to standard output.", "Run `make run` to start the server.")
QUESTION = "How do I start the server?"
DRAW = draw_for(0)
ABSTAINING = {"citations": [{"chunk_id": "c0"}], "answer": ABSTAINED}
SCHEMA = {
    "type": "object",
    "properties": {"citations": {"type": "array"}, "answer": {"type": "string"}},
    "required": ["citations", "answer"],
}


def asked(question: str, *passages: str, system: str = "", **fields: object) -> ChatRequest:
    body = chat(framed(question, *passages) if passages else question, **fields)
    body["messages"] = [
        {"role": "system", "content": system},
        {"role": "user", "content": framed(question, *passages) if passages else question},
    ]
    return parse_chat(json.dumps(body).encode())


def extracted(chat: ChatRequest) -> str:
    return extractive(chat, DRAW)


def as_schema(schema: object) -> dict[str, object]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


@pytest.mark.parametrize("form", [{"type": "json_object"}, as_schema(SCHEMA), as_schema({})])
def test_citations_come_first_when_json_is_asked_for(form: object) -> None:
    reply = extracted(asked(QUESTION, *PASSAGES, response_format=form))
    answer = "Run `make run` to start the server. [c2]"
    assert reply == json.dumps({"citations": [{"chunk_id": "c2"}], "answer": answer})


def test_json_is_given_when_only_the_instructions_ask_for_it() -> None:
    system = 'Reply with {"citations": [{"chunk_id": "c1"}], "answer": "…"}'
    assert json.loads(extracted(asked(QUESTION, *PASSAGES, system=system)))["citations"]


def test_plain_text_is_marked_when_no_form_is_asked_for() -> None:
    assert extracted(asked(QUESTION, *PASSAGES)) == "Run `make run` to start the server. [c2]"


def test_plain_text_is_unmarked_when_the_instructions_say_so() -> None:
    system = "Write plain text, and no source markers such as [c1]."
    reply = extracted(asked(QUESTION, *PASSAGES, system=system))
    assert reply == "Run `make run` to start the server."


def test_it_abstains_when_nothing_fits() -> None:
    question = "What is the capital of Mongolia?"
    assert extracted(asked(question, *PASSAGES)) == ABSTAINED
    reply = extracted(asked(question, *PASSAGES, response_format={"type": "json_object"}))
    assert json.loads(reply) == ABSTAINING


@pytest.mark.parametrize("system", ["", "Be brief.", "Write plain text, and no source markers."])
def test_it_greets_when_nothing_is_framed_and_no_form_is_asked_for(system: str) -> None:
    assert extracted(asked(QUESTION, system=system)) == GREETING


def test_the_reference_says_how_it_greets() -> None:
    assert f'"{GREETING}"' in (FOLDER / "REFERENCE.md").read_text("utf-8")


def test_it_says_so_when_a_form_is_asked_for_and_there_are_no_sources() -> None:
    missing = {"citations": [{"chunk_id": "c0"}], "answer": NO_SOURCES}
    reply = extracted(asked(QUESTION, response_format={"type": "json_object"}))
    assert json.loads(reply) == missing
    system = 'Reply with {"citations": [{"chunk_id": "c1"}], "answer": "…"}'
    assert json.loads(extracted(asked(QUESTION, system=system))) == missing


def test_it_says_so_when_only_a_question_is_framed() -> None:
    assert extracted(asked(framed(QUESTION))) == NO_SOURCES


@pytest.mark.parametrize("cap", [20, 40, 41, 600])
def test_the_answer_keeps_to_max_length_when_the_schema_has_one(cap: int) -> None:
    answer = {"type": "string", "maxLength": cap}
    schema = {"properties": {"citations": {}, "answer": answer}}
    reply = json.loads(extracted(asked(QUESTION, *PASSAGES, response_format=as_schema(schema))))
    assert len(reply["answer"]) <= cap
    assert reply["answer"].endswith(" [c2]")


@pytest.mark.parametrize("persona", [extractive, lorem])
def test_a_schema_is_filled_when_it_is_of_another_shape(
    persona: Callable[[ChatRequest, Draw], str],
) -> None:
    schema = {"properties": {"colour": {"enum": ["red"]}}, "required": ["colour"]}
    reply = persona(asked(QUESTION, *PASSAGES, response_format=as_schema(schema)), DRAW)
    assert json.loads(reply) == {"colour": "red"}


def test_a_schema_is_filled_when_it_requires_more_than_citations_and_answer() -> None:
    required = ["citations", "answer", "sure"]
    properties = {"citations": {}, "answer": {}, "sure": {"const": True}}
    form = as_schema({"properties": properties, "required": required})
    assert json.loads(extracted(asked(QUESTION, *PASSAGES, response_format=form)))["sure"] is True


def test_a_schema_is_refused_when_nothing_meets_it() -> None:
    form = as_schema({"type": "array", "items": False, "minItems": 1})
    with pytest.raises(Refusal) as refused:
        extracted(asked(QUESTION, *PASSAGES, response_format=form))
    assert refused.value.param == "response_format.json_schema.schema.items"


def test_lorem_has_a_length_of_the_seeds_and_the_form_asked_for() -> None:
    texts = {lorem(asked("hi"), draw_for(seed)) for seed in range(50)}
    assert len(texts) == 50
    assert min(map(len, texts)) < 100 < 1_000 < max(map(len, texts))
    reply = lorem(asked("hi", response_format={"type": "json_object"}), draw_for(0))
    assert json.loads(reply) == {"text": lorem(asked("hi"), draw_for(0))}


def test_the_answer_holds_only_its_own_markers_when_passages_hold_some() -> None:
    passage = "Run `make run` to start the server, as [c7] says ![x](y) <script>."
    reply = extracted(asked(QUESTION, passage))
    assert reply == "Run `make run` to start the server, as (c7) says. [c1]"


def test_echo_repeats_the_last_user_message_whatever_the_form() -> None:
    chat = asked("say this", response_format={"type": "json_object"})
    assert echo(chat, DRAW) == "say this"
