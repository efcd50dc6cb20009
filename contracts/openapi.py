"""The OpenAPI 3.1 documents of the three services, one each, from the same types and table.

Schemas are those of `schema.py`; which code answers with which status is asked of the table of
reasons. OpenAPI 3.1 has no words for the events of a stream: `x-events` gives each event's data,
in the order in which they may come.
"""

from collections.abc import Iterable
from typing import Final

from attrs import frozen

from contracts.chat import ChatRequest, ChatResponse, ErrorBody
from contracts.events import EVENTS
from contracts.generation import GenerateRequest, GenerateResponse
from contracts.reasons import ReasonCode
from contracts.rules import REQUEST_ID, TRACE_ID
from contracts.schema import DIALECT, Definitions, Schema

VERSION: Final = "v1"
_TEXT: Final[Schema] = {"type": "string"}
_ANY_OBJECT: Final[Schema] = {"type": "object"}
_GENERAL: Final = (
    "Every error body is JSON, 404 and 405 included. HEAD answers as GET, OPTIONS with 204 and "
    "`Allow`. Laws between fields stand in the descriptions of their schemas."
)


@frozen
class Call:
    """A `POST` that takes one body and answers it whole or as a stream."""

    path: str
    operation: str
    summary: str
    request: type
    response: type
    stream_in_query: bool


@frozen
class Service:
    """One program: where it listens unless told otherwise, and what it answers."""

    name: str
    title: str
    port: int
    about: str
    calls: tuple[Call, ...]
    has_page: bool = False
    not_codes: frozenset[ReasonCode] = frozenset()


def _chat(path: str, operation: str, summary: str) -> Call:
    return Call(path, operation, summary, ChatRequest, ChatResponse, stream_in_query=True)


SERVICES: Final = (
    Service(
        "bff",
        "BFF",
        8088,
        "Takes the client's one call and relays the answer.",
        (
            _chat("/chat", "chat", "Ask a question"),
            _chat("/v1/chat", "chatV1", "Ask a question; the same as /chat"),
        ),
        has_page=True,
    ),
    Service(
        "qs",
        "QS, the query service",
        8001,
        "Retrieves passages, then has the gateway answer from them. Not meant for clients.",
        (_chat("/chat", "chat", "Retrieve, then answer"),),
    ),
    Service(
        "llmgw",
        "LLMGW, the LLM gateway",
        8010,
        "Makes one model call and proves what comes back. Not meant for clients.",
        (
            Call(
                "/v1/generate",
                "generate",
                "One proved generation",
                GenerateRequest,
                GenerateResponse,
                stream_in_query=False,
            ),
        ),
        # It has no sessions and is not called by pages.
        not_codes=frozenset({ReasonCode.INPUT_NOT_FOUND, ReasonCode.INPUT_FORBIDDEN}),
    ),
)


def documents() -> dict[str, Schema]:
    """Each service's document, by file name."""
    return {f"openapi-{service.name}.json": document(service) for service in SERVICES}


def document(service: Service) -> Schema:
    """The whole document of one service."""
    schemas = Definitions("#/components/schemas/")
    errors = _errors(service, schemas)
    paths = {call.path: {"post": _post(call, schemas, errors)} for call in service.calls}
    paths |= {path: {"get": operation} for path, operation in _gets(service, schemas).items()}
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": DIALECT,
        "info": {
            "title": service.title,
            "version": VERSION,
            "description": f"{service.about} {_GENERAL}",
        },
        "servers": [
            {"url": f"http://127.0.0.1:{service.port}", "description": "the port it has by default"}
        ],
        "security": [{}, {"apiKey": []}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.in_order(),
            "responses": errors,
            "parameters": _parameters(service),
            "headers": _HEADERS,
            "securitySchemes": _SECURITY,
        },
    }


def codes_by_status(codes: Iterable[ReasonCode]) -> dict[int, list[ReasonCode]]:
    """The codes that are errors, under the HTTP status that each has, lowest first."""
    found: dict[int, list[ReasonCode]] = {}
    for code in codes:
        if code.http is not None:
            found.setdefault(code.http, []).append(code)
    return dict(sorted(found.items()))


def _parameters(service: Service) -> Schema:
    streams = any(call.stream_in_query for call in service.calls)
    return {**({"stream": _STREAM_PARAMETER} if streams else {}), **_HEADER_PARAMETERS}


def _post(call: Call, schemas: Definitions, errors: Schema) -> Schema:
    names = [*(["stream"] if call.stream_in_query else []), *_HEADER_PARAMETERS]
    return {
        "operationId": call.operation,
        "summary": call.summary,
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in names],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schemas.refer(call.request)}},
        },
        "responses": {
            "200": _answer(call, schemas),
            **{status: {"$ref": f"#/components/responses/{status}"} for status in errors},
        },
    }


def _answer(call: Call, schemas: Definitions) -> Schema:
    return {
        "description": "The answer, or a fallback with its reason; a stream where one was asked.",
        "headers": _headers("x-request-id", "x-trace-id"),
        "content": {
            "application/json": {"schema": schemas.refer(call.response)},
            "text/event-stream": {
                "schema": {**_TEXT, "description": _STREAM},
                "x-events": {name: schemas.refer(kind) for name, kind in EVENTS.items()},
            },
        },
    }


def _errors(service: Service, schemas: Definitions) -> Schema:
    # Whoever posts to a path that takes POST is never told that the method is wrong.
    never = service.not_codes | {ReasonCode.INPUT_METHOD}
    found = codes_by_status(code for code in ReasonCode if code not in never)
    return {str(status): _error(status, codes, schemas) for status, codes in found.items()}


def _error(status: int, codes: list[ReasonCode], schemas: Definitions) -> Schema:
    among = [str(code) for code in codes]
    only_these = {"properties": {"error": {"properties": {"code": {"enum": among}}}}}
    names = ["x-request-id", "x-trace-id", *(["retry-after"] if status in _PAUSED else [])]
    return {
        "description": "; ".join(f"{code}: {code.when}" for code in codes),
        "headers": _headers(*names),
        "content": {
            "application/json": {"schema": {"allOf": [schemas.refer(ErrorBody), only_these]}}
        },
    }


def _gets(service: Service, schemas: Definitions) -> dict[str, Schema]:
    html, own = ("text/html", _TEXT), ("application/json", _ANY_OBJECT)
    page = {
        "/": _get("page", "The chat page", schemas, {"200": html}),
        "/docs": _get("docs", "This document as a page", schemas, {"200": html}),
        "/openapi.json": _get("openapi", "This document", schemas, {"200": own}),
    }
    ready = ("application/json", _READINESS)
    return {
        **(page if service.has_page else {}),
        "/health": _get(
            "health", "Whether it answers", schemas, {"200": ("application/json", _HEALTH)}
        ),
        "/ready": _get(
            "ready",
            "Whether it takes calls: 503 while starting, draining, or without what is its own",
            schemas,
            {"200": ready, "503": ready},
        ),
        "/metrics": _get(
            "metrics", "Figures for Prometheus", schemas, {"200": ("text/plain", _TEXT)}
        ),
    }


def _get(
    operation: str, summary: str, schemas: Definitions, answers: dict[str, tuple[str, Schema]]
) -> Schema:
    others = {"application/json": {"schema": schemas.refer(ErrorBody)}}
    described = {
        status: {"description": summary, "content": {media_type: {"schema": schema}}}
        for status, (media_type, schema) in answers.items()
    }
    return {
        "operationId": operation,
        "summary": summary,
        "security": [{}],
        "responses": {
            **described,
            "default": {"description": "An error like any other.", "content": others},
        },
    }


def _headers(*names: str) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _header(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "header", "description": description, "schema": schema}


_PAUSED: Final = frozenset({429, 503})
_STREAM: Final = (
    "Server-sent events: `meta sources? citations? delta* error? done`. Each is `event: NAME` and "
    "one `data:` line of JSON, whose schema `x-events` gives; comment lines are heartbeats."
)
# A header that cannot be used is replaced, not refused: its schema takes any text.
_HEADER_PARAMETERS: Final = {
    "x-request-id": _header("x-request-id", _TEXT, f"Names the call: {REQUEST_ID.form}."),
    "traceparent": _header("traceparent", _TEXT, "W3C trace context; gives the trace id."),
    "x-trace-id": _header(
        "x-trace-id", _TEXT, f"The trace id where there is no traceparent: {TRACE_ID.form}."
    ),
    "x-deadline-ms": _header(
        "x-deadline-ms",
        {"type": "integer", "minimum": 0, "maximum": 10**15 - 1},
        "Whole milliseconds that the caller will still wait; 0 is answered with 504.",
    ),
}
_STREAM_PARAMETER: Final[Schema] = {
    "name": "stream",
    "in": "query",
    "description": "Stream the answer; `options.stream` says the same.",
    "schema": {"type": "boolean", "default": False},
}
_HEADERS: Final[Schema] = {
    "x-request-id": {"required": True, "schema": {**_TEXT, **REQUEST_ID.schema()}},
    "x-trace-id": {"required": True, "schema": {**_TEXT, **TRACE_ID.schema()}},
    "retry-after": {
        "description": "Whole seconds to wait before asking again, where they are known.",
        "schema": {"type": "integer", "minimum": 0},
    },
}
_SECURITY: Final[Schema] = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


_HEALTH: Final = _object(status={"type": "string", "enum": ["ok"]}, service=_TEXT)
_READINESS: Final = _object(
    ready={"type": "boolean"},
    checks={
        "type": "object",
        "additionalProperties": _object(ok={"type": "boolean"}, detail=_TEXT),
    },
)
