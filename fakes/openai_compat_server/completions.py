"""`POST /v1/completions`: the older face, a prompt in and text out, answered by the same personas.

A prompt is one user message to the persona. Refuses what this server has no answer to: prompts as
token numbers, and more than one prompt or choice.
"""

from collections.abc import Iterator, Mapping

from attrs import frozen

from fakes.openai_compat_server.chat_request import ChatRequest, Message, include_usage, stops
from fakes.openai_compat_server.dialects import Completion
from fakes.openai_compat_server.json_fields import (
    Refusal,
    boolean,
    count,
    model_name,
    object_in,
    required,
    wrong_type,
)
from fakes.openai_compat_server.unused_fields import check_unused

# The API's own: whoever wants more has to say so.
MAX_TOKENS = 16


@frozen
class PromptRequest:
    """The prompt, and the chat that the personas and the wire take it for."""

    prompt: str
    repeats_prompt: bool
    chat: ChatRequest


def parse_prompt(body: bytes) -> PromptRequest:
    """The request in `body`; raises Refusal."""
    fields = object_in(body)
    model, stream = model_name(fields), boolean(fields, "stream")
    check_unused(fields)
    prompt = _prompt(required(fields, "prompt"))
    best_of = count(fields, "best_of")
    if best_of not in (None, 1):
        raise Refusal("Invalid value for 'best_of': this server gives one choice.", "best_of")
    chat = ChatRequest(
        model=model,
        messages=(Message("user", prompt),),
        stream=stream,
        include_usage=include_usage(fields.get("stream_options"), stream),
        max_tokens=count(fields, "max_tokens") or MAX_TOKENS,
        stop=stops(fields.get("stop")),
        response_format="text",
        schema={},
    )
    return PromptRequest(prompt, boolean(fields, "echo"), chat)


def prompt_body(done: Completion) -> Mapping[str, object]:
    """The whole answer."""
    return {**_frame(done, done.text, done.finish_reason), "usage": done.usage}


def prompt_token_frames(done: Completion, include_usage: bool) -> Iterator[Mapping[str, object]]:
    """One frame to a token."""
    return ({**_frame(done, token, None), **_unknown(include_usage)} for token in done.tokens)


def prompt_closing_frames(done: Completion, include_usage: bool) -> Iterator[Mapping[str, object]]:
    """The finish, and usage where it was asked for."""
    yield {**_frame(done, "", done.finish_reason), **_unknown(include_usage)}
    if include_usage:
        yield {**_frame(done, "", None), "choices": [], "usage": done.usage}


def _unknown(include_usage: bool) -> Mapping[str, object]:
    return {"usage": None} if include_usage else {}


def _frame(done: Completion, text: str, finish_reason: str | None) -> Mapping[str, object]:
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish_reason}
    return {
        "id": f"cmpl-{done.id.removeprefix('chatcmpl-')}",
        "object": "text_completion",
        "created": done.created_s,
        "model": done.model,
        "choices": [choice],
    }


def _prompt(given: object) -> str:
    if isinstance(given, list) and len(given) == 1 and isinstance(given[0], str):
        return given[0]
    if not isinstance(given, str):
        raise wrong_type("prompt", "a string, or an array of one", given)
    return given
