"""How Ollama's `/v1` reads a chat request: into a Go struct, and no field that is not in it.

A field of the wrong type is refused, as Go's JSON refuses it; a value hardly ever is. There is no
place for `tool_choice`, `parallel_tool_calls`, `n`, `max_completion_tokens` or `logit_bias`, so
they have no effect, whatever stands in them (ollama/ollama, `ChatCompletionRequest` and
`FromChatRequest` in `openai/openai.go`, `ChatMiddleware` in `middleware/openai.go`).
"""

from fakes.openai_compat_server.chat_request import ChatRequest, Message
from fakes.openai_compat_server.json_fields import Fields, Refusal, is_object, kind, object_in
from fakes.openai_compat_server.tools import NO_PARAMETERS, Choice, Offer, Tool

_NUMBERS = ("temperature", "frequency_penalty", "presence_penalty", "top_p")
_WHOLE = ("max_tokens", "seed", "top_logprobs")
_MEDIA = ("jpeg", "jpg", "png", "webp")
_FORMATS = ("json_object", "json_schema")


def read_chat(body: bytes) -> ChatRequest:
    """The request in `body`; raises Refusal."""
    fields = object_in(body)
    for name in _NUMBERS:
        _of(fields, name, (int, float))
    for name in _WHOLE:
        _of(fields, name, (int,))
    stream = bool(_of(fields, "stream", (bool,)))
    options = _object(fields, "stream_options")
    usage = bool(_of(options, "include_usage", (bool,)))
    tools, max_tokens = _tools(fields), fields.get("max_tokens")
    response_format, schema = _form(_object(fields, "response_format"))
    messages = _messages(fields)
    model = _of(fields, "model", (str,))
    if not isinstance(model, str) or not model.strip():
        raise Refusal("model is required")
    return ChatRequest(
        model=model,
        messages=messages,
        stream=stream,
        include_usage=usage and stream,
        max_tokens=max_tokens if isinstance(max_tokens, int) and max_tokens >= 0 else None,
        stop=_stops(fields.get("stop")),
        response_format=response_format,
        schema=schema,
        offer=Offer(tools, Choice.AUTO if tools else Choice.NONE),
    )


def _messages(fields: Fields) -> tuple[Message, ...]:
    given = _list(fields, "messages")
    if not given:
        raise Refusal("[] is too short - 'messages'")
    return tuple(_message(each) for each in given)


def _message(given: object) -> Message:
    fields = _as_object(given, "messages")
    role, calls = _of(fields, "role", (str,)), _list(fields, "tool_calls")
    content = fields.get("content")
    if isinstance(content, list):
        content = "\n".join(_part(part) for part in content)
    elif not isinstance(content, str) and not calls:
        raise Refusal(f"invalid message content type: {kind(content)}")
    return Message(str(role or "").lower(), content if isinstance(content, str) else "")


def _part(given: object) -> str:
    part: Fields = given if is_object(given) else {}
    text = part.get("text")
    if part.get("type") == "text" and isinstance(text, str):
        return text
    image = part.get("image_url")
    url = image.get("url") if is_object(image) else image
    if part.get("type") != "image_url" or not isinstance(url, str):
        raise Refusal("invalid message format")
    if not url.startswith(("data:;base64,", *(f"data:image/{form};base64," for form in _MEDIA))):
        raise Refusal("invalid image input")
    return ""


def _stops(given: object) -> tuple[str, ...]:
    found = given if isinstance(given, list) else [given]
    return tuple(stop for stop in found if isinstance(stop, str) and stop)


def _form(given: Fields) -> tuple[str, Fields]:
    form = str(_of(given, "type", (str,)) or "").strip().lower()
    schema = _object(given, "json_schema").get("schema")
    if form == "json_schema" and not is_object(schema):
        return "text", {}
    return (form, schema if is_object(schema) else {}) if form in _FORMATS else ("text", {})


def _tools(fields: Fields) -> tuple[Tool, ...]:
    return tuple(_tool(tool, at) for at, tool in enumerate(_list(fields, "tools")))


def _tool(given: object, at: int) -> Tool:
    function = _object(_as_object(given, "tools"), "function")
    parameters = _object(function, "parameters") or NO_PARAMETERS
    name = _of(function, "name", (str,)) or ""
    return Tool(str(name), parameters, f"tools[{at}].function.parameters")


def _of(fields: Fields, name: str, types: tuple[type, ...]) -> object:
    """A field, which null leaves as it was, and which must be of one of the types otherwise."""
    value = fields.get(name)
    if value is not None and type(value) not in types:
        raise _unmarshalled(value, name)
    return value


def _object(fields: Fields, name: str) -> Fields:
    value = fields.get(name)
    return {} if value is None else _as_object(value, name)


def _as_object(value: object, name: str) -> Fields:
    if not is_object(value):
        raise _unmarshalled(value, name)
    return value


def _list(fields: Fields, name: str) -> list[object]:
    value = fields.get(name)
    if value is not None and not isinstance(value, list):
        raise _unmarshalled(value, name)
    return value or []


def _unmarshalled(value: object, name: str) -> Refusal:
    place = f"Go struct field ChatCompletionRequest.{name}"
    return Refusal(f"json: cannot unmarshal {kind(value)} into {place}", name)
