"""Goal: the JSON Schemas say what the codec does, and the files of them are the code's.

Method: right and slightly wrong JSON of every type is shown to both, and they must agree.
"""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it ships no types
from jsonschema.validators import extend  # type: ignore[import-untyped] # it ships no types

from contracts import openapi, schema
from contracts.chat import ChatRequest
from contracts.codec import structure
from contracts.events import EVENTS, CitationsProved
from contracts.strict_json import ContractViolation
from contracts.tests.shapes import KINDS, legal, near, plain, quick

FOLDER = Path(schema.__file__).parent / "schemas"
# JSON Schema takes 1.0 for an integer; the contract does not, and neither does this validator.
_STRICT = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: type(value) is int
    ),
)
SCHEMAS = {kind: _STRICT(schema.document(kind)) for kind in KINDS}
BETWEEN_FIELDS = re.compile(
    "must be empty where session_id is given|must be left out where history is given"
    "|is not among the sources|must be null where status is"
    "|must be a code a fallback can have|must be [a-z]+ where the code is|must be empty in a fallb"
    "|must be (NONE|RETRY|REFINE_QUERY)$|must be the fixed text of|must not be empty where citat"
    "|stands more than once|the last message must be the user's|must be text where status is ok"
    "|must be null where status is null, and only there"
)


def shape_accepted(value: object, kind: type) -> bool:
    """Whether the codec takes the value, its laws between fields aside."""
    try:
        structure(value, kind)
    except ContractViolation as violation:
        return all(BETWEEN_FIELDS.match(v.problem) for v in violation.violations)
    return True


def resolved(document: schema.Schema, value: object) -> object:
    """What a reference stands for."""
    if isinstance(value, dict) and "$ref" in value:
        definitions = document["$defs"]
        assert isinstance(definitions, dict)
        return definitions[value["$ref"].removeprefix("#/$defs/")]
    return value


def every(document: object, keyword: str) -> list[object]:
    """All values of a keyword, wherever it stands."""
    if isinstance(document, list):
        return [found for item in document for found in every(item, keyword)]
    if not isinstance(document, dict):
        return []
    inside = [found for item in document.values() for found in every(item, keyword)]
    return [*([document[keyword]] if keyword in document else []), *inside]


@pytest.mark.parametrize("kind", KINDS)
def test_schema_is_itself_valid(kind: type) -> None:
    Draft202012Validator.check_schema(schema.document(kind))


@pytest.mark.parametrize("kind", KINDS)
@quick(30)
@given(data=st.data())
def test_schema_and_codec_agree_on_json_that_is_right_or_nearly(
    kind: type, data: st.DataObject
) -> None:
    value = data.draw(near(kind))
    assert shape_accepted(value, kind) is SCHEMAS[kind].is_valid(value)


@pytest.mark.parametrize("kind", KINDS)
@quick(10)
@given(data=st.data())
def test_both_accept_json_that_is_right(kind: type, data: st.DataObject) -> None:
    value = data.draw(plain(kind))
    assert SCHEMAS[kind].is_valid(value)
    assert shape_accepted(value, kind)
    structure(json.loads(json.dumps(data.draw(legal(kind)))), kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [None, True, 0, "x", [], [{}], {"unknown": 1}])
def test_both_refuse_what_is_no_object_of_the_type(kind: type, value: object) -> None:
    assert not shape_accepted(value, kind)
    assert not SCHEMAS[kind].is_valid(value)


@pytest.mark.parametrize("key", ["trace_id", "request_id", "session_id"])
def test_optional_that_is_null_is_refused(key: str) -> None:
    value = {"message": {"role": "user", "content": "Why?"}, key: None}
    assert not SCHEMAS[ChatRequest].is_valid(value)
    assert not shape_accepted(value, ChatRequest)


def test_root_says_its_required_keys_defaults_and_laws() -> None:
    document = schema.document(ChatRequest)
    assert document["required"] == ["message"]
    assert document["additionalProperties"] is False
    assert document["description"] == (
        "The client's one call. A session has its own history: a request carries one or the other."
    )
    properties = document["properties"]
    assert isinstance(properties, dict)
    assert properties["version"] == {"type": "string", "enum": ["v1"], "default": "v1"}
    assert properties["history"]["default"] == []
    assert properties["options"] == {
        "$ref": "#/$defs/ChatOptions",
        "default": {"stream": False, "top_k": 6, "citations_required": True},
    }


def test_bound_that_a_list_has_is_said_once() -> None:
    properties = schema.document(CitationsProved)["properties"]
    assert isinstance(properties, dict)
    citations = properties["citations"]
    assert (citations["minItems"], citations["maxItems"]) == (1, 6)


def test_default_is_valid_by_the_schema_it_stands_in() -> None:
    document = schema.document(ChatRequest)
    properties = document["properties"]
    assert isinstance(properties, dict)
    for field in properties.values():
        if "default" in field:
            validator = _STRICT({**field, "$defs": document["$defs"]})
            assert validator.is_valid(field["default"])


@pytest.mark.parametrize("kind", KINDS)
def test_patterns_keep_to_what_python_and_ecma_262_share(kind: type) -> None:
    # Classes of ASCII, counts, groups and look-aheads; no named groups, \A, \Z, flags, look-behind.
    shared = re.compile(
        r"(?:\(\?[:!=]|[()^$|]|\\n|\[[A-Za-z0-9._-]+\]|\{\d+(?:,\d*)?\}|[A-Za-z0-9:-])+"
    )
    for pattern in every(schema.document(kind), "pattern"):
        assert isinstance(pattern, str)
        assert shared.fullmatch(pattern), pattern


@pytest.mark.parametrize("kind", KINDS)
def test_every_object_is_closed_and_every_reference_is_defined(kind: type) -> None:
    document = schema.document(kind)
    for reference in every(document, "$ref"):
        assert resolved(document, {"$ref": reference})
    definitions = document["$defs"]
    assert isinstance(definitions, dict)
    for found in [document, *definitions.values()]:
        assert found.get("additionalProperties") is False or "enum" in found
        assert found["description"]


def test_every_event_has_a_document() -> None:
    assert {f"event-{name}" for name in EVENTS} <= set(schema.BODIES)
    assert set(schema.BODIES.values()) == set(KINDS)


def test_annotation_without_meaning_is_refused() -> None:
    with pytest.raises(TypeError, match="no schema for"):
        schema.Definitions("#/$defs/").of(set[str])


@pytest.mark.parametrize("name", sorted(schema.documents()))
def test_file_is_what_the_code_says(name: str) -> None:
    kept = (FOLDER / name).read_text("utf-8")
    assert kept == schema.rendered(schema.documents()[name]), "stale: run `make schemas`"


def test_folder_holds_these_files_and_no_others() -> None:
    expected = schema.documents().keys() | openapi.documents().keys()
    assert {path.name for path in FOLDER.iterdir()} == expected
