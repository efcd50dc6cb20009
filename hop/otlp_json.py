"""Finished spans as one OTLP/HTTP request in JSON, as the OpenTelemetry protocol 1 has it. No I/O.

Ids are hex there and not base64, 64-bit numbers are strings, and `kind` is a number. A span's times
are on the program's clock; `epoch_ns` is where that clock's zero stands on everybody's.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Final

from hop.spans import Kind, Span, Value

CONTENT_TYPE: Final = "application/json"
_NAMESPACE: Final = "bsl"
_KINDS: Final[Mapping[Kind, int]] = {"internal": 1, "server": 2, "client": 3}
_STATUS_ERROR: Final = 2
_NS_PER_S: Final = 1_000_000_000


def encode(service: str, spans: Iterable[Span], epoch_ns: int) -> bytes:
    """The request's body."""
    resource = {"service.name": service, "service.namespace": _NAMESPACE}
    scope = {"scope": {"name": _NAMESPACE}, "spans": [_span(it, epoch_ns) for it in spans]}
    sent = {"resource": {"attributes": _attributes(resource)}, "scopeSpans": [scope]}
    return json.dumps({"resourceSpans": [sent]}, separators=(",", ":")).encode()


def _span(span: Span, epoch_ns: int) -> dict[str, object]:
    assert span.ended is not None, "only what is over is sent"
    attributes = {**span.attributes, "error.type": span.fault} if span.fault else span.attributes
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_id,
        "flags": int(span.flags, 16),
        "name": span.name,
        "kind": _KINDS[span.kind],
        "startTimeUnixNano": _ns(span.began, epoch_ns),
        "endTimeUnixNano": _ns(span.ended, epoch_ns),
        "attributes": _attributes(attributes),
        "status": {"code": _STATUS_ERROR} if span.fault else {},
    }


def _ns(at: float, epoch_ns: int) -> str:
    return str(epoch_ns + round(at * _NS_PER_S))


def _attributes(values: Mapping[str, Value]) -> list[dict[str, object]]:
    return [{"key": name, "value": _value(value)} for name, value in values.items()]


def _value(value: Value) -> dict[str, object]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case tuple():
            return {"arrayValue": {"values": [_value(item) for item in value]}}
