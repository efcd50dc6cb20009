"""HTTP/1.1 responses and server-sent events as bytes of our own making.

No library writes them, because a scenario must be able to get every one of them wrong.
"""

import json
from collections.abc import Mapping, Sequence

from attrs import frozen

from fakes.openai_compat_server.plan import Ending, Plan, Step

REASONS: Mapping[int, str] = {
    101: "Switching Protocols",
    103: "Early Hints",
    200: "OK",
    204: "No Content",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
DONE_EVENT = b"data: [DONE]\n\n"
LAST_CHUNK = b"0\r\n\r\n"
_CHUNKED = ("transfer-encoding", "chunked")

Headers = tuple[tuple[str, str], ...]


@frozen
class Response:
    """A response before it is bytes. `headers` are all of them, in their order.

    `head_first`: the head leaves before the body is there, as it does for a stream. `tail` is what
    follows the last chunk; None stands for the right end of whatever framing the headers name.
    """

    status: int
    headers: Headers
    body: tuple[Step, ...]
    ending: Ending
    head_first: bool = False
    tail: bytes | None = None

    @property
    def is_chunked(self) -> bool:
        return _CHUNKED in self.headers


def plan_of(response: Response) -> Plan:
    """The response's bytes: each piece of the body a step, and a chunk where there are chunks."""
    framed = chunk if response.is_chunked else bytes
    pieces = [Step(piece.delay_s, framed(piece.data)) for piece in response.body]
    tail = response.tail
    if tail is None:
        tail = LAST_CHUNK if response.is_chunked else b""
    opening = head(response.status, response.headers)
    if response.head_first or not pieces:
        pieces = [Step(0.0, opening), *pieces]
    else:
        pieces[0] = Step(pieces[0].delay_s, opening + pieces[0].data)
    pieces[-1] = Step(pieces[-1].delay_s, pieces[-1].data + tail)
    return Plan(response.status, tuple(pieces), response.ending)


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
