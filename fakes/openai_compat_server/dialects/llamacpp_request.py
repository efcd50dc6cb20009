"""How llama.cpp reads a chat request: with patience, and sometimes taking the blame.

It looks at the types of what it uses and hardly at values: any model or none, any role, no
messages, any temperature. What it has no place for it reads as not given, a `tool_choice` that
names a function too (ggml-org/llama.cpp, issue 26535). Messages and tools that it can not take
apart it answers with 500. Held against the real server by `make test-fidelity`.
"""

from fakes.openai_compat_server.chat_request import ChatRequest, Message
from fakes.openai_compat_server.json_fields import (
    Fields,
    Refusal,
    boolean,
    is_object,
    kind,
    object_in,
    wrong_type,
)
from fakes.openai_compat_server.tools import CHOICES, NO_PARAMETERS, Choice, Offer, Tool

_MODEL = "fake"
_NUMBERS = ("temperature", "top_p", "frequency_penalty", "presence_penalty", "seed", "logprobs")
_FORMATS = ("", "text", "json_object", "json_schema")
_MAX_TOKENS = (-1, 2**31 - 1)  # -1: no limit
_MEDIA = ("image_url", "input_audio", "input_video")


def read_chat(body: bytes) -> ChatRequest:
    """The request in `body`; raises Refusal."""
    fields = object_in(body)
    model, options = fields.get("model"), fields.get("stream_options")
    messages, stream = _messages(fields), boolean(fields, "stream")
    for name in _NUMBERS:
        _number(fields, name)
    _whole(fields, "n", 1, 1)
    offer = _offer(fields)
    _check_logprobs(fields, stream, offer)
    response_format, schema = _form(fields.get("response_format"))
    return ChatRequest(
        model=model if isinstance(model, str) else _MODEL,
        messages=messages,
        stream=stream,
        include_usage=is_object(options) and boolean(options, "include_usage") and stream,
        max_tokens=_max_tokens(fields),
        stop=_stops(fields.get("stop")),
        response_format=response_format,
        schema=schema,
        offer=offer,
    )


def _messages(fields: Fields) -> tuple[Message, ...]:
    if "messages" not in fields:
        raise Refusal("'messages' is required")
    given = fields["messages"]
    if not isinstance(given, list):
        raise Refusal("Expected 'messages' to be an array")
    return tuple(_message(each) for each in given)


def _message(given: object) -> Message:
    fields: Fields = given if is_object(given) else {}
    role = fields.get("role")
    if "content" not in fields and role != "assistant":
        raise Refusal("All non-assistant messages must contain 'content'")
    if "content" not in fields and "tool_calls" not in fields:
        raise Refusal("Assistant message must contain either 'content' or 'tool_calls'!")
    text = _text(fields.get("content"))
    if not isinstance(role, str):
        raise _broken("messages", "Missing 'role' in message, or its type must be string")
    return Message(role, text)


def _text(content: object) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise Refusal("Expected 'content' to be a string or an array")
    return "\n".join(_part(part) for part in content)


def _part(part: object) -> str:
    form = part.get("type") if is_object(part) else None
    if form in _MEDIA:
        hint = "hint: if this is unexpected, you may need to provide the mmproj"
        raise Refusal(f"{form} is not supported - {hint}", status=500)
    if not is_object(part) or form != "text":
        raise Refusal("unsupported content[].type")
    text = part.get("text")
    if not isinstance(text, str):
        raise _broken("messages", "key 'text' not found")
    return text


def _number(fields: Fields, name: str) -> float | None:
    """Truth values are numbers to it, and what is given as null is not given."""
    value = fields.get(name)
    if value is not None and not isinstance(value, int | float):
        raise wrong_type(name, "number", value)
    return value


def _whole(fields: Fields, name: str, low: int, high: int) -> int | None:
    """A fraction is cut off before the bounds are looked at."""
    value = _number(fields, name)
    if value is None:
        return None
    if not low <= int(value) <= high:
        bounds = f"Value must be between {low} <= value <= {high}"
        raise Refusal(f"Field '{name}': {bounds}, but got {int(value)}", name)
    return int(value)


def _max_tokens(fields: Fields) -> int | None:
    limits = [
        _whole(fields, name, *_MAX_TOKENS) for name in ("max_completion_tokens", "max_tokens")
    ]
    return next((limit for limit in limits if limit is not None and limit >= 0), None)


def _stops(given: object) -> tuple[str, ...]:
    found = given if isinstance(given, list) else [given] if isinstance(given, str) else []
    for stop in found:
        if not isinstance(stop, str):
            raise wrong_type("stop", "string", stop)
    return tuple(stop for stop in found if stop)


def _check_logprobs(fields: Fields, stream: bool, offer: Offer) -> None:
    if not fields.get("logprobs"):
        if fields.get("top_logprobs") is not None:
            raise Refusal("top_logprobs requires logprobs to be set to true")
    elif stream and offer.tools:
        raise Refusal("logprobs is not supported with tools + stream")


def _form(given: object) -> tuple[str, Fields]:
    """A schema that is none, or not there, is no schema: the answer is free (200)."""
    form = given.get("type") if is_object(given) else None
    if not is_object(given) or not isinstance(form, str):
        return "text", {}
    if form not in _FORMATS:
        raise Refusal(f"response_format type must be one of {_FORMATS[1:]}, but got: {form}")
    wrapper = given.get("json_schema")
    schema = wrapper.get("schema") if is_object(wrapper) else None
    if form == "json_schema" and is_object(schema) and schema:
        return form, schema
    return ("json_object" if form == "json_object" else "text"), {}


def _offer(fields: Fields) -> Offer:
    given = fields.get("tools")
    if given is not None and not isinstance(given, list):
        raise _broken("tools", f"Expected 'tools' to be an array, got {kind(given)}")
    tools = tuple(_tool(tool, at) for at, tool in enumerate(given or ()))
    wanted, parallel = fields.get("tool_choice"), fields.get("parallel_tool_calls")
    choice = CHOICES.get(wanted) if isinstance(wanted, str) else Choice.AUTO
    if choice is None:
        raise Refusal(f"Invalid tool_choice: {wanted}")
    return Offer(tools, choice if tools else Choice.NONE, parallel is not False)


def _tool(given: object, at: int) -> Tool:
    function = given.get("function") if is_object(given) else None
    if not is_object(given) or given.get("type") != "function":
        raise _broken("tools", "Missing tool type, or an unsupported one")
    if not is_object(function) or not isinstance(function.get("name"), str):
        raise _broken("tools", "Missing tool function, or its name")
    parameters = function.get("parameters", NO_PARAMETERS)
    where = f"tools[{at}].function.parameters"
    if not is_object(parameters):
        raise Refusal(f"JSON schema error at {where}: schema must be an object")
    return Tool(str(function["name"]), parameters, where)


def _broken(what: str, why: str) -> Refusal:
    return Refusal(f"Failed to parse {what}: {why}", status=500)
