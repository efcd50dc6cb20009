"""The index file's format: what the ingest writes and the search reads.

Two tables and one full-text table, tied by row id. `documents` remembers which root and path a
document came from and the digest it was read at; `chunks` is what answers cite; `chunks_fts` holds
the chunks' terms (own heading, headings above it, text), already cut by `qs.retrieval.query`, so
SQLite's own tokenizer only has to split at blanks and stem.

The format's version is in the file's header. It counts up whenever an old file would answer
wrongly, which a change to the term cutting does too: there is no migration, for the documents are
still where they were, and reading them again takes seconds.
"""

import sqlite3
from typing import Final

APPLICATION_ID: Final = 0x51534958  # "QSIX": tells an index from any other SQLite file
FORMAT_VERSION: Final = 1

REINGEST_HINT: Final = "fill it with: make ingest DIR=… (python -m qs.ingest DIR --index PATH)"

SCHEMA: Final = f"""
CREATE TABLE documents (
    document INTEGER PRIMARY KEY,
    root TEXT NOT NULL,
    path TEXT NOT NULL,
    digest TEXT NOT NULL,
    UNIQUE (root, path)
);
CREATE TABLE chunks (
    chunk INTEGER PRIMARY KEY,
    document INTEGER NOT NULL REFERENCES documents (document),
    chunk_id TEXT NOT NULL,
    doc_id TEXT NOT NULL,
    title TEXT,
    url TEXT,
    content TEXT NOT NULL
);
CREATE INDEX chunks_of_document ON chunks (document);
CREATE VIRTUAL TABLE chunks_fts USING fts5 (
    heading, trail, content,
    tokenize = "porter unicode61 remove_diacritics 2 categories 'L* N* Co M*' tokenchars '_'"
);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT_VERSION};
"""


def format_problem(application_id: int, user_version: int) -> str | None:
    """Why a file with this header cannot be used as an index, or None when it can."""
    if application_id != APPLICATION_ID:
        return "not an index of this program"
    if user_version != FORMAT_VERSION:
        return f"index format {user_version}, this program reads {FORMAT_VERSION}: delete it"
    return None


def primary_code(error: sqlite3.Error) -> str:
    """SQLite's name for the kind of error, SQLITE_CORRUPT for SQLITE_CORRUPT_VTAB; or nothing."""
    name: str = getattr(error, "sqlite_errorname", "")
    return "_".join(name.split("_")[:2])
