"""Goal: LiteLLM's client takes the fake for any OpenAI-compatible server.

Method: its functions, unmodified, over real sockets, told of the server by `api_base` alone.
"""

import asyncio
import json

import litellm  # type: ignore[import-not-found] # of its own environment
import pytest

from harness.clients.client_cases import (
    ANSWER,
    ASK,
    CLOCK,
    NAMING,
    NAMING_BOTH,
    SCHEMA_FORMAT,
    TOOL,
    is_retried_as_told,
    is_weather,
)

NAMED = {"type": "function", "function": {"name": "weather"}}


def at(base: str) -> dict[str, object]:
    """What tells the client where the server is; it tries once."""
    return {"api_base": base, "api_key": "none", "max_retries": 0}


def test_models_are_listed(base: str) -> None:
    config = litellm.OpenAIGPTConfig()
    assert config.get_models(api_key="none", api_base=base.removesuffix("/v1")) == ["fake"]


def test_a_plain_answer_is_whole(base: str) -> None:
    reply = litellm.completion("openai/fake", ASK, **at(base))
    assert reply.choices[0].message.content == ANSWER
    assert reply.usage.total_tokens > 0


def test_a_plain_answer_is_whole_for_the_async_client(base: str) -> None:
    reply = asyncio.run(litellm.acompletion("openai/fake", ASK, **at(base)))
    assert reply.choices[0].message.content == ANSWER


def test_a_stream_ends_with_usage(base: str) -> None:
    options = {"include_usage": True}
    chunks = list(
        litellm.completion("openai/fake", ASK, stream=True, stream_options=options, **at(base))
    )
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == ANSWER
    assert chunks[-1].usage.completion_tokens > 0


def test_a_schema_is_met(base: str) -> None:
    reply = litellm.completion("openai/fake", ASK, response_format=SCHEMA_FORMAT, **at(base))
    assert is_weather(json.loads(reply.choices[0].message.content))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("text", "choice"), [("hello", "required"), ("hello", NAMED), (NAMING, "auto"), (NAMING, None)]
)
def test_a_tool_is_called(base: str, text: str, choice: object, stream: bool) -> None:
    messages = [{"role": "user", "content": text}]
    reply = litellm.completion(
        "openai/fake", messages, tools=[TOOL], tool_choice=choice, stream=stream, **at(base)
    )
    reply = litellm.stream_chunk_builder(list(reply)) if stream else reply
    (call,) = reply.choices[0].message.tool_calls
    # Of the `stop` of a function that was named it makes `tool_calls`, but not in a stream.
    finish_reason = "stop" if stream and choice is NAMED else "tool_calls"
    assert (call.function.name, reply.choices[0].finish_reason) == ("weather", finish_reason)
    assert is_weather(json.loads(call.function.arguments))


def test_two_tools_are_called_in_a_stream(base: str) -> None:
    messages = [{"role": "user", "content": NAMING_BOTH}]
    chunks = litellm.completion(
        "openai/fake", messages, tools=[TOOL, CLOCK], stream=True, **at(base)
    )
    calls = litellm.stream_chunk_builder(list(chunks)).choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["weather", "clock"]


def test_words_are_the_answer_when_no_tool_is_named(base: str) -> None:
    reply = litellm.completion("openai/fake", ASK, tools=[TOOL], **at(base))
    assert reply.choices[0].message.content == ANSWER


def test_texts_are_embedded(base: str) -> None:
    reply = litellm.embedding("openai/fake", ["hello", "other"], **at(base))
    assert [len(item["embedding"]) for item in reply.data] == [1536, 1536]
    assert reply.usage.prompt_tokens > 0


def test_a_prompt_is_completed(base: str) -> None:
    model = "text-completion-openai/fake"
    reply = litellm.text_completion(prompt="hello", model=model, **at(base))
    assert reply.choices[0].text


ERRORS = (
    ("fake:status-400", litellm.BadRequestError),
    ("fake:status-401", litellm.AuthenticationError),
    ("fake:status-403", litellm.APIError),  # it has no class of its own for this one
    ("fake:status-404", litellm.NotFoundError),
    ("fake:no-such-scenario", litellm.NotFoundError),
    ("fake:status-422", litellm.BadRequestError),  # it goes by `type`: invalid_request_error
    ("fake:status-429", litellm.RateLimitError),
    ("fake:status-500", litellm.InternalServerError),
    ("fake:status-502", litellm.BadGatewayError),
    ("fake:status-503-busy", litellm.ServiceUnavailableError),
    ("fake:status-504", litellm.Timeout),
    ("fake:reset-before-bytes", litellm.InternalServerError),
)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("model", "error"), ERRORS)
def test_an_error_is_of_its_class(
    base: str, model: str, error: type[Exception], stream: bool
) -> None:
    with pytest.raises(error) as raised:
        list(litellm.completion(f"openai/{model}", ASK, stream=stream, **at(base)))
    assert type(raised.value) is error


def test_silence_is_a_timeout(base: str) -> None:
    with pytest.raises(litellm.Timeout):
        litellm.completion("openai/fake:slow-first-token?for=30s", ASK, timeout=0.2, **at(base))


def test_429_is_retried_when_the_server_says(twice_429: str) -> None:
    settings = {**at(twice_429), "max_retries": 2}
    reply = litellm.completion("openai/fake", ASK, **settings)
    assert reply.choices[0].message.content == ANSWER
    assert is_retried_as_told(twice_429)
