"""JSON Schema 2020-12 of the contract's types, from the annotations and rules the codec obeys.

What a schema cannot say, the codec checks beside it: the laws between fields (each type's
`problems`, told in its description), a key that stands twice, and `1.0` where an integer is due,
which JSON Schema takes for one. Refuses (TypeError) an annotation that no type of the contract has.
"""

import inspect
import json
from collections.abc import Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from attrs import NOTHING, Attribute, Factory, fields, frozen, has

from contracts.chat import ChatRequest, ChatResponse, ErrorBody
from contracts.codec import rules_of
from contracts.events import EVENTS
from contracts.generation import GenerateRequest, GenerateResponse
from contracts.rules import NotNull
from contracts.sessions import FeedbackRequest, SessionResponse

Schema = dict[str, object]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
BODIES: dict[str, type] = {
    "chat-request": ChatRequest,
    "chat-response": ChatResponse,
    "error-body": ErrorBody,
    "feedback-request": FeedbackRequest,
    "session-response": SessionResponse,
    "generate-request": GenerateRequest,
    "generate-response": GenerateResponse,
    **{f"event-{name}": kind for name, kind in EVENTS.items()},
}
_SCALARS: dict[object, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}


def documents() -> dict[str, Schema]:
    """Every public body and every event's data, by file name."""
    return {f"{name}.json": document(kind) for name, kind in BODIES.items()}


def document(kind: type) -> Schema:
    """The schema of one type, whole: what it refers to stands under `$defs`."""
    definitions = Definitions("#/$defs/")
    root = definitions.of_object(kind)
    return {"$schema": DIALECT, "title": kind.__name__, **root, "$defs": definitions.in_order()}


def rendered(document: Mapping[str, object]) -> str:
    """A document as its file holds it."""
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


@frozen
class Definitions:
    """Schemas that refer to one another by name; `where` is what their references begin with."""

    where: str
    made: dict[str, Schema] = Factory(dict)

    def in_order(self) -> dict[str, Schema]:
        """All that was referred to so far, by name."""
        return dict(sorted(self.made.items()))

    def refer(self, kind: type) -> Schema:
        """A reference to a class or an enum, which is defined where it was not yet."""
        if kind.__name__ not in self.made:
            self.made[kind.__name__] = {}  # The name is taken before what is inside refers to it.
            schema = _of_enum(kind) if issubclass(kind, Enum) else self.of_object(kind)
            self.made[kind.__name__] = schema
        return {"$ref": self.where + kind.__name__}

    def of_object(self, kind: type) -> Schema:
        """An object with these keys and no others."""
        return {
            "description": _description(kind),
            "type": "object",
            "properties": {field.name: self._property(field) for field in fields(kind)},
            "required": [field.name for field in fields(kind) if field.default is NOTHING],
            "additionalProperties": False,
        }

    def of(self, kind: object) -> Schema:
        """The schema of an annotation. Raises TypeError for one the contract has no meaning for."""
        origin, parts = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return self._ruled(kind)
        if origin is Literal:
            return {"type": "string", "enum": list(parts)}
        if origin in (Union, UnionType) and NoneType in parts:
            return _nullable(self.of(_without_null(kind)))
        if origin is tuple:
            return {"type": "array", "items": self.of(parts[0])}
        if origin is dict:
            return {"type": "object", "additionalProperties": self.of(parts[1])}
        if kind in _SCALARS:
            return {"type": _SCALARS[kind]}
        if isinstance(kind, type) and (has(kind) or issubclass(kind, Enum)):
            return self.refer(kind)
        raise TypeError(f"no schema for {kind!r}")

    def _property(self, field: "Attribute[object]") -> Schema:
        schema = self.of(field.type)
        # A default of None is how code says that the key was left out; JSON has no word for it.
        if field.default is NOTHING or field.default is None:
            return schema
        return {**schema, "default": _plain(field.default)}

    def _ruled(self, kind: object) -> Schema:
        rules, base = rules_of(kind), get_args(kind)[0]
        left_out_not_null = any(isinstance(rule, NotNull) for rule in rules)
        schema = self.of(_without_null(base) if left_out_not_null else base)
        for rule in rules:
            keywords = rule.schema()
            assert not keywords.keys() & schema.keys(), f"{kind!r} says one thing twice"
            schema = {**schema, **keywords}
        return schema


def _without_null(kind: object) -> object:
    (some,) = (arm for arm in get_args(kind) if arm is not NoneType)
    return some


def _nullable(schema: Schema) -> Schema:
    if "type" not in schema or "enum" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    return {**schema, "type": [schema["type"], "null"]}


def _of_enum(kind: type[Enum]) -> Schema:
    values = [member.value for member in kind]
    return {"description": inspect.getdoc(kind), "type": "string", "enum": values}


def _description(kind: type) -> str:
    """The type's own words, and those of its laws between fields."""
    laws = getattr(kind, "problems", None)
    told = [inspect.getdoc(kind), inspect.getdoc(laws) if laws else None]
    return " ".join(" ".join(text.split()) for text in told if text)


def _plain(default: object) -> object:
    kind = type(default)
    if has(kind):
        return {field.name: _plain(getattr(default, field.name)) for field in fields(kind)}
    return list(default) if isinstance(default, tuple) else default
