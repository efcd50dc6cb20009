"""What OpenAI asks of a schema that is to be kept strictly (`strict: true`).

Every object in it, however deep, says `additionalProperties: false` and requires all of its
properties; anything else is a 400, in words that clients look for: "In context=('properties',
'meta'), 'additionalProperties' is required to be supplied and to be false."
"""

from collections.abc import Iterator

from fakes.openai_compat_server.json_fields import Fields, Refusal, is_object

_BY_NAME = ("properties", "$defs", "definitions")
_IN_A_LIST = ("anyOf", "allOf", "oneOf", "prefixItems")
_EVERY_KEY = "to be an array including every key in properties."


def check_strict(fields: Fields) -> None:
    """The schemas of a request that passed all else; raises Refusal."""
    form = fields.get("response_format")
    wrapper = form.get("json_schema") if is_object(form) else None
    if is_object(wrapper):
        _check(wrapper, "schema", "response_format")
    tools = fields.get("tools")
    for at, tool in enumerate(tools if isinstance(tools, list) else ()):
        function = tool.get("function") if is_object(tool) else None
        if is_object(function):
            _check(function, "parameters", "function", f"tools[{at}].function.parameters")


def _check(named: Fields, key: str, what: str, param: str | None = None) -> None:
    schema = named.get(key)
    if named.get("strict") is not True or not is_object(schema):
        return
    for path, each in _objects(schema, ()):
        if wrong := _wrong(each):
            message = f"Invalid schema for {what} '{named['name']}': In context={path}, {wrong}"
            raise Refusal(message, param or what, "invalid_function_parameters" if param else None)


def _wrong(schema: Fields) -> str | None:
    """What is wrong with one object's schema; None: nothing."""
    if schema.get("additionalProperties") is not False:
        return "'additionalProperties' is required to be supplied and to be false."
    properties, required = schema.get("properties"), schema.get("required")
    names = list(properties) if is_object(properties) else []
    if not isinstance(required, list):
        return f"'required' is required to be supplied and {_EVERY_KEY}" if names else None
    missing = next((name for name in names if name not in required), None)
    if missing is None:
        return None
    return f"'required' is required to be supplied and {_EVERY_KEY} Missing '{missing}'."


def _objects(schema: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Fields]]:
    """The schemas of objects in it, each with its place, the outer first."""
    if not is_object(schema):
        return
    kind = schema.get("type")
    if kind == "object" or "properties" in schema or (isinstance(kind, list) and "object" in kind):
        yield path, schema
    for key in _BY_NAME:
        inner = schema.get(key)
        for name, each in inner.items() if is_object(inner) else ():
            yield from _objects(each, (*path, key, name))
    yield from _objects(schema.get("items"), (*path, "items"))
    for key in _IN_A_LIST:
        branches = schema.get(key)
        for at, each in enumerate(branches if isinstance(branches, list) else ()):
            yield from _objects(each, (*path, key, str(at)))
