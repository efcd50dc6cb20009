"""Two plain schemas as one that asks for both, keyword by keyword.

Plain: without references and combinators, which `schema_fill` takes apart first. Raises ValueError
where both can not be had, or where this server can not say what both would be.
"""

import math
from collections.abc import Callable, Mapping

from fakes.openai_compat_server.schema_match import same

JsonObject = Mapping[str, object]


def merged(one: JsonObject, other: JsonObject) -> JsonObject:
    """The schema of what meets both."""
    both = {key: _MERGERS.get(key, _equal)(one[key], other[key]) for key in one if key in other}
    return {**one, **other, **both}


def _equal(one: object, other: object) -> object:
    if not same(one, other):
        raise ValueError("two demands on the same value differ")
    return one


def _first(one: object, _: object) -> object:
    return one


def _larger(one: object, other: object) -> object:
    assert isinstance(one, int | float), "bounds are read before they are merged"
    assert isinstance(other, int | float), "bounds are read before they are merged"
    return max(one, other)


def _smaller(one: object, other: object) -> object:
    assert isinstance(one, int | float), "bounds are read before they are merged"
    assert isinstance(other, int | float), "bounds are read before they are merged"
    return min(one, other)


def _multiple(one: object, other: object) -> object:
    if type(one) is int and type(other) is int:
        return math.lcm(one, other)
    return _equal(one, other)


def _types(one: object, other: object) -> object:
    wide = [_listed(one), _listed(other)]
    shared = [name for name in wide[0] if name in wide[1]]
    if "integer" in wide[0] + wide[1] and "number" in wide[0] + wide[1]:
        shared += [] if "integer" in shared else ["integer"]
    if not shared:
        raise ValueError("no value is of both types")
    return shared


def _values(one: object, other: object) -> object:
    kept = [value for value in _listed(one) if any(same(value, it) for it in _listed(other))]
    if not kept:
        raise ValueError("no value is in both enums")
    return kept


def _names(one: object, other: object) -> object:
    return list(dict.fromkeys(map(str, _listed(one) + _listed(other))))


def _both(one: object, other: object) -> object:
    return {"allOf": [one, other]}


def _properties(one: object, other: object) -> object:
    assert isinstance(one, dict), "keywords are checked before they are merged"
    assert isinstance(other, dict), "keywords are checked before they are merged"
    return {**one, **other, **{key: _both(one[key], other[key]) for key in one if key in other}}


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


_MERGERS: Mapping[str, Callable[[object, object], object]] = {
    "type": _types,
    "enum": _values,
    "required": _names,
    "properties": _properties,
    "items": _both,
    "additionalProperties": _both,
    "minimum": _larger,
    "exclusiveMinimum": _larger,
    "minLength": _larger,
    "minItems": _larger,
    "minProperties": _larger,
    "maximum": _smaller,
    "exclusiveMaximum": _smaller,
    "maxLength": _smaller,
    "maxItems": _smaller,
    "maxProperties": _smaller,
    "multipleOf": _multiple,
    "uniqueItems": lambda one, other: one is True or other is True,
    "title": _first,
    "description": _first,
    "default": _first,
    "examples": _first,
    "$defs": _first,
    "definitions": _first,
    "$comment": _first,
    "strict": _first,
}
