"""What is said to OpenSearch in a search, and what its answers mean. No I/O.

Its answers are bytes of a stranger: strict JSON, and of the shape that is read here, or a fault.
200 proves nothing. An answer that is partial (`timed_out`, a shard that failed or is nowhere) is
refused like one that is not understood: "nothing found" must mean that everything was searched. An
error's body is an object, a bare string, or whatever a proxy says.

One search asks for all that a score is made of: which terms each hit holds (named queries), and how
many chunks hold each term (a count beside the hits).
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from attrs import frozen

from contracts.reasons import ReasonCode
from contracts.strict_json import ContractViolation, loads
from qs.retrieval.function_words import is_korean
from qs.retrieval.opensearch_schema import CHUNK, INGEST_HINT
from qs.retrieval.port import Hit, RetrievalFault
from qs.retrieval.query import is_beginning
from qs.retrieval.relevance import CANDIDATES_MIN, Candidate, best, tells, weight

T = TypeVar("T")
Json = Mapping[str, object]

_SHOWN_CHARS: Final = 200
# The server refuses a query that comes to more than 1,024 terms. Ours are `QUERY_TERMS_MAX` 256, in
# two fields. So many are for what lone characters begin with, and about as many for Korean's own
# analysis, at a term for each character.
_BEGUN_TERMS_MAX: Final = 256
_BEGUN_TERMS_EACH_MAX: Final = 64
_KOREAN_CHARS_MAX: Final = 250
_STATUS_OK: Final = 200
_UNAVAILABLE: Final = frozenset([401, 403, 429])
_SOURCE: Final = ("chunk_id", "doc_id", "title", "url", "content")


class Misunderstood(Exception):
    """The bytes are no answer of OpenSearch's; the message says where."""


@frozen
class ServerError:
    """What an answer that is no success says: OpenSearch's type of error, and its reason."""

    status: int
    type: str
    reason: str

    def __str__(self) -> str:
        return f"{self.status} {self.type}: {self.reason}".strip(": ")


def object_of(body: bytes) -> Json:
    """The JSON object that an answer is. Raises Misunderstood."""
    try:
        return _a(loads(body), dict, "$")
    except ContractViolation as violation:
        raise Misunderstood(str(violation)) from None


def error_of(status: int, body: bytes) -> ServerError:
    """The error in an answer, however it is put; its body may be no JSON at all."""
    try:
        told = object_of(body).get("error", "")
    except Misunderstood:
        told = body.decode("utf-8", "replace")
    if isinstance(told, dict):
        kind, reason = told.get("type", ""), told.get("reason", "")
        return ServerError(status, _shown(kind), _shown(reason))
    return ServerError(status, "", _shown(told))


def fault_of(error: ServerError) -> RetrievalFault:
    """The reason code of a search that was answered with an error."""
    if error.type == "index_not_found_exception":
        return RetrievalFault(ReasonCode.RAG_INDEX_NOT_READY, f"no such index: {INGEST_HINT}")
    if error.status in _UNAVAILABLE or error.status >= 500:
        return RetrievalFault(ReasonCode.RAG_UNAVAILABLE, str(error))
    return RetrievalFault(ReasonCode.RAG_BAD_RESPONSE, str(error))


def search_body(question: str, wanted: Sequence[str], top_k: int) -> Json:
    """The search for chunks that hold any of the terms; `question` is for Korean's own analysis."""
    named = {f"t{number}": term for number, term in enumerate(wanted)}
    lone = sum(map(is_beginning, wanted))
    each = min(_BEGUN_TERMS_EACH_MAX, _BEGUN_TERMS_MAX // max(lone, 1))
    return {
        "size": max(CANDIDATES_MIN, 2 * top_k),
        "track_total_hits": False,
        "_source": list(_SOURCE),
        "query": {
            "bool": {
                "filter": [{"term": {"kind": CHUNK}}],
                "should": [
                    *(_ranked(term, name, each) for name, term in named.items()),
                    *(_in_heading(term, f"h{name}") for name, term in named.items()),
                    *_korean(question),
                ],
                "minimum_should_match": 1,
            }
        },
        "aggs": {"all": {"global": {}, "aggs": {"holding": {"filters": {"filters": {
            "chunks": {"term": {"kind": CHUNK}},
            **{name: _holds("terms", term) for name, term in named.items()},
        }}}}}},
    }  # fmt: skip


def hits_of(body: bytes, wanted: Sequence[str], top_k: int) -> Sequence[Hit]:
    """The hits of a whole answer, best first. Raises RetrievalFault."""
    try:
        return _hits(object_of(body), wanted, top_k)
    except Misunderstood as error:
        raise RetrievalFault(ReasonCode.RAG_BAD_RESPONSE, str(error)) from None


def count_body() -> Json:
    """Asks how many chunks there are."""
    return {"size": 0, "track_total_hits": True, "query": {"term": {"kind": CHUNK}}}


def count_of(body: bytes) -> int:
    """How many chunks a whole answer counts. Raises RetrievalFault."""
    try:
        answer = object_of(body)
        _expect_whole(answer)
        total = _at(_at(answer, "hits", dict), "total", dict)
        return _natural(total, "value")
    except Misunderstood as error:
        raise RetrievalFault(ReasonCode.RAG_BAD_RESPONSE, str(error)) from None


def _holds(field: str, term: str) -> Json:
    """The query for chunks whose field holds the term, or one that begins with it."""
    if is_beginning(term):
        return {"prefix": {field: {"value": term}}}
    return {"match": {field: {"query": term}}}


def _ranked(term: str, name: str, begun: int) -> Json:
    """The same, named and ranked; of what begins with a lone character, by so many terms."""
    if is_beginning(term):
        rewrite = f"top_terms_blended_freqs_{begun}"
        return {"prefix": {"terms": {"value": term, "rewrite": rewrite, "_name": name}}}
    return {"match": {"terms": {"query": term, "_name": name}}}


def _korean(question: str) -> Sequence[Json]:
    """A question in Korean as the server's own analysis has it, as far as that may be long."""
    return [{"match": {"korean": question[:_KOREAN_CHARS_MAX]}}] if is_korean(question) else []


def _in_heading(term: str, name: str) -> Json:
    """Adds nothing to the score: `qs.retrieval.relevance.standing` has its own use for it."""
    inner = _holds("heading", term)
    return {"constant_score": {"filter": inner, "boost": 0.0, "_name": name}}


def _hits(answer: Json, wanted: Sequence[str], top_k: int) -> Sequence[Hit]:
    _expect_whole(answer)
    found = _at(_at(answer, "aggregations", dict), "all", dict)
    counts = _at(_at(found, "holding", dict), "buckets", dict)
    chunks = _count(counts, "chunks")
    if not chunks:
        detail = f"the index is empty, or of another format: {INGEST_HINT}"
        raise RetrievalFault(ReasonCode.RAG_INDEX_NOT_READY, detail)
    holding = {number: min(_count(counts, f"t{number}"), chunks) for number, _ in enumerate(wanted)}
    telling = {number: term for number, term in enumerate(wanted) if tells(holding[number], chunks)}
    if not telling:
        return ()
    weights = {term: weight(holding[number], chunks) for number, term in telling.items()}
    listed = _at(_at(answer, "hits", dict), "hits", list)
    candidates = [_candidate(hit, telling) for hit in listed]
    return best(candidates, list(telling.values()), weights, top_k)


def _expect_whole(answer: Json) -> None:
    if _at(answer, "timed_out", bool):
        raise Misunderstood("partial: the search timed out in the engine")
    shards = _at(answer, "_shards", dict)
    total, answered = _at(shards, "total", int), _at(shards, "successful", int)
    if answered != total or _at(shards, "failed", int):
        raise Misunderstood(f"partial: {answered} of {total} shards answered")


def _candidate(told: object, wanted: Mapping[int, str]) -> Candidate:
    hit = _a(told, dict, "a hit")
    source = _at(hit, "_source", dict)
    matched = _a(hit.get("matched_queries", []), list, "matched_queries")
    names = {_a(name, str, "matched_queries") for name in matched}
    score = hit.get("_score")
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise Misunderstood("_score is no number")
    found = Hit(
        chunk_id=_at(source, "chunk_id", str),
        doc_id=_at(source, "doc_id", str),
        title=_or_none(source, "title"),
        url=_or_none(source, "url"),
        content=_at(source, "content", str),
        score=0.0,
    )
    covered = [term for number, term in wanted.items() if f"t{number}" in names]
    headed = [term for number, term in wanted.items() if f"ht{number}" in names]
    return Candidate(found, float(score), covered, headed)


def _count(buckets: Json, name: str) -> int:
    return _natural(_at(buckets, name, dict), "doc_count")


def _natural(told: Json, key: str) -> int:
    number = _at(told, key, int)
    if number < 0:
        raise Misunderstood(f"{key} is no count")
    return number


def _or_none(told: Json, key: str) -> str | None:
    return None if told.get(key) is None else _at(told, key, str)


def _at(told: Json, key: str, kind: type[T]) -> T:
    return _a(told.get(key), kind, key)


def _a(value: object, kind: type[T], what: str) -> T:
    """The value where it is of exactly this type."""
    if type(value) is not kind:
        raise Misunderstood(f"{what} is no {kind.__name__}")
    return value


def _shown(told: object) -> str:
    """Some of a stranger's text, in one line."""
    return " ".join(str(told).split())[:_SHOWN_CHARS]
