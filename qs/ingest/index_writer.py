"""The index file as an `IndexWriter`: documents put, replaced and removed in transactions.

A search running meanwhile sees the file as it was before a transaction or after it. A writer that
is killed leaves the last whole transaction. A file that is not an index of this format is refused,
never overwritten.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from attrs import frozen

from qs.ingest.chunker import Chunk
from qs.ingest.port import IndexFault
from qs.retrieval.query import index_terms
from qs.retrieval.sqlite_schema import SCHEMA, format_problem, primary_code

BUSY_TIMEOUT_S: Final = 10.0

_SAID: Final[Mapping[str, str]] = {
    "SQLITE_FULL": "the disk is full",
    "SQLITE_READONLY": "it is not writable",
    "SQLITE_CANTOPEN": "it cannot be opened for writing",
    "SQLITE_NOTADB": "it is not an index of this program",
    "SQLITE_CORRUPT": "it is damaged: delete it and ingest again",
    "SQLITE_BUSY": "another ingest is writing it",
}


@frozen
class SqliteWriter:
    """An index file open for writing; a context manager that closes it.

    Whatever SQLite complains of inside the context leaves it as an `IndexFault`.
    """

    connection: sqlite3.Connection
    path: Path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.connection.close()
        if isinstance(error, sqlite3.Error):
            raise _rescue(error, self.path) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing of it."""
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            yield
            self.connection.execute("COMMIT")
        finally:
            if self.connection.in_transaction:
                self.connection.rollback()

    def digests(self, root: str, paths: Sequence[str]) -> Mapping[str, str]:
        """Of these documents of a root, those that the file holds, and their digests."""
        places = ", ".join("?" * len(paths))
        return dict(
            self.connection.execute(
                f"SELECT path, digest FROM documents WHERE root = ? AND path IN ({places})",  # noqa: S608 - only placeholders are put in
                (root, *paths),
            )
        )

    def paths(self, root: str, after: str, most: int) -> Sequence[str]:
        """What the file holds of a root, in its paths' order, from behind `after` on."""
        rows = self.connection.execute(
            "SELECT path FROM documents WHERE root = ? AND path > ? ORDER BY path LIMIT ?",
            (root, after, most),
        )
        return [path for (path,) in rows]

    def put(self, root: str, path: str, digest: str, chunks: Sequence[Chunk]) -> None:
        """Write a document in the place of what the index holds at its path."""
        self.remove(root, path)
        document = self.connection.execute(
            "INSERT INTO documents (root, path, digest) VALUES (?, ?, ?)", (root, path, digest)
        ).lastrowid
        for chunk in chunks:
            row = self.connection.execute(
                "INSERT INTO chunks (document, chunk_id, doc_id, title, url, content)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (document, chunk.chunk_id, chunk.doc_id, chunk.title, chunk.url, chunk.content),
            ).lastrowid
            self.connection.execute(
                "INSERT INTO chunks_fts (rowid, heading, trail, content) VALUES (?, ?, ?, ?)",
                (row, *(" ".join(index_terms(text)) for text in _searched(chunk))),
            )

    def remove(self, root: str, path: str) -> None:
        """Take a document and its chunks out; nothing happens where there is none."""
        found = self.connection.execute(
            "SELECT document FROM documents WHERE root = ? AND path = ?", (root, path)
        ).fetchone()
        if found is None:
            return
        self.connection.execute(
            "DELETE FROM chunks_fts WHERE rowid IN (SELECT chunk FROM chunks WHERE document = ?)",
            found,
        )
        self.connection.execute("DELETE FROM chunks WHERE document = ?", found)
        self.connection.execute("DELETE FROM documents WHERE document = ?", found)

    def count_chunks(self) -> int:
        """How many chunks the index holds, of all roots."""
        (chunks,) = self.connection.execute("SELECT count(*) FROM chunks").fetchone()
        return int(chunks)

    def publish(self) -> None:
        """Nothing is left to do: every transaction is searched from its end on."""


def _searched(chunk: Chunk) -> tuple[str, str, str]:
    """What the three columns of the full-text table hold: heading, trail, content."""
    return chunk.trail[-1], "\n".join(chunk.trail[:-1]), chunk.content


def open_index(path: Path) -> SqliteWriter:
    """The index at `path`, made when there is none; raises `IndexFault`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _begin_file(path)
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    except OSError as error:
        raise IndexFault(f"index {path}: {(error.strerror or str(error)).lower()}") from error
    except sqlite3.Error as error:
        raise _rescue(error, path) from error
    try:
        _prepare(connection, path)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise _rescue(error, path) from error
        raise
    return SqliteWriter(connection, path)


def _begin_file(path: Path) -> None:
    """An empty file, without what SQLite kept beside one that was deleted.

    A program that has the deleted one open still would share that with ours, and spoil both. The
    folder's lock sees to it that nothing is taken from another ingest that begins at this moment.
    """
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        if not path.exists():
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            path.touch()
    finally:
        os.close(folder)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Check the file's format, or give a new file its own; two writers may come at once.

    A file of somebody else's is not even put into another mode.
    """
    if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() != (0,):
        _check_format(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("BEGIN IMMEDIATE")
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not tables:
        for statement in SCHEMA.split(";\n"):
            connection.execute(statement)
    connection.execute("COMMIT")
    _check_format(connection, path)


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (user_version,) = connection.execute("PRAGMA user_version").fetchone()
    if problem := format_problem(application_id, user_version):
        raise IndexFault(f"index {path}: {problem}, or name another with --index")


def _rescue(error: sqlite3.Error, path: Path) -> IndexFault:
    return IndexFault(f"index {path}: {_SAID.get(primary_code(error), str(error))}")
