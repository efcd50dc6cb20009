"""The request payload's mapping: from the bytes a caller sends to the bytes a model server gets."""

import json

import pytest

from contracts.codec import decode
from contracts.generation import GenerateRequest
from hop.settings import load
from llmgw.asked import Asked, asked_by
from llmgw.config import GatewaySettings
from llmgw.prompt import reply_schema
from llmgw.providers.openai_wire import encode_call

BOUNDARY = "0123456789abcdef"
QUESTION = {"role": "user", "content": "How do I install a package?"}
CHUNKS = [
    {"chunk_id": "a#1", "title": "Apt", "content": "Use apt install."},
    {"chunk_id": "b#7", "url": "https://example.org/b", "content": "See dpkg -i."},
]
MINIMAL: dict[str, object] = {"messages": [QUESTION], "context": {"chunks": CHUNKS}}
ENVIRON = {"LLM_MODEL": "ours", "LLM_MAX_TOKENS": "300", "LLM_TEMPERATURE": "0.4"}


def asked(request: dict[str, object], answer_chars: int | None = None, /, **environ: str) -> Asked:
    made = decode(json.dumps(request).encode(), GenerateRequest)
    settings, _ = load(GatewaySettings, {**ENVIRON, **environ})
    return asked_by(made, settings, BOUNDARY, lambda _, n, __: reply_schema(n, answer_chars))


def payload(request: dict[str, object], **environ: str) -> dict[str, object]:
    body = json.loads(encode_call(asked(request, **environ).call))
    assert isinstance(body, dict)
    return body


def test_settings_fill_in_when_the_request_leaves_it_to_them() -> None:
    body = payload(MINIMAL)
    assert list(body) == [
        "model", "messages", "max_tokens", "temperature", "stream", "response_format",
    ]  # fmt: skip
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("ours", 300, 0.4)
    assert body["stream"] is False


@pytest.mark.parametrize(
    ("key", "value"),
    [("model", "org/their:8b"), ("max_tokens", 1), ("temperature", 0), ("temperature", 2.0)],
)
def test_request_has_the_word_when_it_says_so(key: str, value: object) -> None:
    body = payload({**MINIMAL, key: value})
    assert body[key] == value
    others = {name: body[name] for name in body if name != key}
    assert others == {name: sent for name, sent in payload(MINIMAL).items() if name != key}


@pytest.mark.parametrize(
    ("wanted", "enabled", "always", "streams"),
    [
        (True, "true", "false", True),
        (True, "false", "false", False),
        (False, "true", "false", False),
        (False, "true", "true", True),
        (True, "true", "true", True),
        (True, "false", "true", False),
    ],
)
def test_stream_is_asked_for_when_wanted_and_enabled(
    wanted: bool, enabled: str, always: str, streams: bool
) -> None:
    environ = {"LLM_STREAM_ENABLED": enabled, "LLM_STREAM_ALWAYS": always}
    body = payload({**MINIMAL, "stream": wanted}, **environ)
    assert body["stream"] is streams
    assert body.get("stream_options") == ({"include_usage": True} if streams else None)


def test_schema_names_the_aliases_when_citations_are_required() -> None:
    named = {"name": "cited_answer", "strict": True, "schema": reply_schema(2)}
    assert payload(MINIMAL)["response_format"] == {"type": "json_schema", "json_schema": named}
    assert "response_format" not in payload({**MINIMAL, "citations_required": False})


def test_messages_are_ours_then_theirs_when_there_is_a_conversation() -> None:
    earlier = [
        {"role": "system", "content": "Be formal."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello. [c9]"},
    ]
    messages = payload({**MINIMAL, "messages": [*earlier, QUESTION]})["messages"]
    assert isinstance(messages, list)
    assert [sorted(message) for message in messages] == [["content", "role"]] * 4
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[0]["content"].endswith("\n\nBe formal.")
    assert [messages[1]["content"], messages[2]["content"]] == ["Hello", "Hello. (c9)"]
    assert messages[3]["content"].startswith(f"<<<source c1 {BOUNDARY}>>>\ntitle: Apt\n")


def test_nothing_of_a_chunk_is_sent_but_its_title_and_text() -> None:
    sent = json.dumps(payload(MINIMAL))
    assert not [secret for secret in ("a#1", "b#7", "example.org") if secret in sent]


def test_reply_is_held_to_what_was_shown_when_passages_are_left_out() -> None:
    chunks = [{"chunk_id": str(n), "content": "word " * 1_000} for n in range(9)]
    left = asked({**MINIMAL, "context": {"chunks": chunks}}, LLM_PROMPT_TOKENS="4000")
    assert 0 < left.prompt.alias_count < 9
    assert left.reply().alias_count == left.prompt.alias_count
    assert left.call.schema == reply_schema(left.prompt.alias_count)
    assert left.reply() is not left.reply()


def test_reply_is_held_to_the_length_of_the_schema_sent() -> None:
    assert asked(MINIMAL, 300).reply().answer_max_chars == 300
    assert asked(MINIMAL).reply().answer_max_chars is None
    assert asked({**MINIMAL, "citations_required": False}, 300).reply().answer_max_chars is None
