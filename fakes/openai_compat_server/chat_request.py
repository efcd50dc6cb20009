"""The body of `POST /v1/chat/completions`, read as strictly as the real API reads it.

A field of the wrong type or value is refused and named; fields this server has no use for are let
pass.
"""

from collections.abc import Mapping

from attrs import frozen

from fakes.openai_compat_server.json_fields import (
    Refusal,
    boolean,
    count,
    is_object,
    model_name,
    object_in,
    required,
    wrong_type,
)
from fakes.openai_compat_server.tools import Tool, parse_tools

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
FORMATS = ("text", "json_object", "json_schema")
_STOPS_MAX = 4
_NUMBERS: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}


@frozen
class Message:
    """One turn as text; the text parts of a multi-part content are joined."""

    role: str
    text: str


@frozen
class ChatRequest:
    """What the personas and the wire need of a request."""

    model: str
    messages: tuple[Message, ...]
    stream: bool
    include_usage: bool
    max_tokens: int | None
    stop: tuple[str, ...]
    response_format: str
    schema: Mapping[str, object]
    tools: tuple[Tool, ...] = ()
    forced: tuple[Tool, ...] = ()  # one of these must be called


def parse_chat(body: bytes) -> ChatRequest:
    """The request in `body`; raises Refusal."""
    fields = object_in(body)
    model = model_name(fields)
    stream = boolean(fields, "stream")
    check_unused(fields)
    tools, forced = parse_tools(fields)
    response_format, schema = _response_format(fields.get("response_format"))
    return ChatRequest(
        model=model,
        messages=_messages(required(fields, "messages")),
        stream=stream,
        include_usage=include_usage(fields.get("stream_options"), stream),
        max_tokens=count(fields, "max_completion_tokens") or count(fields, "max_tokens"),
        stop=stops(fields.get("stop")),
        response_format=response_format,
        schema=schema,
        tools=tools,
        forced=forced,
    )


def _messages(given: object) -> tuple[Message, ...]:
    if not isinstance(given, list):
        raise wrong_type("messages", "an array", given)
    if not given:
        raise Refusal("Invalid 'messages': expected at least one message.", "messages")
    return tuple(_message(item, f"messages[{at}]") for at, item in enumerate(given))


def _message(given: object, where: str) -> Message:
    if not is_object(given):
        raise wrong_type(where, "an object", given)
    role = given.get("role")
    if role is None:
        raise Refusal(f"Missing required parameter: '{where}.role'.", f"{where}.role")
    if role not in ROLES:
        raise Refusal(f"Invalid value for '{where}.role': expected one of {', '.join(ROLES)}.",
                      f"{where}.role")  # fmt: skip
    content = given.get("content")
    if content is None and role != "assistant":
        raise Refusal(f"Missing required parameter: '{where}.content'.", f"{where}.content")
    return Message(str(role), _text(content, f"{where}.content"))


def _text(content: object, where: str) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise wrong_type(where, "a string or an array of content parts", content)
    texts: list[str] = []
    for at, part in enumerate(content):
        if not is_object(part) or not isinstance(part.get("type"), str):
            raise Refusal(f"Invalid content part at '{where}[{at}]'.", f"{where}[{at}]")
        text = part.get("text")
        if part["type"] == "text" and not isinstance(text, str):
            raise wrong_type(f"{where}[{at}].text", "a string", text)
        if isinstance(text, str):
            texts.append(text)
    return "\n".join(texts)


def include_usage(options: object, stream: bool) -> bool:
    if options is None:
        return False
    if not is_object(options):
        raise wrong_type("stream_options", "an object", options)
    if not stream:
        raise Refusal(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            "stream_options",
        )
    return boolean(options, "include_usage", "stream_options.")


def _response_format(given: object) -> tuple[str, Mapping[str, object]]:
    if given is None:
        return "text", {}
    if not is_object(given):
        raise wrong_type("response_format", "an object", given)
    kind = given.get("type")
    if not isinstance(kind, str) or kind not in FORMATS:
        where = "response_format.type"
        raise Refusal(f"Invalid value for '{where}': expected one of {', '.join(FORMATS)}.", where)
    if kind != "json_schema":
        return kind, {}
    where = "response_format.json_schema"
    wrapper = given.get("json_schema")
    if not is_object(wrapper):
        raise wrong_type(where, "an object", wrapper)
    if not isinstance(wrapper.get("name"), str):
        raise wrong_type(f"{where}.name", "a string", wrapper.get("name"))
    schema = wrapper.get("schema")
    if not is_object(schema):
        raise wrong_type(f"{where}.schema", "an object", schema)
    return kind, schema


def stops(given: object) -> tuple[str, ...]:
    found = [] if given is None else given if isinstance(given, list) else [given]
    if len(found) > _STOPS_MAX or not all(isinstance(stop, str) and stop for stop in found):
        raise Refusal("Invalid 'stop': expected a string or an array of up to 4 of them.", "stop")
    return tuple(str(stop) for stop in found)


def check_unused(fields: Mapping[str, object]) -> None:
    """Fields without effect here, whose wrong use the real API would refuse."""
    n = fields.get("n")
    if n is not None and (type(n) is not int or n != 1):
        raise Refusal("Invalid value for 'n': this server gives one choice, so n must be 1.", "n")
    for name, (low, high) in _NUMBERS.items():
        value = fields.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong_type(name, "a number", value)
        if not low <= value <= high:
            raise Refusal(f"Invalid '{name}': expected a number from {low} to {high}.", name)
    if fields.get("functions") is not None and not isinstance(fields["functions"], list):
        raise wrong_type("functions", "an array", fields["functions"])
