"""The body of `POST /v1/chat/completions`, read as strictly as the real API reads it.

A field of the wrong type or value is refused and named; fields this server has no use for are let
pass. Refuses also what `json.loads` would take: NaN, and text that is not Unicode.
"""

import json
from collections.abc import Mapping
from typing import TypeGuard

from attrs import frozen

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
FORMATS = ("text", "json_object", "json_schema")
_STOPS_MAX = 4
_NUMBERS: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}


class Refusal(Exception):
    """A 400: what is wrong, and the parameter that carries it (None: the body as a whole)."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


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


def parse_chat(body: bytes) -> ChatRequest:
    """The request in `body`; raises Refusal."""
    fields = _object(body)
    model = _required(fields, "model")
    if not isinstance(model, str) or not model.strip():
        raise Refusal(f"Invalid type for 'model': expected a string, got {_kind(model)}.", "model")
    stream = _boolean(fields, "stream")
    _check_unused(fields)
    response_format, schema = _response_format(fields.get("response_format"))
    return ChatRequest(
        model=model,
        messages=_messages(_required(fields, "messages")),
        stream=stream,
        include_usage=_include_usage(fields.get("stream_options"), stream),
        max_tokens=_count(fields, "max_completion_tokens") or _count(fields, "max_tokens"),
        stop=_stop(fields.get("stop")),
        response_format=response_format,
        schema=schema,
    )


def _object(body: bytes) -> Mapping[str, object]:
    try:
        fields: object = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
        json.dumps(fields, ensure_ascii=False).encode("utf-8")  # a lone surrogate fails here
    except (ValueError, RecursionError):
        raise Refusal("We could not parse the JSON body of your request.") from None
    if not _is_object(fields):
        raise Refusal(f"Expected the body to be a JSON object, got {_kind(fields)}.")
    return fields


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _required(fields: Mapping[str, object], name: str) -> object:
    if fields.get(name) is None:
        raise Refusal(f"Missing required parameter: '{name}'.", name)
    return fields[name]


def _messages(given: object) -> tuple[Message, ...]:
    if not isinstance(given, list):
        raise _wrong_type("messages", "an array", given)
    if not given:
        raise Refusal("Invalid 'messages': expected at least one message.", "messages")
    return tuple(_message(item, f"messages[{at}]") for at, item in enumerate(given))


def _message(given: object, where: str) -> Message:
    if not _is_object(given):
        raise _wrong_type(where, "an object", given)
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
        raise _wrong_type(where, "a string or an array of content parts", content)
    texts: list[str] = []
    for at, part in enumerate(content):
        if not _is_object(part) or not isinstance(part.get("type"), str):
            raise Refusal(f"Invalid content part at '{where}[{at}]'.", f"{where}[{at}]")
        text = part.get("text")
        if part["type"] == "text" and not isinstance(text, str):
            raise _wrong_type(f"{where}[{at}].text", "a string", text)
        if isinstance(text, str):
            texts.append(text)
    return "\n".join(texts)


def _include_usage(options: object, stream: bool) -> bool:
    if options is None:
        return False
    if not _is_object(options):
        raise _wrong_type("stream_options", "an object", options)
    if not stream:
        raise Refusal(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            "stream_options",
        )
    return _boolean(options, "include_usage", "stream_options.")


def _response_format(given: object) -> tuple[str, Mapping[str, object]]:
    if given is None:
        return "text", {}
    if not _is_object(given):
        raise _wrong_type("response_format", "an object", given)
    kind = given.get("type")
    if not isinstance(kind, str) or kind not in FORMATS:
        where = "response_format.type"
        raise Refusal(f"Invalid value for '{where}': expected one of {', '.join(FORMATS)}.", where)
    if kind != "json_schema":
        return kind, {}
    where = "response_format.json_schema"
    wrapper = given.get("json_schema")
    if not _is_object(wrapper):
        raise _wrong_type(where, "an object", wrapper)
    if not isinstance(wrapper.get("name"), str):
        raise _wrong_type(f"{where}.name", "a string", wrapper.get("name"))
    schema = wrapper.get("schema")
    if not _is_object(schema):
        raise _wrong_type(f"{where}.schema", "an object", schema)
    return kind, schema


def _stop(given: object) -> tuple[str, ...]:
    stops = [] if given is None else given if isinstance(given, list) else [given]
    if len(stops) > _STOPS_MAX or not all(isinstance(stop, str) and stop for stop in stops):
        raise Refusal("Invalid 'stop': expected a string or an array of up to 4 of them.", "stop")
    return tuple(str(stop) for stop in stops)


def _check_unused(fields: Mapping[str, object]) -> None:
    """Fields without effect here, whose wrong use the real API would refuse."""
    n = fields.get("n")
    if n is not None and (type(n) is not int or n != 1):
        raise Refusal("Invalid value for 'n': this server gives one choice, so n must be 1.", "n")
    for name, (low, high) in _NUMBERS.items():
        value = fields.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong_type(name, "a number", value)
        if not low <= value <= high:
            raise Refusal(f"Invalid '{name}': expected a number from {low} to {high}.", name)
    for name in ("tools", "functions"):
        if fields.get(name) is not None and not isinstance(fields[name], list):
            raise _wrong_type(name, "an array", fields[name])


def _boolean(fields: Mapping[str, object], name: str, prefix: str = "") -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise _wrong_type(prefix + name, "a boolean", value)
    return bool(value)


def _count(fields: Mapping[str, object], name: str) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if type(value) is not int:
        raise _wrong_type(name, "an integer", value)
    if value < 1:
        raise Refusal(f"Invalid '{name}': expected a value of at least 1.", name)
    return value


def _wrong_type(where: str, wanted: str, given: object) -> Refusal:
    return Refusal(f"Invalid type for '{where}': expected {wanted}, got {_kind(given)}.", where)


def _is_object(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, dict)


def _kind(value: object) -> str:
    names = {bool: "a boolean", int: "an integer", float: "a number", str: "a string"}
    names |= {list: "an array", dict: "an object", type(None): "null"}
    return names[type(value)]
