"""What the server holds, and what each request comes to: a status and a JSON object.

Records that were written can be read by their ids at once and are searched after a refresh, like
real ones. Nothing here knows of bytes, of time or of faults.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import parse_qs, urlsplit

from attrs import define, evolve, field

from fakes.opensearch_server.query import (
    CLAUSES_MAX,
    Corpus,
    Json,
    Refused,
    clauses,
    corpus_of,
)

Answer = tuple[int, Json]
_TEXTS: Final = ("terms", "heading", "korean")
_SHARDS: Final = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}


@define
class Index:
    """One index: its definition, its records, and what of them is searched."""

    mappings: dict[str, object]
    blocked: bool = False
    records: dict[str, Json] = field(factory=dict)
    numbers: dict[str, int] = field(factory=dict)  # each record's `_seq_no`
    written: int = 0
    searched: Corpus = field(factory=lambda: corpus_of({}, ()))

    def write(self, id: str, told: Json | None) -> int:
        """Put a record, or take it out; its number."""
        self.numbers[id] = self.written
        self.written += 1
        if told is None:
            self.records.pop(id, None)
        else:
            self.records[id] = told
        return self.numbers[id]


@define
class Engine:
    """A server: its indices and its aliases. `plugins` are those of its one node."""

    plugins: tuple[str, ...] = ()
    indices: dict[str, Index] = field(factory=dict)
    aliases: dict[str, str] = field(factory=dict)

    def answer(self, method: str, target: str, body: bytes) -> Answer:
        """What a request comes to."""
        url = urlsplit(target)
        parts = url.path.strip("/").split("/")
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        try:
            if parts[-1] == "_bulk":
                return self._bulk(parts[0], body)
            told = json.loads(body) if body else {}
            return self._route(method, parts, query, told)
        except _Fault as fault:
            return fault.status, _error(fault.status, fault.kind, fault.reason)
        except (Refused, KeyError, TypeError, ValueError) as error:
            return 400, _error(400, "parsing_exception", f"{type(error).__name__}: {error}")

    def _route(self, method: str, parts: list[str], query: Mapping[str, str], told: Json) -> Answer:
        match method, parts:
            case "GET", ["_alias", alias]:
                return self._alias(alias)
            case "GET", [pattern, "_alias"]:
                return 200, {name: {"aliases": {}} for name in self._named(pattern)}
            case "POST", ["_aliases"]:
                return self._turn(told)
            case "GET", ["_nodes", "plugins"]:
                return 200, {"nodes": {"n": {"plugins": [{"name": name} for name in self.plugins]}}}
            case "GET", ["_cluster", "health", name]:
                self._index(name)
                return 200, {"status": "green", "timed_out": False}
            case "PUT", [name]:
                return self._create(name, told)
            case "DELETE", [name]:
                self._index(name)
                del self.indices[name]
                self.aliases = {key: to for key, to in self.aliases.items() if to != name}
                return 200, {"acknowledged": True}
            case "POST", [name, "_clone", copy]:
                return self._clone(name, copy)
            case _, [name, *rest]:
                return self._of_index(method, name, rest, query, told)
        raise Refused(f"no handler for {method} /{'/'.join(parts)}")

    def _of_index(
        self, method: str, name: str, rest: list[str], query: Mapping[str, str], told: Json
    ) -> Answer:
        index, own = self._index(name), self.aliases.get(name, name)
        match method, rest:
            case "GET", []:
                return 200, {own: {"mappings": index.mappings}}
            case "GET", ["_mapping"]:
                return 200, {own: {"mappings": index.mappings}}
            case "PUT", ["_mapping"]:
                index.mappings = {**index.mappings, **told}
                return 200, {"acknowledged": True}
            case "PUT", ["_settings"]:
                index.blocked = told["index"]["blocks.write"] is True  # type: ignore[index]  # else 400
                return 200, {"acknowledged": True}
            case "POST", ["_refresh"]:
                index.searched = corpus_of(dict(index.records), _TEXTS)
                return 200, {"_shards": _SHARDS}
            case "GET", ["_doc", id]:
                return 200 if id in index.records else 404, _got(index, id)
            case "PUT", ["_doc", id]:
                return self._put(index, id, query, told)
            case "POST", ["_mget"]:
                return 200, {"docs": [_got(index, str(id)) for id in told["ids"]]}  # type: ignore[attr-defined]
            case "POST", ["_count"]:
                found = _found(index.searched, told["query"])  # type: ignore[arg-type]
                return 200, {"count": len(found), "_shards": _SHARDS}
            case "POST", ["_search"]:
                return 200, _searched(own, index.searched, told)
        raise Refused(f"no handler for {method} {rest}")

    def _named(self, pattern: str) -> Iterator[str]:
        return (name for name in sorted(self.indices) if fnmatchcase(name, pattern))

    def _index(self, name: str) -> Index:
        own = self.aliases.get(name, name)
        if own not in self.indices:
            raise _Fault(404, "index_not_found_exception", f"no such index [{name}]")
        return self.indices[own]

    def _alias(self, alias: str) -> Answer:
        if alias not in self.aliases:
            return 404, {"error": f"alias [{alias}] missing", "status": 404}
        return 200, {self.aliases[alias]: {"aliases": {alias: {}}}}

    def _turn(self, told: Json) -> Answer:
        for action in told["actions"]:  # type: ignore[attr-defined]  # else 400
            ((verb, place),) = action.items()
            self._index(place["index"])
            if verb == "add":
                self.aliases[place["alias"]] = place["index"]
            elif self.aliases.get(place["alias"]) == place["index"]:
                del self.aliases[place["alias"]]
            else:
                raise _Fault(404, "aliases_not_found_exception", f"[{place['alias']}] missing")
        return 200, {"acknowledged": True}

    def _create(self, name: str, told: Json) -> Answer:
        if name in self.indices:
            raise _Fault(400, "resource_already_exists_exception", f"index [{name}] exists")
        self.indices[name] = Index(dict(told["mappings"]))  # type: ignore[call-overload]  # else 400
        return 200, {"acknowledged": True, "index": name}

    def _clone(self, name: str, copy: str) -> Answer:
        source = self._index(name)
        if not source.blocked:
            raise _Fault(400, "illegal_state_exception", f"index {name} must block writes")
        if copy in self.indices:
            raise _Fault(400, "resource_already_exists_exception", f"index [{copy}] exists")
        records, numbers = dict(source.records), dict(source.numbers)
        self.indices[copy] = evolve(source, blocked=False, records=records, numbers=numbers)
        return 200, {"acknowledged": True, "index": copy}

    def _put(self, index: Index, id: str, query: Mapping[str, str], told: Json) -> Answer:
        expected = query.get("if_seq_no")
        if expected is not None and index.numbers.get(id) != int(expected):
            raise _Fault(409, "version_conflict_engine_exception", f"[{id}]: version conflict")
        return 200, {"_id": id, "_seq_no": index.write(id, told), "_primary_term": 1}

    def _bulk(self, name: str, body: bytes) -> Answer:
        index = self._index(name)
        if index.blocked:
            raise _Fault(403, "cluster_block_exception", f"index [{name}] blocked")
        items: list[Json] = []
        lines = iter(body.splitlines())
        for line in lines:
            ((verb, place),) = json.loads(line).items()
            told = json.loads(next(lines)) if verb == "index" else None
            status = 200 if told is not None or place["_id"] in index.records else 404
            index.write(place["_id"], told)
            items.append({verb: {"_id": place["_id"], "status": status}})
        return 200, {"took": 1, "errors": False, "items": items}


class _Fault(Exception):
    def __init__(self, status: int, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.kind, self.reason = status, kind, reason


def _error(status: int, kind: str, reason: str) -> Json:
    return {"error": {"type": kind, "reason": reason}, "status": status}


def _got(index: Index, id: str) -> Json:
    if id not in index.records:
        return {"_id": id, "found": False}
    versions = {"_seq_no": index.numbers[id], "_primary_term": 1}
    return {"_id": id, "found": True, **versions, "_source": index.records[id]}


def _found(corpus: Corpus, query: Json) -> dict[str, tuple[float, frozenset[str]]]:
    found = ((id, corpus.matched(id, query)) for id in corpus.records)
    return {id: matched for id, matched in found if matched is not None}


def _searched(name: str, corpus: Corpus, told: Json) -> Json:
    if clauses(told["query"]) > CLAUSES_MAX:  # type: ignore[arg-type]
        raise _Fault(400, "too_many_clauses", f"maxClauseCount is set to {CLAUSES_MAX}")
    found = _found(corpus, told["query"])  # type: ignore[arg-type]
    ranked = sorted(found, key=_order(corpus, found, told))
    after = told.get("search_after")
    if isinstance(after, list):
        ranked = [id for id in ranked if str(corpus.records[id]["path"]) > after[0]]
    size = int(str(told["size"]))
    hits = [
        {
            "_index": name,
            "_id": id,
            "_score": found[id][0],
            "_source": {key: corpus.records[id].get(key) for key in told.get("_source", ())},  # type: ignore[attr-defined]
            **({"matched_queries": sorted(found[id][1])} if found[id][1] else {}),
        }
        for id in ranked[:size]
    ]
    answer: dict[str, object] = {"took": 1, "timed_out": False, "_shards": _SHARDS}
    answer["hits"] = {"total": {"value": len(found), "relation": "eq"}, "hits": hits}
    if "aggs" in told:
        filters = told["aggs"]["all"]["aggs"]["holding"]["filters"]["filters"]  # type: ignore[index]
        counts = {key: {"doc_count": len(_found(corpus, one))} for key, one in filters.items()}
        answer["aggregations"] = {"all": {"holding": {"buckets": counts}}}
    return answer


def _order(
    corpus: Corpus, found: Mapping[str, tuple[float, frozenset[str]]], told: Json
) -> Callable[[str], tuple[float, str]]:
    if "sort" in told:
        return lambda id: (0.0, str(corpus.records[id]["path"]))
    return lambda id: (-found[id][0], id)
