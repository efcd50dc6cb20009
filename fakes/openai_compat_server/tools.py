"""Tools a client offers with a chat, and the one call that answers it when it must be one.

A call is made where `tool_choice` requires one or names a function; where it is left to the model,
the persona answers in words. The arguments are a seeded value of the function's own schema.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import frozen

from fakes.openai_compat_server.json_fields import Fields, Refusal, is_object, wrong_type
from fakes.openai_compat_server.schema_fill import fill
from fakes.openai_compat_server.seeded import Draw

JsonObject = Mapping[str, object]
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_CHOICES = ("none", "auto", "required")
_TOOLS_MAX = 128


@frozen
class Tool:
    """A function the model may call; `at` is where its schema stands in the request."""

    name: str
    parameters: JsonObject
    at: str


@frozen
class ToolCall:
    """`arguments` is JSON in text, as models write it."""

    id: str
    name: str
    arguments: str


def parse_tools(fields: Fields) -> tuple[tuple[Tool, ...], tuple[Tool, ...]]:
    """The tools offered, and those of which one must be called; raises Refusal."""
    given = fields.get("tools")
    if given is not None and not isinstance(given, list):
        raise wrong_type("tools", "an array", given)
    tools = tuple(_tool(item, f"tools[{at}]") for at, item in enumerate(given or ()))
    if given is not None and not 1 <= len(tools) <= _TOOLS_MAX:
        raise Refusal(f"Invalid 'tools': expected 1 to {_TOOLS_MAX} tools.", "tools")
    return tools, _forced(fields.get("tool_choice"), tools)


def call_one(forced: Sequence[Tool], draw: Draw) -> ToolCall:
    """One call of one of the tools; raises Refusal for a schema that nothing meets."""
    tool = forced[int(draw.fraction("tool") * len(forced))]
    schema: JsonObject = {"type": "object", **tool.parameters}
    arguments = fill(schema, draw, tool.at)
    written = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
    return ToolCall(f"call_{draw.hex('call', 24)}", tool.name, written)


def calling_body(body: JsonObject, call: ToolCall) -> JsonObject:
    """A dialect's plain answer with the call in the place of the text."""
    choices = body["choices"]
    assert isinstance(choices, list), "every dialect answers with choices"
    return {**body, "choices": [_with_call(choice, call) for choice in choices]}


def calling_frames(
    frames: Iterable[JsonObject], call: ToolCall, *, opens: bool
) -> Iterator[JsonObject]:
    """A dialect's frames before the finish, each piece of text a piece of the arguments.

    `opens`: the first of these is the first of all, and also says which function is called.
    """
    for frame in frames:
        choices = frame["choices"]
        assert isinstance(choices, list), "every dialect's frames have choices"
        yield {**frame, "choices": [_with_piece(choice, call, opens) for choice in choices]}
        opens = False


def _with_call(choice: JsonObject, call: ToolCall) -> JsonObject:
    message = choice["message"]
    assert is_object(message), "every dialect answers with a message"
    function = {"name": call.name, "arguments": call.arguments}
    calls = [{"id": call.id, "type": "function", "function": function}]
    return {**choice, "message": {**message, "content": None, "tool_calls": calls}}


def _with_piece(choice: JsonObject, call: ToolCall, opens: bool) -> JsonObject:
    delta = choice["delta"]
    assert is_object(delta), "every frame carries a delta"
    piece: dict[str, object] = {"index": 0}
    function = {"arguments": delta.get("content") or ""}
    if opens:
        piece |= {"id": call.id, "type": "function"}
        function = {"name": call.name, **function}
    rest = {key: value for key, value in delta.items() if key != "content"}
    content = {"content": None} if opens else {}
    return {**choice, "delta": {**rest, **content, "tool_calls": [{**piece, "function": function}]}}


def _tool(given: object, where: str) -> Tool:
    if not is_object(given):
        raise wrong_type(where, "an object", given)
    if given.get("type") != "function":
        raise Refusal(f"Invalid value for '{where}.type': expected function.", f"{where}.type")
    function = given.get("function")
    at = f"{where}.function"
    if not is_object(function):
        raise wrong_type(at, "an object", function)
    name, parameters = function.get("name"), function.get("parameters")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Refusal(
            f"Invalid '{at}.name': expected 1 to 64 letters, digits, _ and -.", f"{at}.name"
        )
    if parameters is not None and not is_object(parameters):
        raise wrong_type(f"{at}.parameters", "an object", parameters)
    empty: JsonObject = {"properties": {}, "additionalProperties": False}
    return Tool(name, empty if parameters is None else parameters, f"{at}.parameters")


def _forced(choice: object, tools: Sequence[Tool]) -> tuple[Tool, ...]:
    if choice is None:
        return ()
    if not tools:
        raise Refusal("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
    if isinstance(choice, str) and choice in _CHOICES:
        return tuple(tools) if choice == "required" else ()
    function = choice.get("function") if is_object(choice) else None
    if not is_object(choice) or choice.get("type") != "function" or not is_object(function):
        wanted = f"one of {', '.join(_CHOICES)}, or a function"
        raise Refusal(f"Invalid value for 'tool_choice': expected {wanted}.", "tool_choice")
    named = tuple(tool for tool in tools if tool.name == function.get("name"))
    if not named:
        where = "tool_choice.function.name"
        raise Refusal(f"Invalid value for '{where}': no tool has this name.", where)
    return named[:1]
