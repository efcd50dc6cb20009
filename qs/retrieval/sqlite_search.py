"""One search in an open index: FTS5's BM25 proposes, headings decide, coverage scores.

All of it is plain reads on one connection inside one snapshot. It blocks; whoever calls it sees to
the thread, the transaction and the errors (`qs.retrieval.sqlite_index`).
"""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Final

from attrs import define, field

from qs.retrieval.port import Hit
from qs.retrieval.query import any_of, quoted
from qs.retrieval.relevance import CANDIDATES_MIN, Candidate, best, tells, weight

# A word in the chunk's own heading says more about what it answers than one in its text. More than
# double, or a weight on the headings above it too, cost recall in every language that was measured.
HEADING_WEIGHT: Final = 2.0

# Terms that are looked for at all: the rarest tell the most, and each one costs a walk.
MATCHED_TERMS_MAX: Final = 48

# How many chunks a search walks to rank them, over all its terms, if one term alone is not more.
# It bounds the search in a large index at some 45 ms, a few microseconds for each. The rarest
# terms are walked first, and what stands behind them counts still, by heading and coverage.
WALK_MAX: Final = 4_000

# A term in no more chunks than these is walked whole to see which candidates hold it, anywhere or
# in their heading; of a commoner one each candidate is looked up. A look takes 30 microseconds, a
# step of the walk a tenth of one, and in the headings a fortieth.
WALKED_WHOLE_MAX: Final = 12_000
WALKED_HEADINGS_MAX: Final = 48_000

KNOWN_TERMS_MAX: Final = 20_000

_CANDIDATES: Final = f"""
    SELECT chunk, -rank, chunk_id, doc_id, title, url, chunks.content
    FROM chunks_fts JOIN chunks ON chunk = chunks_fts.rowid
    WHERE chunks_fts MATCH ? AND rank MATCH 'bm25({HEADING_WEIGHT}, 1.0, 1.0)'
    ORDER BY rank LIMIT ?
"""  # noqa: S608 - the one value put in is a constant above


@define
class Reader:
    """One open connection, the file it has open, and what it learned of the terms in it."""

    connection: sqlite3.Connection
    file: tuple[int, int]
    chunks: int = 0
    _seen_version: int = -1
    _holding: dict[str, int] = field(factory=dict)

    def refresh(self) -> None:
        """Forget what was counted when another connection has committed since."""
        (version,) = self.connection.execute("PRAGMA data_version").fetchone()
        if version == self._seen_version and len(self._holding) < KNOWN_TERMS_MAX:
            return
        self._holding.clear()
        (self.chunks,) = self.connection.execute("SELECT count(*) FROM chunks").fetchone()
        self._seen_version = version

    def count(self, term: str) -> int:
        """How many chunks hold the term."""
        if term not in self._holding:
            (self._holding[term],) = self.connection.execute(
                "SELECT count(*) FROM chunks_fts WHERE chunks_fts MATCH ?", (quoted(term),)
            ).fetchone()
        return self._holding[term]


def find_hits(reader: Reader, wanted: Sequence[str], top_k: int) -> Sequence[Hit]:
    """The best chunks, each with the share of the question that it covers."""
    wanted = [term for term in wanted if tells(reader.count(term), reader.chunks)]
    held = sorted((term for term in wanted if reader.count(term)), key=reader.count)
    del held[MATCHED_TERMS_MAX:]
    if not held:
        return ()
    weights = {term: weight(reader.count(term), reader.chunks) for term in wanted}
    rows = reader.connection.execute(
        _CANDIDATES, (any_of(_telling(reader, held)), max(CANDIDATES_MIN, 2 * top_k))
    ).fetchall()
    chunks = [row[0] for row in rows]
    covered = holders(reader, held, chunks, "", WALKED_WHOLE_MAX)
    headed = holders(reader, held, chunks, "heading: ", WALKED_HEADINGS_MAX)
    candidates = (
        Candidate(
            Hit(chunk_id, doc_id, title, url, content, 0.0), bm25, covered[chunk], headed[chunk]
        )
        for chunk, bm25, chunk_id, doc_id, title, url, content in rows
    )
    return best(candidates, wanted, weights, top_k)


def _telling(reader: Reader, held: Sequence[str]) -> Sequence[str]:
    """The terms, rarest first, that are worth a walk through all the chunks that hold them.

    BM25 gives a term of more than half of the chunks nothing. In a large index the rarest terms
    find the candidates; the common ones still count, by heading and coverage.
    """
    rare = [term for term in held if reader.count(term) * 2 <= reader.chunks] or held
    walked = accumulate(reader.count(term) for term in rare)
    within = sum(chunks <= WALK_MAX for chunks in walked)
    return rare[: max(within, 1)]


def holders(
    reader: Reader, terms: Iterable[str], chunks: Collection[int], columns: str, walked_max: int
) -> Mapping[int, Sequence[str]]:
    """Which of the terms each of these chunks holds, in these columns or, of none, in any."""
    holding: dict[int, list[str]] = {chunk: [] for chunk in chunks}
    these = f"IN ({', '.join('?' * len(chunks))})"
    matching = "SELECT rowid FROM chunks_fts WHERE chunks_fts MATCH ?"
    for term in terms:
        # The plus keeps SQLite from looking each of them up.
        rowid = "+rowid" if reader.count(term) <= walked_max else "rowid"
        wanted = f"{columns}{quoted(term)}"
        rows = reader.connection.execute(f"{matching} AND {rowid} {these}", (wanted, *chunks))
        for (chunk,) in rows:
            holding[chunk].append(term)
    return holding
