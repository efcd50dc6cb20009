"""An OpenSearch server's index as an `IndexWriter`: built beside what is searched, then published.

The first change of an ingest begins the next index, as a copy of the one that the alias stands for
(the server clones it: its files are linked, not written anew). `publish` turns the alias to it in
one step; until then nothing that is searched has changed. The index before stays, for the searches
that are under way, until the next ingest.

An ingest that was killed leaves the index it was building, and the next one goes on with it. Within
a batch the order of writing makes that safe: first each document's record, with no digest and the
ids of its old and its new chunks; then the chunks; then the record as it is to be. What was cut off
is therefore known by its record, and is read anew.

Two ingests at once: each puts its mark into the index it writes, and looks before every batch
whether it is still there. The one that began first ends there; the later one's view is whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Final, Never

from attrs import define, field, frozen

from qs.ingest.chunker import Chunk
from qs.ingest.opensearch_client import OpenSearchClient, Record
from qs.ingest.port import IndexFault
from qs.retrieval.function_words import is_korean
from qs.retrieval.opensearch_schema import (
    CHUNK,
    DOCUMENT,
    WRITER,
    definition,
    format_problem,
    index_name,
    meta,
    number_of,
)
from qs.retrieval.opensearch_wire import Json
from qs.retrieval.query import index_terms
from qs.retrieval.sqlite_search import HEADING_WEIGHT

_ID_CHARS: Final = 40
_COPIED_WITHIN: Final = "110s"


@frozen
class _Held:
    """A document's record in the index."""

    path: str
    digest: str
    chunks: Sequence[str]


@frozen
class _Put:
    """A document that is to stand at a path; one without a digest is to be gone from there."""

    root: str
    path: str
    digest: str
    chunks: Sequence[Chunk]

    @property
    def id(self) -> str:
        return _id(self.root, self.path)

    def record(self, digest: str, chunks: Sequence[str]) -> Record:
        """The document's record."""
        told = {"kind": DOCUMENT, "root": self.root, "path": self.path}
        return Record(self.id, {**told, "digest": digest, "chunks": list(chunks)})


@define
class OpenSearchWriter:
    """The index behind an alias, open for writing. Open it with `open_alias`."""

    client: OpenSearchClient
    alias: str
    _live: str | None
    _target: str | None = None
    _nori: bool = False
    _mark: Json | None = None
    _pending: list[_Put] = field(factory=list)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Collects a batch and writes it at the end; an exception leaves all of it unwritten."""
        self._pending = []
        yield
        if self._pending:
            self._commit(self._pending)
        self._pending = []

    def digests(self, root: str, paths: Sequence[str]) -> Mapping[str, str]:
        """Of these documents of a root, those that the index holds whole."""
        held = self._held([_id(root, path) for path in paths])
        return {document.path: document.digest for document in held.values() if document.digest}

    def paths(self, root: str, after: str, most: int) -> Sequence[str]:
        """What the index holds of a root, in its paths' order, from behind `after` on."""
        index = self._target or self._live
        if index is None:
            return []
        self.client.ask("POST", f"{index}/_refresh")
        wanted = [{"term": {"kind": DOCUMENT}}, {"term": {"root": root}}]
        answer = self.client.ask(
            "POST",
            f"{index}/_search",
            {
                "size": most,
                "_source": ["path"],
                "sort": [{"path": "asc"}],
                "query": {"bool": {"filter": wanted}},
                **({"search_after": [after]} if after else {}),
            },
        )
        _expect_whole(answer)
        hits = _list(_dict(answer.get("hits")).get("hits"))
        return [_str(_dict(_dict(hit).get("_source")).get("path")) for hit in hits]

    def put(self, root: str, path: str, digest: str, chunks: Sequence[Chunk]) -> None:
        """Write a document in the place of what the index holds at its path."""
        self._pending.append(_Put(root, path, digest, chunks))

    def remove(self, root: str, path: str) -> None:
        """Take a document and its chunks out; nothing happens where there is none."""
        self._pending.append(_Put(root, path, "", ()))

    def count_chunks(self) -> int:
        """How many chunks the index holds, of all roots."""
        index = self._target or self._live
        if index is None:
            return 0
        self.client.ask("POST", f"{index}/_refresh")
        answer = self.client.ask("POST", f"{index}/_count", {"query": {"term": {"kind": CHUNK}}})
        _expect_whole(answer)
        return _int(answer.get("count"))

    def publish(self) -> None:
        """Turn the alias to what was written; what is two ingests old goes."""
        if self._target is None:
            return
        self._fence()
        self.client.ask("POST", f"{self._target}/_refresh")
        moves = [{"add": {"index": self._target, "alias": self.alias}}]
        if self._live is not None:
            moves.insert(0, {"remove": {"index": self._live, "alias": self.alias}})
        self.client.ask("POST", "_aliases", {"actions": moves})
        for name in _numbered(self.client, self.alias):
            if name not in (self._live, self._target):
                self.client.find("DELETE", name)
        self._live, self._target, self._mark = self._target, None, None

    def _commit(self, batch: Sequence[_Put]) -> None:
        target = self._begun()
        self._fence()
        held = self._held([put.id for put in batch])
        ahead, chunks, after = [], [], []
        for put in batch:
            old = held[put.id].chunks if put.id in held else ()
            new = {_id(put.root, chunk.chunk_id): chunk for chunk in put.chunks}
            gone = [id for id in old if id not in new]
            ahead.append(put.record("", [*gone, *new]))
            chunks += [Record(id, None) for id in gone]
            chunks += [Record(id, self._chunk(put, chunk)) for id, chunk in new.items()]
            after.append(put.record(put.digest, list(new)) if put.digest else Record(put.id, None))
        for records in (ahead, chunks, after):
            self.client.bulk(target, records)

    def _chunk(self, put: _Put, chunk: Chunk) -> Json:
        heading, trail = chunk.trail[-1], "\n".join(chunk.trail[:-1])
        terms = index_terms(heading) * round(HEADING_WEIGHT)
        terms += index_terms(trail) + index_terms(chunk.content)
        told = {
            "kind": CHUNK,
            "root": put.root,
            "path": put.path,
            "chunk_id": chunk.chunk_id,
            "doc_id": chunk.doc_id,
            "title": chunk.title,
            "url": chunk.url,
            "content": chunk.content,
            "heading": " ".join(index_terms(heading)),
            "terms": " ".join(terms),
        }
        if self._nori and is_korean(chunk.content):
            told["korean"] = f"{heading}\n{chunk.content}"
        return told

    def _held(self, ids: Sequence[str]) -> Mapping[str, _Held]:
        """The documents' records, by their ids; those that the index does not hold are left out."""
        index = self._target or self._live
        if index is None or not ids:
            return {}
        fields = "_source_includes=path,digest,chunks"
        answer = self.client.ask("POST", f"{index}/_mget?{fields}", {"ids": list(ids)})
        held = {}
        for document in map(_dict, _list(answer.get("docs"))):
            if document.get("found") is True:
                told = _dict(document.get("_source"))
                chunks = [_str(chunk) for chunk in _list(told.get("chunks"))]
                found = _Held(_str(told.get("path")), _str(told.get("digest")), chunks)
                held[_str(document.get("_id"))] = found
        return held

    def _begun(self) -> str:
        """The index that is being built; with the first change it is begun, or gone on with."""
        if self._target is None:
            self._target = self._resumed() or self._copied() or self._created()
            told = _meta(self.client, self._target)
            self._nori = told.get("bsl_nori") is True
            self._take_over(self._target)
        return self._target

    def _resumed(self) -> str | None:
        """What an ingest that did not end has left, when it began with what is searched now."""
        left = None
        for name in _numbered(self.client, self.alias):
            if _number(self.alias, name) > _number(self.alias, self._live):
                told = _meta(self.client, name)
                if left is None and told == {**told, **meta(self._live or "", nori=_nori(told))}:
                    left = name
                else:
                    self.client.find("DELETE", name)
        return left

    def _copied(self) -> str | None:
        """A copy of what is searched. Only when it is whole does it say what it is a copy of."""
        if self._live is None:
            return None
        name = index_name(self.alias, _number(self.alias, self._live) + 1)
        told = _meta(self.client, self._live)
        blocked = {"index": {"blocks.write": True}}
        self.client.ask("PUT", f"{self._live}/_settings", blocked)
        free = {"settings": {"index": {"blocks.write": False}}}
        self.client.ask("POST", f"{self._live}/_clone/{name}", free)
        self._wait(name)
        copied = {"_meta": meta(self._live, nori=_nori(told))}
        self.client.ask("PUT", f"{name}/_mapping", copied)
        return name

    def _created(self) -> str:
        name = index_name(self.alias, 1)
        told = self.client.ask("GET", "_nodes/plugins?filter_path=nodes.*.plugins.name")
        nodes = [_dict(node) for node in _dict(told.get("nodes", {})).values()]
        with_nori = [
            any(_dict(plugin).get("name") == "analysis-nori" for plugin in node.get("plugins", []))  # type: ignore[attr-defined]  # proved by `_dict`, or fails as not understood
            for node in nodes
        ]
        self.client.ask("PUT", name, definition(nori=bool(nodes) and all(with_nori)))
        self._wait(name)
        return name

    def _wait(self, name: str) -> None:
        """Until every record of the index can be had."""
        asked = f"_cluster/health/{name}?wait_for_status=yellow&timeout={_COPIED_WITHIN}"
        if _dict(self.client.ask("GET", asked)).get("timed_out") is not False:
            raise IndexFault(f"index {name}: the server does not get it ready")

    def _take_over(self, target: str) -> None:
        self._mark = self.client.ask("PUT", f"{target}/_doc/{WRITER}", {"kind": WRITER})

    def _fence(self) -> None:
        """Our mark is there and is put anew, or somebody else's is."""
        assert self._mark is not None, "the index is begun first"
        number, term = _int(self._mark.get("_seq_no")), _int(self._mark.get("_primary_term"))
        place = f"{self._target}/_doc/{WRITER}?if_seq_no={number}&if_primary_term={term}"
        mark = self.client.conflicts("PUT", place, {"kind": WRITER})
        if mark is None:
            raise IndexFault(f"index {self.alias}: another ingest is writing it")
        self._mark = mark


def open_alias(client: OpenSearchClient, alias: str) -> OpenSearchWriter:
    """The index behind the alias, or a first one when there is none; raises `IndexFault`."""
    told = client.find("GET", f"_alias/{alias}")
    if told is None:
        if client.find("GET", alias) is not None:
            raise IndexFault(f"{alias} is an index, not an alias: name another with QS_OS_ALIAS")
        return OpenSearchWriter(client, alias, None)
    live = next(iter(told)) if len(told) == 1 else ""
    if number_of(alias, live) is None:
        raise IndexFault(f"the alias {alias} is not of this program: {', '.join(told)}")
    if problem := format_problem(_meta(client, live)):
        raise IndexFault(f"index {live}: {problem}")
    return OpenSearchWriter(client, alias, live)


def _numbered(client: OpenSearchClient, alias: str) -> Sequence[str]:
    """Our indices, the oldest first."""
    told = client.find("GET", f"{alias}-*/_alias") or {}
    return sorted(name for name in told if number_of(alias, name) is not None)


def _number(alias: str, name: str | None) -> int:
    return (number_of(alias, name) or 0) if name is not None else 0


def _meta(client: OpenSearchClient, index: str) -> Json:
    told = client.ask("GET", f"{index}/_mapping").get(index)
    return _dict(_dict(_dict(told).get("mappings")).get("_meta", {}))


def _nori(told: Json) -> bool:
    return told.get("bsl_nori") is True


def _id(root: str, name: str) -> str:
    return sha256(f"{root}\0{name}".encode()).hexdigest()[:_ID_CHARS]


def _expect_whole(answer: Json) -> None:
    if answer.get("timed_out", False) is not False or _dict(answer.get("_shards")).get("failed"):
        raise IndexFault("the server's answer is partial")


def _dict(value: object) -> Json:
    return value if isinstance(value, dict) else _raise("an object")


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else _raise("an array")


def _str(value: object) -> str:
    return value if isinstance(value, str) else _raise("a string")


def _int(value: object) -> int:
    return value if type(value) is int else _raise("a whole number")


def _raise(wanted: str) -> Never:
    raise IndexFault(f"the server's answer is not understood: {wanted} is missing in it")
