"""The index as OpenSearch holds it: what the ingest writes and the search reads.

One index holds two kinds of records. A chunk is what answers cite, with its terms already cut by
`qs.retrieval.query`, as in the SQLite file: one cutting serves every script on both engines, and
makes the pairs of characters that the built-in `cjk` analyzer would make, where that leaves Thai
or a name with underscores whole. So the analyzer here only splits at blanks, folds accents and
stems. Where the `nori` plugin is there, Korean text is analysed by it as well, in a field of its
own, which stays empty elsewhere. A document's record holds the digest it was read at and the ids of
its chunks; while those are being written, it is of a kind of its own.

The alias is what is searched; behind it is one of the indices ALIAS-000001, ALIAS-000002, … The
format's number is in the kinds of the records, so that a search finds nothing in an index of
another format, and says so.
"""

import re
from collections.abc import Mapping
from typing import Final

FORMAT_VERSION: Final = 1
CHUNK: Final = f"chunk.{FORMAT_VERSION}"
DOCUMENT: Final = f"document.{FORMAT_VERSION}"
WRITING: Final = f"writing.{FORMAT_VERSION}"
WRITER: Final = "writer"  # the id of the record by which two ingests at once are told apart

INGEST_HINT: Final = "fill it with: make ingest DIR=… (python -m qs.ingest DIR)"

_NUMBER_DIGITS: Final = 6
_UNSEARCHED: Final = {"type": "keyword", "index": False, "doc_values": False}
_TERMS: Final = {"type": "text", "analyzer": "terms", "norms": True}


def definition(*, nori: bool) -> dict[str, object]:
    """The body that makes an index; `nori`: whether the server has that plugin."""
    analyzers: dict[str, object] = {
        "terms": {
            "type": "custom",
            "tokenizer": "whitespace",
            "filter": ["asciifolding", "porter_stem"],
        }
    }
    if nori:
        analyzers["korean"] = {"type": "nori", "decompound_mode": "mixed"}
    return {
        "settings": {
            "index": {
                "number_of_shards": 1,
                "auto_expand_replicas": "0-1",
                "refresh_interval": "-1",
                "max_result_window": 10_000,
            },
            "analysis": {"analyzer": analyzers},
        },
        "mappings": {
            "dynamic": "strict",
            "_meta": meta("", nori=nori),
            "properties": {
                "kind": {"type": "keyword"},
                "root": {"type": "keyword"},
                "path": {"type": "keyword"},
                "digest": _UNSEARCHED,
                "chunks": _UNSEARCHED,
                "chunk_id": _UNSEARCHED,
                "doc_id": _UNSEARCHED,
                "title": _UNSEARCHED,
                "url": _UNSEARCHED,
                "content": _UNSEARCHED,
                "terms": _TERMS,
                "heading": _TERMS,
                "korean": {"type": "text", "analyzer": "korean" if nori else "terms"},
            },
        },
    }


def meta(based_on: str, *, nori: bool) -> dict[str, object]:
    """What an index says of itself: its format, whether its Korean is analysed by nori, and the
    name of the index that it began as a copy of.
    """
    return {"bsl_format": FORMAT_VERSION, "bsl_nori": nori, "bsl_based_on": based_on}


def format_problem(told: Mapping[str, object]) -> str | None:
    """Why an index that says this of itself cannot be used, or None when it can."""
    version = told.get("bsl_format")
    if version is None:
        return "not an index of this program"
    if version != FORMAT_VERSION:
        return (
            f"index format {version}, this program reads {FORMAT_VERSION}: delete it, or name"
            " another alias with QS_OS_ALIAS"
        )
    return None


def index_name(alias: str, number: int) -> str:
    """The name of the index with this number."""
    return f"{alias}-{number:0{_NUMBER_DIGITS}d}"


def number_of(alias: str, name: str) -> int | None:
    """The number of an index by its name; None for an index that is none of ours."""
    found = re.fullmatch(rf"{re.escape(alias)}-([0-9]{{{_NUMBER_DIGITS},9}})", name)
    return int(found[1]) if found else None
