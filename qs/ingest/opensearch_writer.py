"""An OpenSearch server's index as an `IndexWriter`: built beside what is searched, then published.

The first change of an ingest begins the next index, as a copy of the one that the alias stands for
(the server clones it: its files are linked, not written anew). `publish` turns the alias to it in
one step; until then nothing that is searched has changed. The index before stays, for the searches
that are under way, until the next ingest.

An ingest that was killed leaves the index it was building, and the next one goes on with it: from
the beginning it asks that index, not the one that is searched, what it holds. Within a batch the
order of writing makes that safe: first each document's record, of a kind of its own, with no digest
and the ids of its old and its new chunks; then the chunks; then the record as it is to be. What was
cut off is therefore known by its record, and is read anew. What was cut off and is not written
anew, as it is of another root or cannot be read now, is put back before the index is published.

Two ingests at once: each puts its mark into the index it writes, and looks before every batch
whether it is still there. The one that began first ends there; the later one's view is whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from secrets import token_hex
from typing import Final

from attrs import define, field, frozen

from qs.ingest.chunker import Chunk
from qs.ingest.opensearch_answers import (
    a_dict,
    a_list,
    a_string,
    an_int,
    expect_whole,
    records_of,
    refresh,
    strings,
)
from qs.ingest.opensearch_client import OpenSearchClient, Record
from qs.ingest.port import IndexFault
from qs.retrieval.function_words import is_korean
from qs.retrieval.opensearch_schema import (
    CHUNK,
    DOCUMENT,
    WRITER,
    WRITING,
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
_RECORDS_AT_ONCE: Final = 500


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

    def record(self, kind: str, digest: str, chunks: Sequence[str]) -> Record:
        """The document's record."""
        told = {"kind": kind, "root": self.root, "path": self.path}
        return Record(self.id, {**told, "digest": digest, "chunks": list(chunks)})


@define
class OpenSearchWriter:
    """The index behind an alias, open for writing. Open it with `open_alias`."""

    client: OpenSearchClient
    alias: str
    _live: str | None
    _target: str | None  # what is being built: by us, where there is our mark in it
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
        refresh(self.client, index)
        wanted = [{"terms": {"kind": [DOCUMENT, WRITING]}}, {"term": {"root": root}}]
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
        expect_whole(answer)
        hits = a_list(a_dict(answer.get("hits")).get("hits"))
        return [a_string(a_dict(a_dict(hit).get("_source")).get("path")) for hit in hits]

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
        refresh(self.client, index)
        answer = self.client.ask("POST", f"{index}/_count", {"query": {"term": {"kind": CHUNK}}})
        expect_whole(answer)
        return an_int(answer.get("count"))

    def publish(self) -> None:
        """Turn the alias to what was written; what is two ingests old goes."""
        if self._target is None:
            return
        target = self._begun()
        self._fence()
        self._put_back(target)
        self._turn(target)
        for name in _numbered(self.client, self.alias):
            if name not in (self._live, target):
                self.client.find("DELETE", name)
        self._live, self._target, self._mark = target, None, None

    def _turn(self, target: str) -> None:
        """Make the alias stand for the index, in the place of the one that we began with."""
        refresh(self.client, target)
        moves = [{"add": {"index": target, "alias": self.alias}}]
        if self._live is not None:
            moves.insert(0, {"remove": {"index": self._live, "alias": self.alias}})
        told = self.client.find("POST", "_aliases", {"actions": moves})
        # One that was sent twice finds its own work done.
        if told is None or told.get("acknowledged") is not True:
            self._expect_searched(target)

    def _expect_searched(self, index: str | None) -> None:
        stands_for = self.client.find("GET", f"_alias/{self.alias}") or {}
        if list(stands_for) != ([index] if index is not None else []):
            raise self._another()

    def _put_back(self, target: str) -> None:
        """Documents whose writing was cut off are again as they are searched."""
        while cut_off := self._cut_off(target):
            for id, chunks in cut_off.items():
                searched = dict(records_of(self.client, self._live, [id]))
                stays = [
                    a_string(one) for told in searched.values() for one in a_list(told["chunks"])
                ]
                gone = [Record(one, None) for one in chunks if one not in stays]
                self.client.bulk(target, gone)
                for at in range(0, len(stays), _RECORDS_AT_ONCE):
                    held = records_of(self.client, self._live, stays[at : at + _RECORDS_AT_ONCE])
                    self.client.bulk(target, [Record(one, told) for one, told in held])
                self.client.bulk(target, [Record(id, searched.get(id))])

    def _cut_off(self, target: str) -> Mapping[str, Sequence[str]]:
        """Some of the documents whose writing was cut off, by their ids: their chunks' ids."""
        refresh(self.client, target)
        asked = {"size": 100, "_source": ["chunks"], "query": {"term": {"kind": WRITING}}}
        answer = self.client.ask("POST", f"{target}/_search", asked)
        expect_whole(answer)
        hits = map(a_dict, a_list(a_dict(answer.get("hits")).get("hits")))
        return {
            a_string(hit.get("_id")): strings(a_dict(hit.get("_source")).get("chunks"))
            for hit in hits
        }

    def _commit(self, batch: Sequence[_Put]) -> None:
        target = self._begun()
        self._fence()
        held = self._held([put.id for put in batch])
        ahead, chunks, after = [], [], []
        for put in batch:
            old = held[put.id].chunks if put.id in held else ()
            new = {_id(put.root, chunk.chunk_id): chunk for chunk in put.chunks}
            gone = [id for id in old if id not in new]
            ahead.append(put.record(WRITING, "", [*gone, *new]))
            chunks += [Record(id, None) for id in gone]
            chunks += [Record(id, self._chunk(put, chunk)) for id, chunk in new.items()]
            after.append(
                put.record(DOCUMENT, put.digest, list(new)) if put.digest else Record(put.id, None)
            )
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
        fields = "?_source_includes=path,digest,chunks"
        return {
            id: _Held(
                a_string(told.get("path")),
                a_string(told.get("digest")),
                strings(told.get("chunks")),
            )
            for id, told in records_of(self.client, self._target or self._live, ids, fields)
        }

    def _begun(self) -> str:
        """The index that is being built, which is ours from the first change on."""
        if self._target is None:
            self._target = self._made()
        if self._mark is None:
            self._mark = self._marked("")
            told = _meta(self.client, self._target)
            if problem := format_problem(told):
                raise IndexFault(f"index {self._target}: {problem}")
            self._nori = _nori(told)
        return self._target

    def _made(self) -> str:
        """A new index. What others are building is not what we have looked at: it goes."""
        self._expect_searched(self._live)
        others = _numbered(self.client, self.alias)
        number = 1 + max((_number(self.alias, name) for name in others), default=0)
        name = index_name(self.alias, number)
        if self._live is None:
            self._create(name)
        else:
            self._copy(self._live, name)
        for other in others:
            if _number(self.alias, other) > _number(self.alias, self._live):
                self.client.find("DELETE", other)
        return name

    def _copy(self, live: str, name: str) -> None:
        """Copy what is searched. Only when it is whole does it say what it is a copy of."""
        told = _meta(self.client, live)
        blocked = {"index": {"blocks.write": True}}
        self.client.ask("PUT", f"{live}/_settings", blocked)
        free = {"settings": {"index": {"blocks.write": False}}}
        self.client.make("POST", f"{live}/_clone/{name}", free)
        self._wait(name)
        copied = {"_meta": meta(live, nori=_nori(told))}
        self.client.ask("PUT", f"{name}/_mapping", copied)

    def _create(self, name: str) -> None:
        told = self.client.ask(
            "GET", "_nodes/plugins?filter_path=nodes.*.name,nodes.*.plugins.name"
        )
        nodes = [a_dict(node) for node in a_dict(told.get("nodes", {})).values()]
        with_nori = [
            any(
                a_dict(one).get("name") == "analysis-nori"
                for one in a_list(node.get("plugins", []))
            )
            for node in nodes
        ]
        self.client.make("PUT", name, definition(nori=bool(nodes) and all(with_nori)))
        self._wait(name)

    def _wait(self, name: str) -> None:
        """Until every record of the index can be had."""
        asked = f"_cluster/health/{name}?wait_for_status=yellow&timeout={_COPIED_WITHIN}"
        if a_dict(self.client.ask("GET", asked)).get("timed_out") is not False:
            raise IndexFault(f"index {name}: the server does not get it ready")

    def _fence(self) -> None:
        """Our mark is there and is put anew, or somebody else's is."""
        assert self._mark is not None, "the index is begun first"
        number, term = an_int(self._mark.get("_seq_no")), an_int(self._mark.get("_primary_term"))
        self._mark = self._marked(f"?if_seq_no={number}&if_primary_term={term}")

    def _marked(self, only: str) -> Json:
        """Put our mark. One that was sent twice finds itself there."""
        sign = token_hex()
        place = f"{self._target}/_doc/{WRITER}"
        mark = self.client.conflicts("PUT", place + only, {"kind": WRITER, "digest": sign})
        if mark is None:
            mark = self.client.find("GET", place) or {}
            if mark.get("found") is not True or a_dict(mark.get("_source")).get("digest") != sign:
                raise self._another()
        return mark

    def _another(self) -> IndexFault:
        return IndexFault(f"index {self.alias}: another ingest is writing it")


def open_alias(client: OpenSearchClient, alias: str) -> OpenSearchWriter:
    """The index behind the alias, or a first one when there is none; raises `IndexFault`."""
    told = client.find("GET", f"_alias/{alias}")
    if told is None:
        if client.find("GET", alias) is not None:
            raise IndexFault(f"{alias} is an index, not an alias: name another with QS_OS_ALIAS")
        return OpenSearchWriter(client, alias, None, _left(client, alias, None))
    live = next(iter(told)) if len(told) == 1 else ""
    if number_of(alias, live) is None:
        raise IndexFault(f"the alias {alias} is not of this program: {', '.join(told)}")
    if problem := format_problem(_meta(client, live)):
        raise IndexFault(f"index {live}: {problem}")
    return OpenSearchWriter(client, alias, live, _left(client, alias, live))


def _left(client: OpenSearchClient, alias: str, live: str | None) -> str | None:
    """What an ingest that did not end has left, when it began with what is searched now."""
    for name in _numbered(client, alias):
        if _number(alias, name) > _number(alias, live):
            told = _meta(client, name)
            if told == {**told, **meta(live or "", nori=_nori(told))}:
                return name
    return None


def _numbered(client: OpenSearchClient, alias: str) -> Sequence[str]:
    """Our indices, the oldest first."""
    told = client.find("GET", f"{alias}-*/_alias") or {}
    ours = [name for name in told if number_of(alias, name) is not None]
    return sorted(ours, key=lambda name: _number(alias, name))


def _number(alias: str, name: str | None) -> int:
    return (number_of(alias, name) or 0) if name is not None else 0


def _meta(client: OpenSearchClient, index: str) -> Json:
    told = client.ask("GET", f"{index}/_mapping").get(index)
    return a_dict(a_dict(a_dict(told).get("mappings")).get("_meta", {}))


def _nori(told: Json) -> bool:
    return told.get("bsl_nori") is True


def _id(root: str, name: str) -> str:
    return sha256(f"{root}\0{name}".encode()).hexdigest()[:_ID_CHARS]
