"""Goal: the official SDK, synchronous and not, can not tell the fake from the API it was made for.

Method: the SDK, unmodified, over real sockets; each call once through either client.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar, get_type_hints

import openai  # type: ignore[import-not-found] # of its own environment
import pytest
from pydantic import BaseModel

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

_Reply = TypeVar("_Reply")
DIALECTS = ("openai", "vllm", "vllm-0.10", "llamacpp", "ollama")
# What such a server is told of the choice it does not heed, or only where it is a word.
HARD_OF_HEARING = ("llamacpp", "ollama")
FORCED = {"type": "function", "function": {"name": "weather"}}


def sync_client(base: str, **options: object) -> openai.OpenAI:
    return openai.OpenAI(base_url=base, api_key="none", **{"max_retries": 0, **options})


def through_async(
    base: str, call: Callable[[openai.AsyncOpenAI], Awaitable[_Reply]], **options: object
) -> _Reply:
    """What the call gives through the asynchronous client."""

    async def run() -> _Reply:
        settings = {"max_retries": 0, **options}
        async with openai.AsyncOpenAI(base_url=base, api_key="none", **settings) as client:
            return await call(client)

    return asyncio.run(run())


def test_models_are_listed(base: str) -> None:
    assert [model.id for model in sync_client(base).models.list()] == ["fake"]


def test_models_are_listed_to_the_async_client(base: str) -> None:
    async def call(client: openai.AsyncOpenAI) -> list[str]:
        return [model.id async for model in client.models.list()]

    assert through_async(base, call) == ["fake"]


def test_a_plain_answer_is_whole(base: str) -> None:
    reply = sync_client(base).chat.completions.create(model="fake", messages=ASK)
    assert reply.choices[0].message.content == ANSWER
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_a_plain_answer_is_whole_for_the_async_client(base: str) -> None:
    reply = through_async(
        base, lambda client: client.chat.completions.create(model="fake", messages=ASK)
    )
    assert reply.choices[0].message.content == ANSWER


STREAMED = {
    "model": "fake",
    "messages": ASK,
    "stream": True,
    "stream_options": {"include_usage": True},
}


def test_a_stream_ends_with_usage(base: str) -> None:
    chunks = list(sync_client(base).chat.completions.create(**STREAMED))
    assert _joined(chunks) == ANSWER
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens > 0) == ([], True)


def test_a_stream_ends_with_usage_for_the_async_client(base: str) -> None:
    async def call(client: openai.AsyncOpenAI) -> list[openai.types.chat.ChatCompletionChunk]:
        return [chunk async for chunk in await client.chat.completions.create(**STREAMED)]

    chunks = through_async(base, call)
    assert _joined(chunks) == ANSWER
    assert chunks[-1].usage.completion_tokens > 0


def _joined(chunks: list[openai.types.chat.ChatCompletionChunk]) -> str:
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def test_a_schema_is_met(base: str) -> None:
    reply = sync_client(base).chat.completions.create(
        model="fake", messages=ASK, response_format=SCHEMA_FORMAT
    )
    assert is_weather(json.loads(reply.choices[0].message.content))


def test_a_stream_helper_parses_into_a_model(base: str) -> None:
    class Step(BaseModel):
        explanation: str
        output: str | None

    class Reasoning(BaseModel):
        steps: list[Step]
        final_answer: str

    reply = sync_client(base).chat.completions.parse(
        model="fake", messages=ASK, response_format=Reasoning
    )
    assert isinstance(reply.choices[0].message.parsed, Reasoning)
    with sync_client(base).chat.completions.stream(
        model="fake", messages=ASK, response_format=Reasoning
    ) as stream:
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Reasoning)


CHOICES = pytest.mark.parametrize(
    ("text", "choice", "finish_reason"),
    [
        ("hello", "required", "tool_calls"),
        ("hello", FORCED, "stop"),  # as the API ends a call that the client named
        (NAMING, "auto", "tool_calls"),
        (NAMING, openai.NOT_GIVEN, "tool_calls"),
    ],
)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


@CHOICES
def test_a_tool_is_called(base: str, text: str, choice: object, finish_reason: str) -> None:
    reply = sync_client(base).chat.completions.create(
        model="fake", messages=[user(text)], tools=[TOOL], tool_choice=choice
    )
    (call,) = reply.choices[0].message.tool_calls
    assert (call.function.name, reply.choices[0].finish_reason) == ("weather", finish_reason)
    assert is_weather(json.loads(call.function.arguments))


@pytest.mark.parametrize("dialect", DIALECTS)
@CHOICES
def test_a_tool_is_called_in_a_stream(
    in_dialect: Callable[[str], str], dialect: str, text: str, choice: object, finish_reason: str
) -> None:
    if dialect in HARD_OF_HEARING and text != NAMING:
        text, finish_reason = NAMING, "tool_calls"
    with sync_client(in_dialect(dialect)).chat.completions.stream(
        model="fake", messages=[user(text)], tools=[TOOL], tool_choice=choice
    ) as stream:
        done = stream.get_final_completion().choices[0]
    (call,) = done.message.tool_calls
    assert (call.function.name, done.finish_reason) == ("weather", finish_reason)
    assert is_weather(json.loads(call.function.arguments))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_two_tools_are_called_at_once(in_dialect: Callable[[str], str], dialect: str) -> None:
    asked = {"model": "fake", "messages": [user(NAMING_BOTH)], "tools": [TOOL, CLOCK]}
    client = sync_client(in_dialect(dialect)).chat.completions
    plain = client.create(**asked).choices[0].message.tool_calls
    with client.stream(**asked) as stream:
        streamed = stream.get_final_completion().choices[0].message.tool_calls
    for calls in (plain, streamed):
        assert [call.function.name for call in calls] == ["weather", "clock"]
        assert is_weather(json.loads(calls[0].function.arguments))
        assert len({call.id for call in calls}) == 2


def test_words_are_the_answer_when_the_tool_has_answered(base: str) -> None:
    client = sync_client(base).chat.completions
    messages: list[object] = [user(NAMING)]
    asked = {"model": "fake", "messages": messages, "tools": [TOOL]}
    said = client.create(**asked).choices[0].message
    result = {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "sunny"}
    messages += [said, result]
    reply = client.create(**asked).choices[0]
    assert (reply.finish_reason, reply.message.tool_calls) == ("stop", None)
    assert reply.message.content


def test_a_call_without_a_result_is_a_bad_request(base: str) -> None:
    client = sync_client(base).chat.completions
    said = client.create(model="fake", messages=[user(NAMING)], tools=[TOOL]).choices[0].message
    with pytest.raises(openai.BadRequestError, match="must be followed by tool messages"):
        client.create(model="fake", messages=[user(NAMING), said, user("?")], tools=[TOOL])


def test_a_tool_is_called_by_the_async_client(base: str) -> None:
    reply = through_async(
        base,
        lambda client: client.chat.completions.create(
            model="fake", messages=ASK, tools=[TOOL], tool_choice="required"
        ),
    )
    assert is_weather(json.loads(reply.choices[0].message.tool_calls[0].function.arguments))


def test_words_are_the_answer_when_no_tool_is_demanded(base: str) -> None:
    reply = sync_client(base).chat.completions.create(model="fake", messages=ASK, tools=[TOOL])
    assert reply.choices[0].message.content == ANSWER
    assert reply.choices[0].message.tool_calls is None


def test_texts_are_embedded(base: str) -> None:
    # Unless told otherwise the SDK asks for base64 and unpacks it itself.
    client = sync_client(base).embeddings
    reply = client.create(model="fake", input=["hello", "hello", "other"])
    floats = client.create(model="fake", input="hello", encoding_format="float")
    first, second, third = (item.embedding for item in reply.data)
    assert (len(first), first) == (1536, second)
    assert first != third
    assert floats.data[0].embedding == pytest.approx(first)
    assert reply.usage.prompt_tokens > 0
    assert len(client.create(model="fake", input="a", dimensions=8).data[0].embedding) == 8


def test_texts_are_embedded_for_the_async_client(base: str) -> None:
    reply = through_async(base, lambda client: client.embeddings.create(model="m", input=["a"]))
    assert len(reply.data[0].embedding) == 1536


def test_a_prompt_is_completed(base: str) -> None:
    client = sync_client(base).completions
    reply = client.create(model="fake", prompt="hello", max_tokens=99)
    assert (reply.object, reply.choices[0].finish_reason) == ("text_completion", "stop")
    chunks = list(client.create(model="fake", prompt="hello", max_tokens=99, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == reply.choices[0].text


ERRORS = (
    ("fake:status-400", openai.BadRequestError, 400),
    ("fake:status-401", openai.AuthenticationError, 401),
    ("fake:status-403", openai.PermissionDeniedError, 403),
    ("fake:status-404", openai.NotFoundError, 404),
    ("fake:no-such-scenario", openai.NotFoundError, 404),
    ("fake:status-422", openai.UnprocessableEntityError, 422),
    ("fake:status-429", openai.RateLimitError, 429),
    ("fake:status-500", openai.InternalServerError, 500),
    ("fake:status-502", openai.InternalServerError, 502),
    ("fake:status-503-busy", openai.InternalServerError, 503),
    ("fake:status-504", openai.InternalServerError, 504),
)


@pytest.mark.parametrize(("model", "error", "status"), ERRORS)
def test_an_error_is_of_its_class(
    base: str, model: str, error: type[openai.APIStatusError], status: int
) -> None:
    with pytest.raises(error) as raised:
        sync_client(base).chat.completions.create(model=model, messages=ASK)
    assert raised.value.status_code == status
    assert raised.value.body["message"]
    with pytest.raises(error):
        through_async(
            base, lambda client: client.chat.completions.create(model=model, messages=ASK)
        )


def test_an_unknown_scenario_names_what_is_near(base: str) -> None:
    with pytest.raises(openai.NotFoundError, match="status-429") as raised:
        sync_client(base).chat.completions.create(model="fake:status-42", messages=ASK)
    assert raised.value.code == "model_not_found"


def test_a_bad_request_names_its_parameter(base: str) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        sync_client(base).chat.completions.create(model="fake", messages=[])
    assert (raised.value.param, raised.value.code) == ("messages", "empty_array")


def test_every_parameter_of_the_sdk_is_known_and_no_other(base: str) -> None:
    params = openai.types.chat.completion_create_params
    forms = (params.CompletionCreateParamsNonStreaming, params.CompletionCreateParamsStreaming)
    names = {name for form in forms for name in get_type_hints(form)}
    client = sync_client(base).chat.completions
    # As null, which is the same as not given, so that only the name is looked at.
    others = names - {"model", "messages", "stream"}
    client.create(model="fake", messages=ASK, extra_body=dict.fromkeys(others))
    with pytest.raises(openai.BadRequestError, match="argument supplied: top_k"):
        client.create(model="fake", messages=ASK, extra_body={"top_k": 4})


def test_a_lost_connection_is_of_its_class(base: str) -> None:
    with pytest.raises(openai.APIConnectionError):
        sync_client(base).chat.completions.create(model="fake:reset-before-bytes", messages=ASK)


def test_silence_is_a_timeout(base: str) -> None:
    with pytest.raises(openai.APITimeoutError):
        sync_client(base, timeout=0.2).chat.completions.create(
            model="fake:slow-first-token?for=30s", messages=ASK
        )


def test_429_is_retried_when_the_server_says(twice_429: str) -> None:
    reply = sync_client(twice_429, max_retries=2).chat.completions.create(
        model="fake", messages=ASK
    )
    assert reply.choices[0].message.content == ANSWER
    assert is_retried_as_told(twice_429)


def test_429_is_retried_by_the_async_client_when_the_server_says(twice_429: str) -> None:
    reply = through_async(
        twice_429,
        lambda client: client.chat.completions.create(model="fake", messages=ASK),
        max_retries=2,
    )
    assert reply.choices[0].message.content == ANSWER
    assert is_retried_as_told(twice_429)
