"""The body of `POST /v1/chat/completions`, read as strictly as the real API reads it.

A field of the wrong type or value is refused and named; fields nobody knows are let pass. What a
dialect minds more or less than this is the dialect's own.
"""

import re
from collections.abc import Mapping

from attrs import field, frozen

from fakes.openai_compat_server.json_fields import (
    Fields,
    Refusal,
    boolean,
    count,
    is_object,
    missing,
    model_name,
    object_in,
    required,
    wrong_type,
    wrong_value,
)
from fakes.openai_compat_server.tools import Offer, parse_tools
from fakes.openai_compat_server.unused_fields import check_unused, check_unused_in_chat

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
FORMATS = ("text", "json_object", "json_schema")
_STOPS_MAX = 4
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


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
    offer: Offer = field(factory=Offer)


def parse_chat(body: bytes) -> ChatRequest:
    """The request in `body`; raises Refusal."""
    return chat_of(object_in(body))


def chat_of(fields: Fields) -> ChatRequest:
    """The request that has these fields; raises Refusal."""
    model = model_name(fields)
    stream = boolean(fields, "stream")
    check_unused(fields)
    check_unused_in_chat(fields)
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
        offer=parse_tools(fields),
    )


def _messages(given: object) -> tuple[Message, ...]:
    if not isinstance(given, list):
        raise wrong_type("messages", "an array", given)
    if not given:
        message = "Invalid 'messages': empty array. Expected at least one message."
        raise Refusal(message, "messages", "empty_array")
    return tuple(_message(item, f"messages[{at}]") for at, item in enumerate(given))


def _message(given: object, where: str) -> Message:
    if not is_object(given):
        raise wrong_type(where, "an object", given)
    role = given.get("role")
    if role is None:
        raise missing(f"{where}.role")
    if not isinstance(role, str):
        raise wrong_type(f"{where}.role", "a string", role)
    if role not in ROLES:
        raise wrong_value(f"{where}.role", f"one of {', '.join(ROLES)}")
    content = given.get("content")
    if content is None and role != "assistant":
        raise missing(f"{where}.content")
    return Message(role, _text(content, f"{where}.content"))


def _text(content: object, where: str) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise wrong_type(where, "a string or an array of content parts", content)
    texts: list[str] = []
    for at, part in enumerate(content):
        if not is_object(part) or not isinstance(part.get("type"), str):
            raise wrong_value(f"{where}[{at}]", "a content part, an object with a type")
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
    if kind is None:
        raise missing("response_format.type")
    if not isinstance(kind, str) or kind not in FORMATS:
        raise wrong_value("response_format.type", f"one of {', '.join(FORMATS)}")
    if kind != "json_schema":
        return kind, {}
    where = "response_format.json_schema"
    wrapper = given.get("json_schema")
    if wrapper is None:
        raise missing(where)
    if not is_object(wrapper):
        raise wrong_type(where, "an object", wrapper)
    name, schema = wrapper.get("name"), wrapper.get("schema")
    if name is None or schema is None:
        raise missing(f"{where}.{'name' if name is None else 'schema'}")
    if not isinstance(name, str):
        raise wrong_type(f"{where}.name", "a string", name)
    if not _NAME.fullmatch(name):
        message = f"Invalid '{where}.name': expected 1 to 64 letters, digits, _ and -."
        raise Refusal(message, f"{where}.name", "invalid_value")
    if not is_object(schema):
        raise wrong_type(f"{where}.schema", "an object", schema)
    return kind, schema


def stops(given: object) -> tuple[str, ...]:
    found = [] if given is None else given if isinstance(given, list) else [given]
    message = "Invalid 'stop': expected a string or an array of up to 4 of them."
    if len(found) > _STOPS_MAX:
        raise Refusal(message, "stop", "array_above_max_length")
    if not all(isinstance(stop, str) for stop in found):
        raise Refusal(message, "stop", "invalid_type")
    if not all(found):
        raise Refusal(message, "stop", "empty_string")
    return tuple(str(stop) for stop in found)
