"""Request bodies, field by field, read as strictly as the real API reads them.

Every refusal names its parameter, and carries the code that OpenAI gives the like. Refuses also
what `json.loads` would take: NaN, and text that is not Unicode.
"""

import json
from collections.abc import Mapping
from typing import TypeGuard

Fields = Mapping[str, object]
_KINDS: Mapping[type, str] = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


class Refusal(Exception):
    """What is wrong, the parameter that carries it (None: the body as a whole), and OpenAI's code.

    `status` is 400 but where a server takes a client's mistake for its own.
    """

    def __init__(
        self, message: str, param: str | None = None, code: str | None = None, status: int = 400
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.status = status


def object_in(body: bytes) -> Fields:
    """The JSON object that the body is."""
    try:
        fields: object = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
        json.dumps(fields, ensure_ascii=False).encode("utf-8")  # a lone surrogate fails here
    except (ValueError, RecursionError):
        raise Refusal("We could not parse the JSON body of your request.") from None
    if not is_object(fields):
        raise Refusal(f"Expected the body to be a JSON object, got {kind(fields)}.")
    return fields


def required(fields: Fields, name: str) -> object:
    if fields.get(name) is None:
        raise missing(name)
    return fields[name]


def model_name(fields: Fields) -> str:
    model = required(fields, "model")
    if not isinstance(model, str) or not model.strip():
        raise wrong_type("model", "a string", model)
    return model


def boolean(fields: Fields, name: str, prefix: str = "") -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise wrong_type(prefix + name, "a boolean", value)
    return bool(value)


def count(fields: Fields, name: str, most: int | None = None) -> int | None:
    """A whole number of at least 1; None where there is none."""
    value = fields.get(name)
    if value is None:
        return None
    if type(value) is not int:
        raise wrong_type(name, "an integer", value)
    if value < 1:
        message = f"Invalid '{name}': expected a value of at least 1."
        raise Refusal(message, name, "integer_below_min_value")
    if most is not None and value > most:
        message = f"Invalid '{name}': expected a value of at most {most}."
        raise Refusal(message, name, "integer_above_max_value")
    return value


def wrong_type(where: str, wanted: str, given: object) -> Refusal:
    message = f"Invalid type for '{where}': expected {wanted}, got {kind(given)}."
    return Refusal(message, where, "invalid_type")


def wrong_value(where: str, wanted: str) -> Refusal:
    return Refusal(f"Invalid value for '{where}': expected {wanted}.", where, "invalid_value")


def missing(where: str) -> Refusal:
    message = f"Missing required parameter: '{where}'."
    return Refusal(message, where, "missing_required_parameter")


def is_object(value: object) -> TypeGuard[Fields]:
    return isinstance(value, dict)


def kind(value: object) -> str:
    return _KINDS[type(value)]


def _no_constant(name: str) -> object:
    raise ValueError(name)
