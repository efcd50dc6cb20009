# ruff: noqa: E501 - a row of a table is one line
"""Everything that the server can do wrong, as rows: what it says instead, byte for byte.

A row changes the answer that the engine gave, or takes its place. `code` is the reason code that a
search must end in.
"""

import json
from collections.abc import Callable, Mapping
from typing import Final

from attrs import frozen

from contracts.reasons import ReasonCode
from fakes.opensearch_server.engine import Engine
from fakes.opensearch_server.query import Json

Wire = tuple[bytes | float, ...]  # bytes that are sent, seconds that are waited


@frozen
class Fault:
    """One row. `wire` is given the engine's status and its answer; the connection ends after it."""

    name: str
    about: str
    code: ReasonCode
    wire: Callable[[int, Json], Wire]
    resets: bool = False


def http(
    status: int, body: bytes, kind: str = "application/json", length: int | None = None
) -> bytes:
    """A response."""
    said = len(body) if length is None else length
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {said}\r\n\r\n"
    return head.encode() + body


def _says(status: int, told: object) -> Callable[[int, Json], Wire]:
    return lambda _status, _told: (http(status, json.dumps(told).encode()),)


def _sends(*wire: bytes | float) -> Callable[[int, Json], Wire]:
    return lambda _status, _told: wire


def _changed(**fields: object) -> Callable[[int, Json], Wire]:
    return lambda status, told: (http(status, json.dumps({**told, **fields}).encode()),)


def _counted(number: int) -> Callable[[int, Json], Wire]:
    """Each count of an answer that has some is this number, but the chunks'."""

    def wire(status: int, told: Json) -> Wire:
        counted = json.loads(json.dumps(told))
        if "aggregations" not in counted:
            counted["hits"] = {"total": {"value": number}}
        else:
            for name, bucket in counted["aggregations"]["all"]["holding"]["buckets"].items():
                bucket["doc_count"] = 1 if name == "chunks" else number
        return (http(status, json.dumps(counted).encode()),)

    return wire


def _halved(status: int, told: Json) -> Wire:
    body = json.dumps(told).encode()
    return (http(status, body[: len(body) // 2], length=len(body)),)


def _short(status: int, told: Json) -> Wire:
    return (http(status, json.dumps(told).encode()[:-2]),)


def _trickled(status: int, told: Json) -> Wire:
    whole = http(status, json.dumps(told).encode())
    return tuple(part for at in range(len(whole)) for part in (whole[at : at + 1], 0.5))


def _error(kind: str, status: int) -> dict[str, object]:
    return {
        "error": {"root_cause": [], "type": kind, "reason": "as the row says"},
        "status": status,
    }


_DOWN, _BAD = ReasonCode.RAG_UNAVAILABLE, ReasonCode.RAG_BAD_RESPONSE
_LATE, _NONE = ReasonCode.RAG_TIMEOUT, ReasonCode.RAG_INDEX_NOT_READY
_FAILED: Final = {"total": 2, "successful": 1, "skipped": 0, "failed": 1, "failures": []}
_UNASSIGNED: Final = {"total": 2, "successful": 1, "skipped": 0, "failed": 0}
_NO_HITS: Final = {"total": {"value": 0, "relation": "eq"}, "hits": [{"_score": 1.0}]}
_HUGE_BYTES: Final = 17 * 1024 * 1024
_REJECTED: Final = _error("rejected_execution_exception", 429)
_ROWS: Final = (
    Fault("reset", "resets the connection instead of answering", _DOWN, _sends(), resets=True),
    Fault("closed", "closes the connection instead of answering", _DOWN, _sends()),
    Fault("half-head", "closes in the middle of the head", _DOWN, _sends(b"HTTP/1.1 200 OK\r\nco")),
    Fault("no-http", "says something that is no HTTP", _DOWN, _sends(b"SSH-2.0-OpenSSH_9\r\n\r\n")),
    Fault("silent", "takes the request and says nothing", _LATE, _sends(600.0)),
    Fault("slow", "answers a byte every half second", _LATE, _trickled),
    Fault("half-body", "closes in the middle of the body", _BAD, _halved),
    Fault("short-body", "a body without its end, of the length it says", _BAD, _short),
    Fault("empty", "200 and nothing", _BAD, _sends(http(200, b""))),
    Fault("garbage", "200 and no JSON", _BAD, _sends(http(200, b"\x00\xff{"))),
    Fault("html", "a proxy's page with 200", _BAD, _sends(http(200, b"<html>", "text/html"))),
    Fault("list", "200 and a list", _BAD, _says(200, [])),
    Fault("twice", "a key that stands twice", _BAD, _sends(http(200, b'{"took": 1, "took": 2}'))),
    Fault("gzip", "bytes in an encoding nobody asked for", _BAD,
          _sends(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\n\x1f\x8b\x08")),
    Fault("timed-out", "a partial answer: the search timed out", _BAD, _changed(timed_out=True)),
    Fault("shards", "a partial answer: a shard failed", _BAD, _changed(_shards=_FAILED)),
    Fault("unassigned", "a partial answer: a shard is nowhere, which is no failure", _BAD, _changed(_shards=_UNASSIGNED)),
    Fault("no-shards", "an answer that does not say of its shards", _BAD, _changed(_shards=None)),
    Fault("no-hits", "an answer without hits", _BAD, _changed(hits={})),
    Fault("hollow-hit", "a hit without what was asked for", _BAD, _changed(hits=_NO_HITS)),
    Fault("no-counts", "an answer without the counts", _BAD, _changed(aggregations={})),
    Fault("negative-counts", "counts that none can be", _BAD, _counted(-3)),
    Fault("huge", "a body over its cap", _BAD, lambda _status, _told: (http(200, b" " * _HUGE_BYTES),)),
    Fault("429", "no room in its queue", _DOWN, _says(429, _REJECTED)),
    Fault("503", "503 with an error that is a bare string", _DOWN, _says(503, {"error": "no master"})),
    Fault("502", "a proxy's 502", _DOWN, _sends(http(502, b"<html>bad gateway", "text/html"))),
    Fault("500", "500 with an error", _DOWN, _says(500, _error("null_pointer_exception", 500))),
    Fault("401", "it does not know us", _DOWN, _sends(http(401, b"Unauthorized", "text/plain"))),
    Fault("403", "we may not", _DOWN, _says(403, _error("security_exception", 403))),
    Fault("400", "it does not understand the search", _BAD, _says(400, _error("parsing_exception", 400))),
    Fault("404", "the index is gone", _NONE, _says(404, _error("index_not_found_exception", 404))),
    Fault("404-else", "something else is gone", _BAD, _says(404, {"error": "no handler"})),
    Fault("302", "a redirect", _BAD, _sends(b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n")),
)  # fmt: skip
FAULTS: Final[Mapping[str, Fault]] = {row.name: row for row in _ROWS}


def busy_for_every(engine: Engine, target: str, body: bytes, every: int) -> tuple[int, Json]:
    """A bulk's answer in which there is no room for every so-manieth record: it is not written."""
    lines = body.splitlines(keepends=True)
    taken: list[bytes] = []
    refused: list[tuple[int, Json]] = []
    number = 0
    while lines:
        ((verb, place),) = json.loads(lines[0]).items()
        record, lines = lines[: 1 + (verb == "index")], lines[1 + (verb == "index") :]
        if number % every == 0:
            one = {"_id": place["_id"], "status": 429, "error": _REJECTED["error"]}
            refused.append((number, {verb: one}))
        else:
            taken += record
        number += 1
    status, told = engine.answer("POST", target, b"".join(taken))
    items = list(told["items"]) if status == 200 else []  # type: ignore[call-overload]  # a list
    for at, item in refused:
        items.insert(at, item)
    return status, {**told, "errors": True, "items": items}
