"""Goal: whatever schema a client asks for, the value is valid, or the place is named in a refusal.

Method: Hypothesis makes schemas of the served keywords; `jsonschema` judges the values.
"""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it ships no types

from fakes.openai_compat_server.json_fields import Refusal
from fakes.openai_compat_server.pattern_fill import from_pattern
from fakes.openai_compat_server.schema_fill import fill
from fakes.openai_compat_server.seeded import draw_for

CHECKER = Draft202012Validator.FORMAT_CHECKER


def filled(schema: object, seed: int = 0) -> object:
    value = fill(schema, draw_for(seed), "schema")
    Draft202012Validator(schema, format_checker=CHECKER).validate(value)
    return value


def _between(low: str, high: str, most: int) -> st.SearchStrategy[dict[str, object]]:
    """Either bound, both, or none."""
    pair = st.lists(st.integers(0, most), min_size=2, max_size=2).map(sorted)
    return st.builds(
        lambda pair, keys: {key: pair[key == high] for key in keys},
        pair,
        st.sets(st.sampled_from([low, high])),
    )


_STRINGS = st.builds(
    lambda bounds: {"type": "string", **bounds}, _between("minLength", "maxLength", 60)
)
_FORMATS = st.builds(
    lambda kind: {"type": "string", "format": kind},
    st.sampled_from(["date-time", "date", "time", "uuid", "email", "ipv4", "ipv6", "uri", "novel"]),
)
_PATTERNS = st.builds(
    lambda pattern: {"type": "string", "pattern": pattern},
    st.sampled_from(
        ["^c[0-9]+$", r"^\d{4}-\d{2}$", "^(red|green)(-x)?$", "[^a-z]{3,}", r"^\w+\.[A-F]$", "a*b"]
    ),
)
_NUMBERS = st.builds(
    lambda kind, bounds, step: {"type": kind, **bounds, **step},
    st.sampled_from(["integer", "number"]),
    _between("minimum", "maximum", 1_000) | st.just({"exclusiveMinimum": 0, "exclusiveMaximum": 2}),
    st.just({}) | st.builds(lambda step: {"multipleOf": step}, st.just(1)),
)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)
_LISTED = st.builds(lambda values: {"enum": values}, st.lists(_VALUES, min_size=1, max_size=4))
_CONSTANTS = st.builds(lambda value: {"const": value}, _VALUES)
_PLAIN = st.sampled_from(
    [{"type": "null"}, {"type": "boolean"}, {"type": ["string", "null"]}, {}, True]
)
_LEAVES = st.one_of(_STRINGS, _FORMATS, _PATTERNS, _NUMBERS, _LISTED, _CONSTANTS, _PLAIN)


def _objects(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    def build(
        properties: dict[str, object], required: list[str], more: object
    ) -> dict[str, object]:
        kept = sorted(set(required) & set(properties)) if more is False else sorted(set(required))
        named: dict[str, object] = {
            "type": "object",
            "properties": properties,
            "required": kept,
        }
        return named if more is None else {**named, "additionalProperties": more}

    names = st.sampled_from(["a", "b", "c", "d"])
    return st.builds(
        build,
        st.dictionaries(names, inner, max_size=4),
        st.lists(names, max_size=3),
        st.none() | st.just(False) | inner,
    )


def _nesting(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    arrays = st.builds(
        lambda items, bounds: {"type": "array", "items": items, **bounds},
        inner,
        _between("minItems", "maxItems", 5),
    )
    branches = st.lists(inner, min_size=1, max_size=3)
    either = st.builds(lambda options: {"anyOf": options}, branches)
    alone = st.builds(lambda it: {"allOf": [it], "description": "a wrapper"}, inner)
    return _objects(inner) | arrays | either | alone


SCHEMAS = st.recursive(_LEAVES, _nesting, max_leaves=8)


@settings(max_examples=200, deadline=None)
@given(SCHEMAS, st.integers(0, 3))
def test_a_value_is_valid_whatever_the_schema(schema: object, seed: int) -> None:
    assert filled(schema, seed) == filled(schema, seed)


@settings(max_examples=100, deadline=None)
@given(st.lists(SCHEMAS, min_size=1, max_size=3), st.sampled_from(["oneOf", "allOf"]))
def test_a_value_is_valid_or_refused_when_branches_may_exclude_one_another(
    branches: list[object], key: str
) -> None:
    try:
        filled({key: branches})
    except Refusal as refusal:
        assert refusal.param is not None
        assert refusal.param.startswith("schema")


TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["value", "children", "next"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}
SHAPE = {
    "oneOf": [
        {
            "type": "object",
            "properties": {"kind": {"const": "circle"}, "radius": {"type": "number", "minimum": 0}},
            "required": ["kind", "radius"],
        },
        {
            "type": "object",
            "properties": {"kind": {"const": "square"}, "side": {"type": "number", "minimum": 0}},
            "required": ["kind", "side"],
        },
    ]
}
NAMED = {
    "allOf": [
        {"type": "object", "properties": {"id": {"type": "string", "format": "uuid"}}},
        {"required": ["id", "size"]},
        {"properties": {"size": {"type": "integer", "minimum": 3, "maximum": 3}}},
    ]
}
PAIR = {
    "type": "array",
    "prefixItems": [{"type": "string"}, {"type": "integer"}],
    "items": False,
    "minItems": 2,
}
DIFFERENT = {"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 3, "uniqueItems": True}
COUNTED = {"type": "object", "minProperties": 3, "additionalProperties": {"type": "boolean"}}
POINTED = {
    "properties": {"a/b": {"const": 1}, "c": {"$ref": "#/properties/a~1b"}},
    "required": ["c"],
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "schema", [TREE, SHAPE, NAMED, PAIR, DIFFERENT, COUNTED, POINTED], ids=lambda it: next(iter(it))
)
def test_a_value_is_valid_when_the_schema_is_one_that_people_write(
    schema: dict[str, object], seed: int
) -> None:
    filled(schema, seed)


def test_values_differ_when_the_seed_does() -> None:
    schema = {"type": "array", "items": {"type": "string"}, "minItems": 3}
    assert filled(schema, 1) != filled(schema, 2)


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        (False, ""),
        ([], ""),
        ({"type": "text"}, ".type"),
        ({"type": "string", "minLength": "3"}, ".minLength"),
        ({"type": "string", "minLength": 5, "maxLength": 4}, ""),
        ({"type": "string", "minLength": 10**9}, ""),
        ({"type": "string", "pattern": "(?=a)b"}, ".pattern"),
        ({"type": "string", "pattern": "(((a{1000}){1000}){1000})"}, ".pattern"),
        ({"type": "string", "pattern": "["}, ".pattern"),
        ({"type": "string", "pattern": "^a$", "minLength": 2}, ".pattern"),
        ({"type": "string", "format": "uuid", "maxLength": 5}, ""),
        ({"type": "integer", "minimum": 0.2, "maximum": 0.8}, ""),
        ({"type": "number", "minimum": 10**400}, ".minimum"),
        ({"type": "number", "multipleOf": 0}, ".multipleOf"),
        ({"type": "array", "minItems": 10**9}, ""),
        ({"type": "array", "items": {"const": 1}, "minItems": 2, "uniqueItems": True}, ".items"),
        ({"enum": []}, ".enum"),
        ({"enum": [1, 2], "type": "string"}, ""),
        ({"not": {}}, ".not"),
        ({"$ref": "#/$defs/nothing"}, ".$ref"),
        ({"$ref": "https://example.com/schema"}, ".$ref"),
        ({"$ref": "#"}, ""),
        ({"anyOf": []}, ".anyOf"),
        ({"allOf": [{"type": "string"}, {"type": "null"}]}, ""),
        ({"oneOf": [{"type": "string"}, {"type": "string"}]}, ""),
        ({"required": ["a"], "properties": {"a": False}}, ".properties.a"),
        ({"required": ["a"], "additionalProperties": False}, ".properties.a"),
        (
            {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
            ".properties.a" * 25,
        ),
        (
            {"type": "array", "items": {"properties": {"b": {"type": "colour"}}, "required": ["b"]},
             "minItems": 1},
            ".items.properties.b.type",
        ),
    ],
)  # fmt: skip
def test_the_place_is_named_when_nothing_meets_the_schema(schema: object, place: str) -> None:
    with pytest.raises(Refusal) as refused:
        fill(schema, draw_for(0), "schema")
    assert refused.value.param == "schema" + place
    assert f"'schema{place}'" in refused.value.message


def test_a_schema_nested_without_end_is_refused_and_not_a_crash() -> None:
    schema: object = {"type": "string"}
    for _ in range(400):
        schema = {"type": "array", "items": schema, "minItems": 1}
    with pytest.raises(Refusal):
        fill(json.loads(json.dumps(schema)), draw_for(0), "schema")


@pytest.mark.parametrize(
    "pattern", ["a{", "*", r"\bword", r"(a)\1", "(a", "a)", "[z-a]", "a{3,1}", "\\"]
)
def test_a_pattern_is_refused_when_it_is_not_served(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_pattern(pattern, draw_for(0), "name")
