"""How OpenAI reads a chat request: it also minds fields it does not know, and who answers whom.

A tool's message answers a call of the assistant's, and every call must have its answer before
anybody else speaks. Its words, as clients meet them: "Unrecognized request argument supplied: …",
"messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.", "An
assistant message with 'tool_calls' must be followed by tool messages …".
"""

from collections.abc import Sequence

from fakes.openai_compat_server.chat_request import ChatRequest, chat_of
from fakes.openai_compat_server.dialects.openai_strict import check_strict
from fakes.openai_compat_server.json_fields import Fields, Refusal, is_object, missing, object_in

# The parameters of `POST /v1/chat/completions` in OpenAI's API reference, the retired among them;
# `make test-clients` holds them against the official SDK's.
_PARAMETERS = """
    audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens
    max_tokens messages metadata modalities model moderation n parallel_tool_calls prediction
    presence_penalty prompt_cache_key prompt_cache_options prompt_cache_retention
    reasoning_effort response_format safety_identifier seed service_tier stop store stream
    stream_options temperature tool_choice tools top_logprobs top_p user verbosity
    web_search_options
"""
KNOWN = frozenset(_PARAMETERS.split())
_INSTEAD_OF_CONTENT = ("tool_calls", "function_call", "refusal", "audio")


def read_chat(body: bytes) -> ChatRequest:
    """The request in `body`; raises Refusal."""
    fields = object_in(body)
    unknown = sorted(fields.keys() - KNOWN)
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        raise Refusal(f"Unrecognized request argument{plural} supplied: {', '.join(unknown)}")
    both = ("max_tokens", "max_completion_tokens")
    if all(fields.get(name) is not None for name in both):
        message = f"Setting '{both[0]}' and '{both[1]}' at the same time is not supported."
        raise Refusal(message, both[0], "invalid_parameter_combination")
    chat = chat_of(fields)
    messages = fields["messages"]
    assert isinstance(messages, list), "else the request had been refused"
    _check_turns(messages)
    check_strict(fields)
    return chat


def _check_turns(messages: Sequence[Fields]) -> None:
    open_calls: set[str] = set()
    for at, message in enumerate(messages):
        if message["role"] == "tool":
            _check_answer(message, at, open_calls)
            continue
        _check_answered(open_calls, at)
        if message["role"] != "assistant":
            continue
        open_calls = _calls(message, at)
        if message.get("content") is None and not any(map(message.get, _INSTEAD_OF_CONTENT)):
            said = "Invalid value for 'content': expected a string, got null."
            raise Refusal(said, f"messages.[{at}].content")
    _check_answered(open_calls, len(messages) - 1)


def _check_answer(message: Fields, at: int, open_calls: set[str]) -> None:
    called = message.get("tool_call_id")
    if called is None:
        raise missing(f"messages[{at}].tool_call_id")
    if not isinstance(called, str) or called not in open_calls:
        said = "messages with role 'tool' must be a response to a preceeding message with "
        raise Refusal(f"Invalid parameter: {said}'tool_calls'.", f"messages.[{at}].role")
    open_calls.discard(called)


def _check_answered(open_calls: set[str], at: int) -> None:
    if open_calls:
        said = "An assistant message with 'tool_calls' must be followed by tool messages responding"
        left = f"did not have response messages: {', '.join(sorted(open_calls))}"
        message = f"{said} to each 'tool_call_id'. The following tool_call_ids {left}"
        raise Refusal(message, f"messages.[{at}].role")


def _calls(message: Fields, at: int) -> set[str]:
    given = message.get("tool_calls")
    ids = set()
    for number, call in enumerate(given if isinstance(given, list) else ()):
        where = f"messages[{at}].tool_calls[{number}].id"
        called = call.get("id") if is_object(call) else None
        if not isinstance(called, str):
            raise missing(where)
        ids.add(called)
    return ids
