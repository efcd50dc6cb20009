"""The default retriever: one SQLite file, searched off the event loop and never stale.

SQLite blocks, so every search runs through an injected `run_blocking`: by default a worker thread,
which a cancelled search leaves behind and stops with `Connection.interrupt()`; in simulation the
same work runs inline. No thread ever waits for another's connection: each running search has one
of its own, and idle ones are kept for the next.

The file may be re-filled or replaced at any time. A search reads one snapshot (the file is in WAL
mode), and looks first whether the path still leads to the file that its connection has open: a
deleted index must answer RAG_INDEX_NOT_READY, not its ghost.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

import trio
from attrs import define, field

from contracts.reasons import ReasonCode
from qs.blocking import RunBlocking, in_worker_threads
from qs.retrieval.port import Hit, IndexState, RetrievalFault
from qs.retrieval.query import query_terms
from qs.retrieval.sqlite_schema import REINGEST_HINT, format_problem, primary_code
from qs.retrieval.sqlite_search import Reader, find_hits

CONNECTIONS_MAX: Final = 4
BUSY_TIMEOUT_S: Final = 1.0
STEPS_BETWEEN_LOOKS: Final = 5_000  # of SQLite's virtual machine: about a tenth of a millisecond

_CODES: Final[Mapping[str, tuple[ReasonCode, str]]] = {
    "SQLITE_CANTOPEN": (ReasonCode.RAG_INDEX_NOT_READY, "cannot be opened"),
    "SQLITE_NOTADB": (ReasonCode.RAG_INDEX_NOT_READY, "not an index of this program"),
    "SQLITE_CORRUPT": (ReasonCode.RAG_BAD_RESPONSE, "damaged: delete it and ingest again"),
}


@define
class _Search:
    """One search that may be stopped from another thread, whatever it is doing.

    The lock makes sure that only this search is interrupted: once it has given its connection
    back, another may be using it.
    """

    connection: sqlite3.Connection | None = None
    stopped: bool = False
    lock: Lock = field(factory=Lock)

    def use(self, connection: sqlite3.Connection) -> None:
        """From here on `stop` ends what the connection does, or refuses to let it begin."""
        with self.lock:
            if self.stopped:
                raise sqlite3.OperationalError("interrupted")
            self.connection = connection
            # An interrupt between two statements is lost on SQLite; this makes the next one look.
            connection.set_progress_handler(lambda: self.stopped, STEPS_BETWEEN_LOOKS)

    def leave(self) -> None:
        """The connection is somebody else's now."""
        with self.lock:
            if self.connection is not None:
                self.connection.set_progress_handler(None, STEPS_BETWEEN_LOOKS)
            self.connection = None

    def stop(self) -> None:
        """End the search wherever it is; nothing happens when it has ended."""
        with self.lock:
            self.stopped = True
            if self.connection is not None:
                self.connection.interrupt()


@define
class SqliteIndex:
    """The default `Retriever`. Close it with `aclose`; it opens nothing before the first use."""

    path: Path
    run_blocking: RunBlocking = field(
        factory=lambda: in_worker_threads(trio.CapacityLimiter(CONNECTIONS_MAX))
    )
    busy_timeout_s: float = BUSY_TIMEOUT_S
    _idle: list[Reader] = field(factory=list, init=False)
    _closed: bool = field(default=False, init=False)
    _lock: Lock = field(factory=Lock, init=False)

    async def search(self, query: str, top_k: int) -> Sequence[Hit]:
        """At most `top_k` hits, best first; a cancelled search is stopped inside SQLite."""
        wanted = query_terms(query)
        if not wanted:
            return ()
        search = _Search()
        try:
            return await self.run_blocking(lambda: self._search(search, wanted, top_k))
        finally:
            search.stop()

    async def check(self) -> IndexState:
        """How many chunks can be searched, or why none can."""
        search = _Search()
        try:
            chunks = await self.run_blocking(lambda: self._count(search))
        except RetrievalFault as fault:
            return IndexState(ok=False, detail=fault.detail)
        finally:
            search.stop()
        return IndexState(ok=True, detail=f"{chunks} chunks")

    async def aclose(self) -> None:
        """Close the idle connections; a search still running closes its own when it ends."""
        self._closed = True
        self._close_idle()

    def _close_idle(self) -> None:
        """Also when the file is gone: an open connection would stand in the way of a new one."""
        with self._lock:
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.connection.close()

    def _search(self, search: _Search, wanted: Sequence[str], top_k: int) -> Sequence[Hit]:
        with self._reader(search) as reader:
            return find_hits(reader, wanted, top_k)

    def _count(self, search: _Search) -> int:
        with self._reader(search) as reader:
            return reader.chunks

    @contextmanager
    def _reader(self, search: _Search) -> Iterator[Reader]:
        """A connection of one's own on one snapshot of the file; foreign errors end here."""
        reader: Reader | None = None
        try:
            reader = self._take()
            search.use(reader.connection)
            reader.connection.execute("BEGIN")
            reader.refresh()
            if not reader.chunks:
                raise self._fault(ReasonCode.RAG_INDEX_NOT_READY, f"is empty: {REINGEST_HINT}")
            yield reader
        except sqlite3.Error as error:
            raise self._rescue(error) from error
        finally:
            search.leave()
            if reader is not None:
                self._give_back(reader)

    def _take(self) -> Reader:
        """An idle connection to the file that the path leads to now, or a new one."""
        try:
            status = self.path.stat()
        except OSError as error:
            self._close_idle()
            detail = f"{os.strerror(error.errno or 0)}: {REINGEST_HINT}"
            raise self._fault(ReasonCode.RAG_INDEX_NOT_READY, detail) from error
        file = (status.st_dev, status.st_ino)
        with self._lock:
            if self._closed:
                raise self._fault(ReasonCode.RAG_UNAVAILABLE, "this retriever is closed")
            gone = [reader for reader in self._idle if reader.file != file]
            self._idle = [reader for reader in self._idle if reader.file == file]
            kept = self._idle.pop() if self._idle else None
        for reader in gone:
            reader.connection.close()
        return kept or Reader(self._connect(), file)

    def _connect(self) -> sqlite3.Connection:
        # `mode=rw` never makes the file. Threads take turns with a connection, never share it.
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=self.busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA query_only = ON")
            header = [
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("application_id", "user_version")
            ]
            if problem := format_problem(*header):
                detail = f"{problem}, then {REINGEST_HINT}"
                raise self._fault(ReasonCode.RAG_INDEX_NOT_READY, detail)
        except BaseException:
            connection.close()
            raise
        return connection

    def _give_back(self, reader: Reader) -> None:
        if reader.connection.in_transaction:
            reader.connection.rollback()
        with self._lock:
            if not self._closed:
                self._idle.append(reader)
                return
        reader.connection.close()

    def _rescue(self, error: sqlite3.Error) -> RetrievalFault:
        """The one place where SQLite's errors become reason codes; the unknown is UNAVAILABLE."""
        code, detail = _CODES.get(primary_code(error), (ReasonCode.RAG_UNAVAILABLE, str(error)))
        return self._fault(code, detail)

    def _fault(self, code: ReasonCode, detail: str) -> RetrievalFault:
        return RetrievalFault(code, f"index {self.path}: {detail}")
