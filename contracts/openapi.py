"""The OpenAPI 3.1 documents of the three services, one each, from the same types and table.

Schemas are those of `schema.py`; which code answers with which status is asked of the table of
reasons. OpenAPI 3.1 has no words for the events of a stream: `x-events` gives each event's data,
in the order in which they may come.
"""

from collections.abc import Iterable
from typing import Final

from attrs import frozen

from contracts import openapi_parts as parts
from contracts.chat import ChatRequest, ChatResponse, ErrorBody
from contracts.events import EVENTS
from contracts.generation import GenerateRequest, GenerateResponse
from contracts.reasons import ReasonCode
from contracts.schema import DIALECT, Definitions, Schema
from contracts.sessions import FeedbackRequest, SessionResponse

VERSION: Final = "v1"
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
class Other:
    """A call that asks no question. Without a `response` it is answered 204."""

    method: str
    path: str
    operation: str
    summary: str
    request: type | None = None
    response: type | None = None


_SESSIONS: Final = (
    Other("get", "/sessions/{id}", "readSession", "Read a session", response=SessionResponse),
    Other("delete", "/sessions/{id}", "eraseSession", "Erase a session with all its turns"),
    Other("post", "/feedback", "rate", "Say what an answer was worth", request=FeedbackRequest),
)


@frozen
class Service:
    """One program: where it listens unless told otherwise, and what it answers."""

    name: str
    title: str
    port: int
    about: str
    calls: tuple[Call, ...]
    others: tuple[Other, ...] = ()
    has_page: bool = False
    takes_owner: bool = False
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
        _SESSIONS,
        has_page=True,
    ),
    Service(
        "qs",
        "QS, the query service",
        8001,
        "Retrieves passages, then has the gateway answer from them. Not meant for clients.",
        (_chat("/chat", "chat", "Retrieve, then answer"),),
        _SESSIONS,
        takes_owner=True,
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
    errors, elsewhere = _errors(service, schemas), _errors_elsewhere(service, schemas)
    paths = {call.path: {"post": _post(service, call, schemas, errors)} for call in service.calls}
    for other in service.others:
        operations = paths.setdefault(other.path, {})
        operations[other.method] = _other(service, other, schemas, elsewhere)
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
            "responses": errors | elsewhere,
            "parameters": _parameters(service),
            "headers": parts.HEADERS,
            "securitySchemes": parts.SECURITY,
        },
    }


def codes_by_status(
    statuses: Iterable[tuple[ReasonCode, int | None]],
) -> dict[int, list[ReasonCode]]:
    """The codes that are errors, under the HTTP status that each has, lowest first."""
    found: dict[int, list[ReasonCode]] = {}
    for code, status in statuses:
        if status is not None:
            found.setdefault(status, []).append(code)
    return dict(sorted(found.items()))


def _parameters(service: Service) -> Schema:
    streams = any(call.stream_in_query for call in service.calls)
    return {
        **({"stream": parts.STREAM_PARAMETER} if streams else {}),
        **({"id": parts.ID_PARAMETER} if service.others else {}),
        **_headers_of(service),
    }


def _headers_of(service: Service) -> dict[str, Schema]:
    return {**parts.HEADER_PARAMETERS, **(parts.OWNER_PARAMETER if service.takes_owner else {})}


def _asked(names: Iterable[str], request: type | None, schemas: Definitions) -> Schema:
    asked: Schema = {"parameters": [{"$ref": f"#/components/parameters/{name}"} for name in names]}
    if request is not None:
        content = {"application/json": {"schema": schemas.refer(request)}}
        asked["requestBody"] = {"required": True, "content": content}
    return asked


def _other(service: Service, other: Other, schemas: Definitions, errors: Schema) -> Schema:
    names = [*(["id"] if "{id}" in other.path else []), *_headers_of(service)]
    without_body = {_elsewhere(status) for status in _OF_BODIES} if other.request is None else ()
    return {
        "operationId": other.operation,
        "summary": other.summary,
        **_asked(names, other.request, schemas),
        "responses": {
            **_outcome(other, schemas),
            **{
                name.removeprefix(_elsewhere("")): {"$ref": f"#/components/responses/{name}"}
                for name in errors
                if name not in without_body
            },
        },
    }


def _outcome(other: Other, schemas: Definitions) -> Schema:
    told = {"description": other.summary, "headers": _headers("x-request-id", "x-trace-id")}
    if other.response is None:
        return {"204": told}
    content = {"application/json": {"schema": schemas.refer(other.response)}}
    return {"200": {**told, "content": content}}


def _post(service: Service, call: Call, schemas: Definitions, errors: Schema) -> Schema:
    names = [*(["stream"] if call.stream_in_query else []), *_headers_of(service)]
    return {
        "operationId": call.operation,
        "summary": call.summary,
        **_asked(names, call.request, schemas),
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
                "schema": {**parts.TEXT, "description": parts.STREAM},
                "x-events": {name: schemas.refer(kind) for name, kind in EVENTS.items()},
            },
        },
    }


def _errors(service: Service, schemas: Definitions) -> Schema:
    # Whoever posts to a path that takes POST is never told that the method is wrong.
    never = service.not_codes | {ReasonCode.INPUT_METHOD}
    found = codes_by_status((code, code.http) for code in ReasonCode if code not in never)
    return {str(status): _error(status, codes, schemas) for status, codes in found.items()}


def _errors_elsewhere(service: Service, schemas: Definitions) -> Schema:
    if not service.others:
        return {}
    # No model is called; and whoever calls no next hop for it cannot be failed by one.
    never = {ReasonCode.INPUT_METHOD, *_QUEUEING, *(_HOPS if service.takes_owner else ())}
    found = codes_by_status((code, code.elsewhere) for code in ReasonCode if code not in never)
    return {_elsewhere(s): _error(s, codes, schemas) for s, codes in found.items()}


def _elsewhere(status: object) -> str:
    return f"elsewhere-{status}"


def _error(status: int, codes: list[ReasonCode], schemas: Definitions) -> Schema:
    among = [str(code) for code in codes]
    only_these = {"properties": {"error": {"properties": {"code": {"enum": among}}}}}
    names = ["x-request-id", "x-trace-id", *(["retry-after"] if status in parts.PAUSED else [])]
    return {
        "description": "; ".join(f"{code}: {code.when}" for code in codes),
        "headers": _headers(*names),
        "content": {
            "application/json": {"schema": {"allOf": [schemas.refer(ErrorBody), only_these]}}
        },
    }


def _gets(service: Service, schemas: Definitions) -> dict[str, Schema]:
    html, own = ("text/html", parts.TEXT), ("application/json", parts.ANY_OBJECT)
    page = {
        "/": _get("page", "The chat page", schemas, {"200": html}),
        "/docs": _get("docs", "This document as a page", schemas, {"200": html}),
        "/openapi.json": _get("openapi", "This document", schemas, {"200": own}),
    }
    ready = ("application/json", parts.READINESS)
    return {
        **(page if service.has_page else {}),
        "/health": _get(
            "health", "Whether it answers", schemas, {"200": ("application/json", parts.HEALTH)}
        ),
        "/ready": _get(
            "ready",
            "Whether it takes calls: 503 while starting, draining, or without what is its own",
            schemas,
            {"200": ready, "503": ready},
        ),
        "/metrics": _get(
            "metrics", "Figures for Prometheus", schemas, {"200": ("text/plain", parts.TEXT)}
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


_OF_BODIES: Final = (408, 413, 415)
_QUEUEING: Final = (ReasonCode.ADMISSION_QUEUE_FULL, ReasonCode.ADMISSION_QUEUE_TIMEOUT)
_HOPS: Final = tuple(code for code in ReasonCode if code.startswith("HOP_"))
