"""Goal: LangChain's ChatOpenAI and OpenAIEmbeddings take the fake for the API.

Method: both, unmodified, over real sockets, told of the server by `base_url` alone.
"""

import asyncio

import openai  # type: ignore[import-not-found] # of its own environment
import pytest
from langchain_core.messages import (  # type: ignore[import-not-found] # of its own environment
    HumanMessage,
    ToolMessage,
)
from langchain_openai import (  # type: ignore[import-not-found] # of its own environment
    ChatOpenAI,
    OpenAIEmbeddings,
)

from harness.clients.client_cases import (
    ANSWER,
    CLOCK,
    NAMING,
    NAMING_BOTH,
    PROMPT,
    TOOL,
    WEATHER,
    is_retried_as_told,
    is_weather,
)


def chat(base: str, model: str = "fake", **options: object) -> ChatOpenAI:
    """One that tries once."""
    settings: dict[str, object] = {"max_retries": 0, "stream_usage": True, **options}
    return ChatOpenAI(model=model, base_url=base, api_key="none", **settings)


def test_models_are_listed(base: str) -> None:
    assert [model.id for model in chat(base).root_client.models.list()] == ["fake"]


def test_a_plain_answer_is_whole(base: str) -> None:
    reply = chat(base).invoke(PROMPT)
    assert reply.content == ANSWER
    assert reply.response_metadata["finish_reason"] == "stop"
    assert reply.usage_metadata["total_tokens"] > 0


def test_a_stream_ends_with_usage(base: str) -> None:
    chunks = list(chat(base).stream(PROMPT))
    assert "".join(chunk.content for chunk in chunks) == ANSWER
    whole = sum(chunks[1:], chunks[0])
    assert whole.usage_metadata["output_tokens"] > 0


def test_answers_are_whole_for_the_async_client(base: str) -> None:
    """In one event loop, for the client keeps its connections, and they keep theirs."""

    async def run() -> tuple[str, str]:
        model = chat(base)
        plain = await model.ainvoke(PROMPT)
        return plain.content, "".join([chunk.content async for chunk in model.astream(PROMPT)])

    assert asyncio.run(run()) == (ANSWER, ANSWER)


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_a_schema_is_met(base: str, method: str) -> None:
    schema = {"title": "weather", "description": "a forecast", **WEATHER}
    model = chat(base).with_structured_output(schema, method=method)
    assert is_weather(model.invoke(PROMPT))


CHOICES = pytest.mark.parametrize(
    ("text", "choice"),
    [(PROMPT, "any"), (PROMPT, "weather"), (NAMING, "auto"), (NAMING, None)],
)


@CHOICES
def test_a_tool_is_called(base: str, text: str, choice: str | None) -> None:
    model = chat(base).bind_tools([TOOL], tool_choice=choice)
    (call,) = model.invoke(text).tool_calls
    assert (call["name"], is_weather(call["args"])) == ("weather", True)


@CHOICES
def test_a_tool_is_called_in_a_stream(base: str, text: str, choice: str | None) -> None:
    chunks = list(chat(base).bind_tools([TOOL], tool_choice=choice).stream(text))
    (call,) = sum(chunks[1:], chunks[0]).tool_calls
    assert (call["name"], is_weather(call["args"])) == ("weather", True)


def test_two_tools_are_called_in_a_stream(base: str) -> None:
    chunks = list(chat(base).bind_tools([TOOL, CLOCK]).stream(NAMING_BOTH))
    calls = sum(chunks[1:], chunks[0]).tool_calls
    assert [call["name"] for call in calls] == ["weather", "clock"]


def test_words_are_the_answer_when_the_tool_has_answered(base: str) -> None:
    model = chat(base).bind_tools([TOOL])
    said = model.invoke(NAMING)
    result = ToolMessage("sunny", tool_call_id=said.tool_calls[0]["id"])
    reply = model.invoke([HumanMessage(NAMING), said, result])
    assert (reply.tool_calls, bool(reply.content)) == ([], True)


def test_texts_are_embedded(base: str) -> None:
    # Its own count of tokens needs a vocabulary from the network.
    model = OpenAIEmbeddings(
        model="fake", base_url=base, api_key="none", check_embedding_ctx_length=False
    )
    first, second = model.embed_documents(["hello", "other"])
    assert (len(first), len(second)) == (1536, 1536)
    assert model.embed_query("hello") == pytest.approx(first)


ERRORS = (
    ("fake:status-400", openai.BadRequestError),
    ("fake:status-401", openai.AuthenticationError),
    ("fake:status-403", openai.PermissionDeniedError),
    ("fake:status-404", openai.NotFoundError),
    ("fake:no-such-scenario", openai.NotFoundError),
    ("fake:status-422", openai.UnprocessableEntityError),
    ("fake:status-429", openai.RateLimitError),
    ("fake:status-500", openai.InternalServerError),
    ("fake:status-502", openai.InternalServerError),
    ("fake:status-503-busy", openai.InternalServerError),
    ("fake:status-504", openai.InternalServerError),
    ("fake:reset-before-bytes", openai.APIConnectionError),
)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("model", "error"), ERRORS)
def test_an_error_is_of_its_class(
    base: str, model: str, error: type[Exception], stream: bool
) -> None:
    client = chat(base, model)
    with pytest.raises(error):
        _ = list(client.stream(PROMPT)) if stream else client.invoke(PROMPT)


def test_429_is_retried_when_the_server_says(twice_429: str) -> None:
    assert chat(twice_429, max_retries=2).invoke(PROMPT).content == ANSWER
    assert is_retried_as_told(twice_429)


def test_silence_is_a_timeout(base: str) -> None:
    with pytest.raises(openai.APITimeoutError):
        chat(base, "fake:slow-first-token?for=30s", timeout=0.2).invoke(PROMPT)


def test_texts_are_embedded_for_the_async_client(base: str) -> None:
    model = OpenAIEmbeddings(
        model="fake", base_url=base, api_key="none", check_embedding_ctx_length=False
    )
    assert [len(each) for each in asyncio.run(model.aembed_documents(["a", "b"]))] == [1536, 1536]
