"""Whether a JSON value meets a schema, for the keywords `schema_fill` serves.

It settles what can not be built right by construction: which branches of a `oneOf` hold, which
value of an `enum` its neighbours allow. Keywords it does not know hold for everything; a reference
that leads nowhere, or only to itself, holds for nothing.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from fakes.openai_compat_server.string_fill import has_format

_HOPS_MAX = 64
_Meets = Callable[[object, object], bool]
_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def matches(
    schema: object, value: object, root: object, hops: int = _HOPS_MAX, formats: bool = True
) -> bool:
    """Whether `value` meets `schema`, whose references are looked up in `root`.

    Some who judge a value later take `format` for a demand, others for a remark: exactly one branch
    of a `oneOf` must hold to either. `formats` says which this judge is.
    """
    if isinstance(schema, bool):
        return schema
    if not isinstance(schema, dict) or not hops:
        return False

    def meets(branch: object, strictly: bool = formats) -> bool:
        return matches(branch, value, root, hops - 1, strictly)

    def part_meets(branch: object, part: object) -> bool:
        return matches(branch, part, root, formats=formats)

    one = _list(schema, "oneOf")
    return (
        ("$ref" not in schema or meets(referred(schema["$ref"], root)))
        and all(map(meets, _list(schema, "allOf")))
        and ("anyOf" not in schema or any(map(meets, _list(schema, "anyOf"))))
        and ("oneOf" not in schema or sum(map(meets, one)) == 1)
        and (not formats or "oneOf" not in schema or sum(meets(it, False) for it in one) == 1)
        and has_type(schema.get("type"), value)
        and ("const" not in schema or same(schema["const"], value))
        and ("enum" not in schema or any(same(it, value) for it in _list(schema, "enum")))
        and (not formats or not isinstance(value, str) or has_format(schema.get("format"), value))
        and _BY_KIND.get(type(value), _anything)(schema, value, part_meets)
    )


def referred(ref: object, root: object) -> object:
    """What a reference inside the document points at; None when it points nowhere."""
    if not isinstance(ref, str) or not ref.startswith("#"):
        return None
    at = root
    for part in ref.removeprefix("#").split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(at, list) and name.isdecimal() and int(name) < len(at):
            at = at[int(name)]
        else:
            at = at.get(name) if isinstance(at, dict) else None
    return at


def has_type(wanted: object, value: object) -> bool:
    """Whether the value is of the type, or of one of the types; None asks for no type."""
    if wanted is None:
        return True
    names = wanted if isinstance(wanted, list) else [wanted]
    return any(isinstance(name, str) and _is(name, value) for name in names)


def same(one: object, other: object) -> bool:
    """Equality as JSON has it: true is not 1, and 1 is 1.0."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


def _is(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(name, ()))


def _number(schema: Mapping[str, object], value: object, _: _Meets) -> bool:
    assert isinstance(value, int | float), "told apart by type"
    tests: Mapping[str, Callable[[float], bool]] = {
        "minimum": lambda bound: value >= bound,
        "maximum": lambda bound: value <= bound,
        "exclusiveMinimum": lambda bound: value > bound,
        "exclusiveMaximum": lambda bound: value < bound,
        "multipleOf": lambda step: _divides(step, value),
    }
    return all(
        test(bound)
        for key, test in tests.items()
        if isinstance(bound := schema.get(key), int | float) and not isinstance(bound, bool)
    )


def _divides(step: float, value: float) -> bool:
    try:
        return step > 0 and float(value / step).is_integer()
    except OverflowError:
        return False


def _string(schema: Mapping[str, object], value: object, _: _Meets) -> bool:
    assert isinstance(value, str), "told apart by type"
    pattern = schema.get("pattern")
    return _counted(schema, "minLength", "maxLength", len(value)) and (
        not isinstance(pattern, str) or re.search(pattern, value) is not None
    )


def _array(schema: Mapping[str, object], value: object, meets: _Meets) -> bool:
    assert isinstance(value, list), "told apart by type"
    first = _list(schema, "prefixItems")
    rest = schema.get("items", True)
    return (
        _counted(schema, "minItems", "maxItems", len(value))
        and all(meets(one, item) for one, item in zip(first, value, strict=False))
        and all(meets(rest, item) for item in value[len(first) :])
        and (schema.get("uniqueItems") is not True or not repeats(value))
    )


def repeats(items: Sequence[object]) -> bool:
    return any(same(item, earlier) for at, item in enumerate(items) for earlier in items[:at])


def _object(schema: Mapping[str, object], value: object, meets: _Meets) -> bool:
    assert isinstance(value, dict), "told apart by type"
    properties = schema.get("properties")
    known = properties if isinstance(properties, dict) else {}
    more = schema.get("additionalProperties", True)
    return (
        _counted(schema, "minProperties", "maxProperties", len(value))
        and all(name in value for name in _list(schema, "required"))
        and all(meets(known.get(name, more), item) for name, item in value.items())
    )


def _anything(_: Mapping[str, object], __: object, ___: _Meets) -> bool:
    return True


_BY_KIND: Mapping[type, Callable[[Mapping[str, object], object, _Meets], bool]] = {
    int: _number,
    float: _number,
    str: _string,
    list: _array,
    dict: _object,
}


def _counted(schema: Mapping[str, object], least: str, most: str, count: int) -> bool:
    low, high = schema.get(least), schema.get(most)
    return (not isinstance(low, int) or count >= low) and (
        not isinstance(high, int) or count <= high
    )


def _list(schema: Mapping[str, object], key: str) -> Sequence[object]:
    value = schema.get(key)
    return value if isinstance(value, list) else ()
