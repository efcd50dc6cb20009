"""Tools a client offers with a chat, and what it says of their use."""

import re
from collections.abc import Mapping, Sequence
from enum import Enum

from attrs import frozen

from fakes.openai_compat_server.json_fields import (
    Fields,
    Refusal,
    boolean,
    is_object,
    missing,
    wrong_type,
    wrong_value,
)

JsonObject = Mapping[str, object]
NO_PARAMETERS: JsonObject = {"properties": {}, "additionalProperties": False}
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_TOOLS_MAX = 128


class Choice(Enum):
    """`tool_choice`: whether a tool must, may or must not be called."""

    NONE = "none"
    AUTO = "auto"
    REQUIRED = "required"
    NAMED = "a function"  # the one tool that is left of the offer


CHOICES = {choice.value: choice for choice in (Choice.NONE, Choice.AUTO, Choice.REQUIRED)}


@frozen
class Tool:
    """A function the model may call; `at` is where its schema stands in the request."""

    name: str
    parameters: JsonObject
    at: str


@frozen
class Offer:
    """The tools of one request; `parallel`: whether one answer may call several of them."""

    tools: tuple[Tool, ...] = ()
    choice: Choice = Choice.NONE
    parallel: bool = True


def parse_tools(fields: Fields) -> Offer:
    """The offer of a request, read as strictly as OpenAI reads it; raises Refusal."""
    given = fields.get("tools")
    if given is not None and not isinstance(given, list):
        raise wrong_type("tools", "an array", given)
    tools = tuple(_tool(item, f"tools[{at}]") for at, item in enumerate(given or ()))
    if given is not None and not 1 <= len(tools) <= _TOOLS_MAX:
        code = "array_above_max_length" if tools else "empty_array"
        raise Refusal(f"Invalid 'tools': expected 1 to {_TOOLS_MAX} tools.", "tools", code)
    for name in ("tool_choice", "parallel_tool_calls"):
        if fields.get(name) is not None and not tools:
            raise Refusal(f"'{name}' is only allowed when 'tools' are specified.", name)
    parallel = fields.get("parallel_tool_calls") is None or boolean(fields, "parallel_tool_calls")
    return _chosen(fields.get("tool_choice"), tools, parallel)


def _tool(given: object, where: str) -> Tool:
    if not is_object(given):
        raise wrong_type(where, "an object", given)
    if given.get("type") != "function":
        raise wrong_value(f"{where}.type", "function")
    function = given.get("function")
    at = f"{where}.function"
    if function is None:
        raise missing(at)
    if not is_object(function):
        raise wrong_type(at, "an object", function)
    name, parameters = function.get("name"), function.get("parameters")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        message = f"Invalid '{at}.name': expected 1 to 64 letters, digits, _ and -."
        raise Refusal(message, f"{at}.name", "invalid_value")
    if parameters is not None and not is_object(parameters):
        raise wrong_type(f"{at}.parameters", "an object", parameters)
    return Tool(name, NO_PARAMETERS if parameters is None else parameters, f"{at}.parameters")


def _chosen(given: object, tools: Sequence[Tool], parallel: bool) -> Offer:
    if given is None:
        return Offer(tuple(tools), Choice.AUTO if tools else Choice.NONE, parallel)
    if isinstance(given, str) and given in CHOICES:
        return Offer(tuple(tools), CHOICES[given], parallel)
    function = given.get("function") if is_object(given) else None
    if not is_object(given) or given.get("type") != "function" or not is_object(function):
        raise wrong_value("tool_choice", f"one of {', '.join(CHOICES)}, or a function")
    named = tuple(tool for tool in tools if tool.name == function.get("name"))
    if not named:
        where = "tool_choice.function.name"
        raise Refusal(f"Invalid value for '{where}': no tool has this name.", where)
    return Offer(named[:1], Choice.NAMED, parallel)
