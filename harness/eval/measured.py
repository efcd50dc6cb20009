"""What a search finds of the pairs: recall@5 and MRR@10, of an engine and of plain FTS5."""

import re
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from typing import Final

from attrs import frozen

from harness.eval.pairs import Pairs
from qs.ingest.port import IndexWriter
from qs.retrieval.port import Retriever

RECALL_AT: Final = 5
MRR_AT: Final = 10
_BATCH: Final = 64

Find = Callable[[str], Awaitable[Sequence[str]]]  # a question → the sections found, best first


@frozen
class Score:
    """How well a search did over all questions, from 0 to 1."""

    recall: float
    mrr: float

    def __str__(self) -> str:
        return f"{self.recall:.3f} {self.mrr:.3f}"


def score_of(ranks: Sequence[int | None]) -> Score:
    """The score of the ranks at which each question's section was found; None: it was not."""
    found = [rank for rank in ranks if rank is not None]
    recall = sum(rank <= RECALL_AT for rank in found) / len(ranks)
    return Score(recall, sum(1 / rank for rank in found if rank <= MRR_AT) / len(ranks))


async def measure(pairs: Pairs, find: Find) -> Score:
    """Ask every question."""
    ranks = []
    for section, question in pairs.questions.items():
        found = await find(question)
        ranks.append(found.index(section) + 1 if section in found else None)
    return score_of(ranks)


def write(pairs: Pairs, index: IndexWriter, root: str) -> None:
    """Put the corpus into an index, each chunk as a document of its own."""
    for at in range(0, len(pairs.chunks), _BATCH):
        with index.transaction():
            for chunk in pairs.chunks[at : at + _BATCH]:
                index.put(root, chunk.chunk_id, "measured", [chunk])
    index.publish()


def clear(index: IndexWriter, root: str) -> None:
    """Take out what another corpus has left there."""
    while paths := index.paths(root, "", 1_000):
        with index.transaction():
            for path in paths:
                index.remove(root, path)


def by_engine(pairs: Pairs, retriever: Retriever) -> Find:
    """How an engine finds."""

    async def find(question: str) -> Sequence[str]:
        hits = await retriever.search(question, MRR_AT)
        return [pairs.section_of[hit.chunk_id] for hit in hits]

    return find


async def plain_fts5(pairs: Pairs) -> Score:
    """What FTS5 does by itself: its `porter` tokenizer, any of the words, its own ranking."""
    with closing(sqlite3.connect(":memory:")) as table:
        table.execute("CREATE VIRTUAL TABLE chunks USING fts5 (content, tokenize = 'porter')")
        for number, chunk in enumerate(pairs.chunks):
            table.execute(
                "INSERT INTO chunks (rowid, content) VALUES (?, ?)", (number, chunk.content)
            )

        async def find(question: str) -> Sequence[str]:
            words = " OR ".join(f'"{word}"' for word in re.findall(r"\w+", question)) or '""'
            rows = table.execute(
                "SELECT rowid FROM chunks WHERE chunks MATCH ? ORDER BY rank LIMIT ?",
                (words, MRR_AT),
            )
            return [pairs.section_of[pairs.chunks[row].chunk_id] for (row,) in rows]

        return await measure(pairs, find)
