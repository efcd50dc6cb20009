"""What an ingest asks of an index, and nothing about any one engine.

A writer keeps, for each document of a root, the digest it was read at, so that an ingest can tell
what changed without reading the index's text. Everything is asked for in portions: no call's answer
grows with the size of the index. A writer that is killed leaves whole batches, or what the next
ingest can tell from whole ones.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from qs.ingest.chunker import Chunk

REINGEST_HINT = "delete it and ingest again"


class IndexFault(Exception):
    """The index cannot be written; the message is the reason, for a person."""


class IndexWriter(Protocol):
    """An index open for writing. Whatever its engine complains of leaves it as `IndexFault`."""

    def transaction(self) -> AbstractContextManager[None]:
        """A batch of `put` and `remove`: a searcher sees all of it or nothing of it."""
        ...

    def digests(self, root: str, paths: Sequence[str]) -> Mapping[str, str]:
        """Of these documents of a root, those that the index holds: the digests they were read at.

        Inside a transaction it may answer as before that began.
        """
        ...

    def paths(self, root: str, after: str, most: int) -> Sequence[str]:
        """What the index holds of a root, in its paths' order, from behind `after` on."""
        ...

    def put(self, root: str, path: str, digest: str, chunks: Sequence[Chunk]) -> None:
        """Write a document in the place of what the index holds at its path."""
        ...

    def remove(self, root: str, path: str) -> None:
        """Take a document and its chunks out; nothing happens where there is none."""
        ...

    def count_chunks(self) -> int:
        """How many chunks the index holds, of all roots."""
        ...

    def publish(self) -> None:
        """The ingest is whole: what was written is what is searched from here on."""
        ...
