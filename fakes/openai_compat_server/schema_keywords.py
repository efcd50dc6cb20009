"""The keywords of one schema, read as strictly as a refusal needs, and no deeper than one level."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from attrs import frozen

from fakes.openai_compat_server.json_fields import Refusal

COMBINATORS = ("allOf", "anyOf", "oneOf")
TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_UNSERVED_NAMES = """
not if then else contains minContains maxContains dependentRequired dependentSchemas dependencies
patternProperties propertyNames unevaluatedItems unevaluatedProperties additionalItems
$dynamicRef $recursiveRef
"""
_NOT_SERVED = frozenset(_UNSERVED_NAMES.split())
_COUNTS = ["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"]
_NUMBERS = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]
# By which keywords a schema without a type says which type it means, for others they do not bind.
_TELLING: Mapping[str, Sequence[str]] = {
    "object": ("properties", "required", "additionalProperties", "minProperties", "maxProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
    "number": _NUMBERS,
    "string": ("pattern", "format", "minLength", "maxLength"),
}
_Count = TypeVar("_Count", int, None)
# Past these nothing sensible is meant, and arithmetic on floats stops making sense.
_NUMBER_MAX = 1e300


def refused_at(where: str, why: str) -> Refusal:
    return Refusal(f"Invalid schema at '{where}': {why}.", where)


def read_keywords(schema: Mapping[str, object], where: str) -> Mapping[str, object]:
    """The schema without its combinators; raises Refusal, which names the place."""
    for key in schema:
        if key in _NOT_SERVED:
            raise refused_at(f"{where}.{key}", "this keyword is not served")
    for keys, meets, wanted in _DEMANDS:
        for key in keys:
            if key in schema and not meets(schema[key]):
                raise refused_at(f"{where}.{key}", f"expected {wanted}")
    return {key: value for key, value in schema.items() if key not in (*COMBINATORS, "$ref")}


def likely_types(schema: Mapping[str, object]) -> Sequence[object]:
    """The types asked for, else those its keywords are about, else a string."""
    wanted = schema.get("type")
    if wanted is not None:
        return wanted if isinstance(wanted, list) else [wanted]
    told = [kind for kind, keys in _TELLING.items() if any(key in schema for key in keys)]
    return told or ["string"]


@frozen
class Keywords:
    """A schema that `read_keywords` let pass."""

    schema: Mapping[str, object]

    def count(self, key: str, usual: _Count) -> int | _Count:
        value = self.schema.get(key)
        return int(value) if isinstance(value, int | float) else usual

    def number(self, key: str) -> float | None:
        value = self.schema.get(key)
        return value if isinstance(value, int | float) else None

    def text(self, key: str) -> str | None:
        value = self.schema.get(key)
        return value if isinstance(value, str) else None

    def items(self, key: str) -> Sequence[object]:
        value = self.schema.get(key)
        return value if isinstance(value, list) else ()

    def names(self, key: str) -> Sequence[str]:
        return [name for name in self.items(key) if isinstance(name, str)]

    def schemas(self, key: str) -> Mapping[str, object]:
        value = self.schema.get(key)
        return value if isinstance(value, dict) else {}

    @property
    def more(self) -> object:
        """What a property without a schema of its own must meet."""
        return self.schema.get("additionalProperties", True)

    @property
    def rest(self) -> object:
        """What an item without a schema of its own must meet."""
        return self.schema.get("items", True)

    @property
    def unique(self) -> bool:
        return self.schema.get("uniqueItems") is True


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -_NUMBER_MAX <= value <= _NUMBER_MAX


def _is_step(value: object) -> bool:
    return _is_number(value) and isinstance(value, int | float) and value > 0


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_types(value: object) -> bool:
    kinds = value if isinstance(value, list) else [value]
    return bool(kinds) and all(isinstance(kind, str) and kind in TYPES for kind in kinds)


_Demand = tuple[Sequence[str], Callable[[object], bool], str]
_DEMANDS: Sequence[_Demand] = (
    (("type",), _is_types, f"one or more of {', '.join(TYPES)}"),
    (_COUNTS, _is_count, "a whole number of at least 0"),
    (_NUMBERS, _is_number, "a number"),
    (("multipleOf",), _is_step, "a number above 0"),
    (("required",), _is_names, "an array of strings"),
    (("enum",), lambda value: isinstance(value, list) and bool(value), "an array with values"),
    (("properties", "$defs", "definitions"), lambda value: isinstance(value, dict), "an object"),
    (("prefixItems",), lambda value: isinstance(value, list), "an array"),
    (("items", "additionalProperties"), lambda v: isinstance(v, dict | bool), "a schema"),
    (("pattern", "format"), lambda value: isinstance(value, str), "a string"),
    (("uniqueItems",), lambda value: isinstance(value, bool), "a boolean"),
)
