"""What the OpenAPI documents of all services share: parameters, headers, and the common answers."""

from collections.abc import Mapping
from typing import Final

from contracts.rules import REQUEST_ID, SESSION_ID, SESSION_OWNER, TRACE_ID
from contracts.schema import Schema

TEXT: Final[Schema] = {"type": "string"}
ANY_OBJECT: Final[Schema] = {"type": "object"}


def _header(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "header", "description": description, "schema": schema}


PAUSED: Final = frozenset({429, 503})
STREAM: Final = (
    "Server-sent events: `meta sources? citations? delta* error? done`. Each is `event: NAME` and "
    "one `data:` line of JSON, whose schema `x-events` gives; comment lines are heartbeats."
)
# A header that cannot be used is replaced, not refused: its schema takes any text.
HEADER_PARAMETERS: Final = {
    "x-request-id": _header("x-request-id", TEXT, f"Names the call: {REQUEST_ID.form}."),
    "traceparent": _header("traceparent", TEXT, "W3C trace context; gives the trace id."),
    "x-trace-id": _header(
        "x-trace-id", TEXT, f"The trace id where there is no traceparent: {TRACE_ID.form}."
    ),
    "x-deadline-ms": _header(
        "x-deadline-ms",
        {"type": "integer", "minimum": 0, "maximum": 10**15 - 1},
        "Whole milliseconds that the caller will still wait; 0 is answered with 504.",
    ),
}
OWNER_PARAMETER: Final[Mapping[str, Schema]] = {
    "x-session-owner": _header(
        "x-session-owner",
        {**TEXT, **SESSION_OWNER.schema()},
        "Whose sessions these are, from a hop that knows its callers; absent: nobody's.",
    )
}
ID_PARAMETER: Final[Schema] = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "A session's id.",
    "schema": {**TEXT, **SESSION_ID.schema()},
}
STREAM_PARAMETER: Final[Schema] = {
    "name": "stream",
    "in": "query",
    "description": "Stream the answer; `options.stream` says the same.",
    "schema": {"type": "boolean", "default": False},
}
HEADERS: Final[Schema] = {
    "x-request-id": {"required": True, "schema": {**TEXT, **REQUEST_ID.schema()}},
    "x-trace-id": {"required": True, "schema": {**TEXT, **TRACE_ID.schema()}},
    "retry-after": {
        "description": "Whole seconds to wait before asking again, where they are known.",
        "schema": {"type": "integer", "minimum": 0},
    },
}
SECURITY: Final[Schema] = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


HEALTH: Final = _object(status={"type": "string", "enum": ["ok"]}, service=TEXT)
READINESS: Final = _object(
    ready={"type": "boolean"},
    checks={
        "type": "object",
        "additionalProperties": _object(ok={"type": "boolean"}, detail=TEXT),
    },
)
