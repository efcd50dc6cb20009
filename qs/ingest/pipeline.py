"""One ingest: bring the index's share of one root up to what the root holds now.

Only what changed is read in full; what is gone from this root is taken out, and other roots in
the same index are not touched. A file that is still there but cannot be read now (half written,
no permission) keeps its last good copy: an answer from yesterday's text is better than none, and
the summary names the file. Work is committed in batches, each a consistent index, so that an
ingest may be killed at any time and simply run again.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Final

from attrs import define, field

from qs.ingest.chunker import Chunk, chunk_page
from qs.ingest.files import FileFault, Listing, Skipped, decode, read_file
from qs.ingest.index_writer import IndexWriter
from qs.ingest.readers import reader_of
from qs.retrieval.sqlite_schema import FORMAT_VERSION

BATCH_DOCUMENTS: Final = 64
# Counts up when documents are read or cut in another way, so that the next ingest reads them anew.
READING_VERSION: Final = 3


@define
class Summary:
    """What one ingest did, in documents; `chunks` is what was written by it."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    chunks: int = 0
    ignored: int = 0
    skipped: list[Skipped] = field(factory=list)

    @property
    def indexed(self) -> int:
        """How many of the root's documents the index holds as they are now."""
        return self.new + self.changed + self.unchanged


def ingest(
    root: Path,
    base_url: str | None,
    index: IndexWriter,
    listing: Listing,
    on_file: Callable[[], None],
) -> Summary:
    """Bring the index up to the listing of the resolved `root`; raises `IndexFault`.

    `on_file` is called after each file, for whoever shows progress.
    """
    summary = Summary(ignored=listing.ignored, skipped=list(listing.skipped))
    known = index.digests(str(root))
    for batch in _batches(listing.files, BATCH_DOCUMENTS):
        with index.transaction():
            for path in batch:
                _ingest_file(root, path, base_url, index, known.get(path), summary)
                on_file()
    with index.transaction():
        for path in _gone(known, listing):
            index.remove(str(root), path)
            summary.removed += 1
    return summary


def _ingest_file(
    root: Path,
    path: str,
    base_url: str | None,
    index: IndexWriter,
    known_digest: str | None,
    summary: Summary,
) -> None:
    try:
        content = read_file(root / path)
        digest = _digest(content, base_url)
        if digest == known_digest:
            summary.unchanged += 1
            return
        chunks = _chunks(content, path, base_url)
    except FileFault as fault:
        summary.skipped.append(Skipped(path, str(fault)))
        return
    index.put(str(root), path, digest, chunks)
    summary.chunks += len(chunks)
    if known_digest is None:
        summary.new += 1
    else:
        summary.changed += 1


def _chunks(content: bytes, path: str, base_url: str | None) -> Sequence[Chunk]:
    read = reader_of(path)
    assert read is not None, path
    chunks = chunk_page(read(decode(content), Path(path).stem), path, base_url)
    if not chunks:
        raise FileFault("it has no text to index")
    return chunks


def _digest(content: bytes, base_url: str | None) -> str:
    """What the chunks depend on: the document, where its links lead, and how it is cut."""
    reading = f"{FORMAT_VERSION}.{READING_VERSION}\0{base_url}\0"
    return sha256(reading.encode() + content).hexdigest()


def _gone(known: Iterable[str], listing: Listing) -> Iterator[str]:
    """The known documents that are no longer there; what could not be looked at may still be."""
    there = set(listing.files)
    unseen = tuple(f"{skipped.path}/" for skipped in listing.skipped)
    hidden = {skipped.path for skipped in listing.skipped}
    for path in known:
        if path not in there and path not in hidden and not f"{path}/".startswith(unseen):
            yield path


def _batches(files: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    remaining = iter(files)
    while batch := list(islice(remaining, size)):
        yield batch
