"""Asking an OpenSearch server while an ingest runs: patient with a busy one, never with nonsense.

A whole request that is refused for now (429, 502, 503, 504), or whose connection breaks, is sent
again, and so is each record of a `_bulk` that the server had no room for: `_bulk` answers 200
whatever became of its records. Sending again is safe: every record has an id of its own, and what
finds its own work done says so (`make`, `conflicts`). Anything else is an `IndexFault`.
"""

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import httpx
from attrs import field, frozen

from qs.ingest.port import IndexFault
from qs.retrieval.opensearch_wire import Json, Misunderstood, ServerError, error_of, object_of

ATTEMPTS_MAX: Final = 8
FIRST_PAUSE_S: Final = 0.25
LAST_PAUSE_S: Final = 8.0
BULK_BYTES_MAX: Final = 4 * 1024 * 1024
BULK_RECORDS_MAX: Final = 1_000
CONNECT_TIMEOUT_S: Final = 5.0
ANSWER_TIMEOUT_S: Final = 120.0  # for all of it; a copy of an index is waited for, too
ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024

_BUSY: Final = frozenset([429, 502, 503, 504])
_BROKEN_OFF: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_SUCCESS: Final = range(200, 300)
_NOT_FOUND: Final = 404
_EXISTS: Final = "resource_already_exists_exception"


@frozen
class Record:
    """One line of a bulk: a record to write under its id, or to take out where `body` is None."""

    id: str
    body: Json | None

    def lines(self) -> bytes:
        """As `_bulk` takes it."""
        if self.body is None:
            return json.dumps({"delete": {"_id": self.id}}).encode() + b"\n"
        told = json.dumps({"index": {"_id": self.id}}), json.dumps(self.body, ensure_ascii=False)
        return "\n".join(told).encode() + b"\n"


@frozen
class _Answer:
    """A whole answer."""

    status_code: int
    content: bytes


@frozen
class OpenSearchClient:
    """A server, and how it is asked; a context manager's `http` is its owner's to close."""

    http: httpx.Client
    url: str
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic

    def ask(self, method: str, path: str, told: Json | None = None) -> Json:
        """The object that the server answers with. Raises IndexFault."""
        answer = self.find(method, path, told)
        if answer is None:
            raise IndexFault(f"{self.url}/{path}: 404")
        return answer

    def find(self, method: str, path: str, told: Json | None = None) -> Json | None:
        """The same where there may be nothing: None is the server's 404."""
        content = json.dumps(told, ensure_ascii=False).encode() if told is not None else b""
        answer = self._patiently(method, path, content, "application/json")
        return self._told(answer) if answer.status_code != _NOT_FOUND else None

    def conflicts(self, method: str, path: str, told: Json) -> Json | None:
        """The same where another writer may have been first, or have taken the index away."""
        content = json.dumps(told, ensure_ascii=False).encode()
        answer = self._patiently(method, path, content, "application/json")
        return self._told(answer) if answer.status_code not in (_NOT_FOUND, 409) else None

    def make(self, method: str, path: str, told: Json) -> None:
        """Make an index; one that is there was made by a request whose answer was lost."""
        content = json.dumps(told, ensure_ascii=False).encode()
        answer = self._patiently(method, path, content, "application/json")
        if error_of(answer.status_code, answer.content).type != _EXISTS:
            self._told(answer)

    def bulk(self, index: str, records: Sequence[Record]) -> None:
        """Write them all, in as many requests as it takes. Raises IndexFault."""
        for portion in _portions(records):
            self._bulk(index, portion)

    def _bulk(self, index: str, records: Sequence[Record]) -> None:
        for pause_s in _pauses():
            content = b"".join(record.lines() for record in records)
            answer = self._patiently("POST", f"{index}/_bulk", content, "application/x-ndjson")
            records, busy = _left(self._told(answer), records)
            if not records:
                return
            self._pause(pause_s)
        raise IndexFault(f"{self.url}: too busy for {len(records)} records: {busy}")

    def _patiently(self, method: str, path: str, content: bytes, kind: str) -> _Answer:
        """An answer that is not "later". Raises IndexFault when it stays so."""
        said = ""
        for pause_s in _pauses():
            try:
                answer = self._send(method, path, content, kind)
            except httpx.TransportError as error:
                if _is_refused_tls(error):
                    raise IndexFault(f"{self.url}: {error}") from error
                said = f"{type(error).__name__}: {error}"
            else:
                if answer.status_code not in _BUSY:
                    return answer
                said = str(error_of(answer.status_code, answer.content))
            self._pause(pause_s)
        raise IndexFault(f"{self.url}: {said}")

    def _send(self, method: str, path: str, content: bytes, kind: str) -> _Answer:
        until = self.now() + ANSWER_TIMEOUT_S
        try:
            with self.http.stream(
                method,
                f"{self.url}/{path}",
                content=content,
                headers={**self.headers, **({"content-type": kind} if content else {})},
                timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            ) as response:
                return _Answer(response.status_code, self._whole(response, until))
        except (httpx.InvalidURL, httpx.DecodingError, UnicodeError) as error:
            raise IndexFault(f"{self.url}: {error}") from error

    def _whole(self, response: httpx.Response, until: float) -> bytes:
        content = bytearray()
        for piece in response.iter_bytes():
            content += piece
            if len(content) > ANSWER_BYTES_MAX:
                raise IndexFault(f"{self.url}: its answer is over {ANSWER_BYTES_MAX} bytes")
            if self.now() > until:
                raise httpx.ReadTimeout(f"no whole answer in {ANSWER_TIMEOUT_S:.0f} s")
        return bytes(content)

    def _pause(self, pause_s: float) -> None:
        if pause_s:
            self.sleep(pause_s)

    def _told(self, answer: _Answer) -> Json:
        if answer.status_code not in _SUCCESS:
            raise IndexFault(f"{self.url}: {error_of(answer.status_code, answer.content)}")
        try:
            return object_of(answer.content)
        except Misunderstood as error:
            raise IndexFault(f"{self.url}: its answer is not understood: {error}") from None


def _left(told: Json, records: Sequence[Record]) -> tuple[list[Record], ServerError | None]:
    """The records that the server had no room for, and why. Raises IndexFault for other errors."""
    items = told.get("items")
    if not isinstance(items, list) or len(items) != len(records):
        raise IndexFault("the server's answer to a bulk does not answer for every record")
    left: list[Record] = []
    why: ServerError | None = None
    for item, record in zip(items, records, strict=True):
        error = _item_error(item, record)
        if error is None:
            continue
        if error.status not in _BUSY:
            raise IndexFault(f"the server refuses a record: {error}")
        left.append(record)
        why = error
    return left, why


def _item_error(item: object, record: Record) -> ServerError | None:
    """What became of one record; one that is to be taken out may be gone already."""
    (told,) = item.values() if isinstance(item, dict) and len(item) == 1 else (None,)
    status = told.get("status") if isinstance(told, dict) else None
    if not isinstance(told, dict) or type(status) is not int or told.get("_id") != record.id:
        raise IndexFault("the server's answer to a bulk is not understood")
    if status in _SUCCESS or (record.body is None and status == _NOT_FOUND):
        return None
    return error_of(status, json.dumps({"error": told.get("error", "")}).encode())


def _portions(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    portion: list[Record] = []
    size = 0
    for record in records:
        portion.append(record)
        size += len(record.lines())
        if len(portion) == BULK_RECORDS_MAX or size >= BULK_BYTES_MAX:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _pauses() -> Iterator[float]:
    """One behind each attempt, each twice as long as the one before; none behind the last."""
    for attempt in range(ATTEMPTS_MAX - 1):
        yield min(FIRST_PAUSE_S * 2**attempt, LAST_PAUSE_S)
    yield 0.0


def _is_refused_tls(error: BaseException | None) -> bool:
    """Whether TLS itself came to nothing, not the connection beneath it."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return not isinstance(error, _BROKEN_OFF)
        error = error.__cause__ or error.__context__
    return False
