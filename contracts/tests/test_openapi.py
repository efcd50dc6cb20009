"""Goal: each service's document is valid, says every endpoint of the page, and is the file's."""

import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it ships no types
from openapi_spec_validator import validate

from contracts import openapi, schema
from contracts.chat import ErrorBody
from contracts.events import EVENTS
from contracts.reasons import ReasonCode

ROOT = Path(openapi.__file__).parent
PAGE = (ROOT.parent / "docs" / "contract.md").read_text("utf-8")
DOCUMENTS = {service.name: openapi.document(service) for service in openapi.SERVICES}
OTHERS = [
    ("/sessions/{id}", "get", "200"),
    ("/sessions/{id}", "delete", "204"),
    ("/feedback", "post", "204"),
]
_NO_MODEL = {ReasonCode.ADMISSION_QUEUE_FULL, ReasonCode.ADMISSION_QUEUE_TIMEOUT}
NEVER_ELSEWHERE = {
    "bff": _NO_MODEL,
    "qs": _NO_MODEL | {code for code in ReasonCode if code.startswith("HOP_")},
}
CALLS = [("bff", "/chat"), ("bff", "/v1/chat"), ("qs", "/chat"), ("llmgw", "/v1/generate")]


def at(value: object, *keys: str) -> object:
    """What stands under the keys, one in another."""
    for key in keys:
        assert isinstance(value, dict)
        value = value[key]
    return value


def keys_at(value: object, *keys: str) -> list[str]:
    found = at(value, *keys)
    assert isinstance(found, dict)
    return list(found)


def references(value: object) -> list[str]:
    if isinstance(value, list):
        return [found for item in value for found in references(item)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if "$ref" in value else []
    return own + [found for item in value.values() for found in references(item)]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_is_valid(name: str) -> None:
    validate(DOCUMENTS[name])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_reference_leads_somewhere_and_every_component_is_used(name: str) -> None:
    document = DOCUMENTS[name]
    used = {reference.removeprefix("#/components/") for reference in references(document)}
    for reference in used:
        assert at(document, "components", *reference.split("/"))
    there = {
        f"{kind}/{key}"
        for kind in ("schemas", "responses", "parameters", "headers")
        for key in keys_at(document, "components", kind)
    }
    assert used == there


def test_endpoints_and_ports_are_the_pages() -> None:
    rows = re.findall(r"^\| (BFF|QS|LLMGW) \| (\d+) \| (.*?) \|", PAGE, re.MULTILINE)
    told: dict[str, set[str]] = {}
    for program, port, endpoints in rows:
        server = at(DOCUMENTS[program.lower()], "servers")
        assert isinstance(server, list)
        assert server[0]["url"] == f"http://127.0.0.1:{port}"
        paths = set(re.findall(r"`(?:[A-Z]+ )?(/\S*)`", endpoints))
        told.setdefault(program.lower(), {"/health", "/ready", "/metrics"}).update(paths)
    assert {name: set(keys_at(doc, "paths")) for name, doc in DOCUMENTS.items()} == told


@pytest.mark.parametrize(("name", "path"), CALLS)
def test_call_says_each_status_a_code_has(name: str, path: str) -> None:
    responses = keys_at(DOCUMENTS[name], "paths", path, "post", "responses")
    # 405 cannot befall a POST here; the gateway has no sessions and no pages that call it.
    never = {"405"} | ({"403", "404"} if name == "llmgw" else set())
    statuses = {str(code.http) for code in ReasonCode if code.http}
    assert set(responses) == {"200", *statuses} - never


@pytest.mark.parametrize("name", ["bff", "qs"])
@pytest.mark.parametrize(("path", "method", "good"), OTHERS)
def test_other_call_says_each_status_a_code_has_there(
    name: str, path: str, method: str, good: str
) -> None:
    responses = keys_at(DOCUMENTS[name], "paths", path, method, "responses")
    never = {"405"} | ({"408", "413", "415"} if method != "post" else set())
    statuses = {str(code.elsewhere) for code in ReasonCode if code.elsewhere}
    # QS calls no next hop here; 504 it has for a deadline that is over, too.
    assert set(responses) == {good, *statuses} - never - ({"502"} if name == "qs" else set())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_error_is_valid_exactly_when_its_code_has_the_status(name: str) -> None:
    document = DOCUMENTS[name]
    for response in keys_at(document, "components", "responses"):
        where, _, status = response.rpartition("-")
        content = at(document, "components", "responses", response, "content")
        found = at(content, "application/json", "schema", "allOf")
        assert isinstance(found, list)
        own = Draft202012Validator(found[1])
        assert found[0] == {"$ref": f"#/components/schemas/{ErrorBody.__name__}"}
        for code in ReasonCode:
            belongs = str(code.elsewhere if where else code.http) == status
            belongs &= not (where and code in NEVER_ELSEWHERE[name])
            assert own.is_valid({"error": {"code": code.value}}) is belongs


@pytest.mark.parametrize(("name", "path"), CALLS)
def test_stream_is_described_event_by_event(name: str, path: str) -> None:
    answer = at(DOCUMENTS[name], "paths", path, "post", "responses", "200", "content")
    assert keys_at(answer, "application/json", "schema") == ["$ref"]
    assert at(answer, "text/event-stream", "x-events") == {
        event: {"$ref": f"#/components/schemas/{kind.__name__}"} for event, kind in EVENTS.items()
    }


@pytest.mark.parametrize(("name", "path"), CALLS)
def test_parameters_are_the_pages(name: str, path: str) -> None:
    parameters = at(DOCUMENTS[name], "paths", path, "post", "parameters")
    headers = {"x-request-id", "traceparent", "x-trace-id", "x-deadline-ms"}
    expected = headers if name == "llmgw" else {*headers, "stream"}
    expected |= {"x-session-owner"} if name == "qs" else set()
    assert {reference.rpartition("/")[2] for reference in references(parameters)} == expected


@pytest.mark.parametrize("name", DOCUMENTS)
def test_schemas_are_those_of_the_bodies(name: str) -> None:
    schemas = at(DOCUMENTS[name], "components", "schemas")
    definitions = schema.Definitions("#/components/schemas/")
    for kind in schema.BODIES.values():
        if kind.__name__ in keys_at(schemas):
            assert at(schemas, kind.__name__) == definitions.of_object(kind)


@pytest.mark.parametrize("name", sorted(openapi.documents()))
def test_file_is_what_the_code_says(name: str) -> None:
    kept = (ROOT / "schemas" / name).read_text("utf-8")
    assert kept == schema.rendered(openapi.documents()[name]), "stale: run `make schemas`"
