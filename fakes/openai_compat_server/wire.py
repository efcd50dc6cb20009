"""HTTP/1.1 responses and server-sent events as bytes of our own making.

No library writes them, because a later script must be able to get every one of them wrong.
"""

import json
from collections.abc import Mapping, Sequence

REASONS: Mapping[int, str] = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    415: "Unsupported Media Type",
}
DONE_EVENT = b"data: [DONE]\n\n"
LAST_CHUNK = b"0\r\n\r\n"


def head(status: int, headers: Sequence[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status} {REASONS[status]}", *(f"{name}: {it}" for name, it in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; `data` must not be empty, for that would end the body."""
    assert data, "an empty chunk ends the body"
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(payload: Mapping[str, object]) -> bytes:
    return b"data: " + to_json(payload) + b"\n\n"


def to_json(payload: Mapping[str, object]) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
