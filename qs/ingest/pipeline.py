"""One ingest: bring the index's share of one root up to what the root holds now.

Only what changed is cut and written; what is gone from this root is taken out, and other roots in
the same index are not touched. A document that is still there but cannot be read now (half written,
no permission) keeps its last good copy: an answer from yesterday's text is better than none, and
the summary names it. Work is committed in batches, so that an ingest may be killed at any time and
simply run again. No more than a batch is held, whatever the size of the root.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from attrs import define, field

from qs.ingest.documents import RECORD_MARK, Document, documents_of
from qs.ingest.faults import FileFault
from qs.ingest.files import ROOT, Found, Ignored, Listed, Skipped
from qs.ingest.port import IndexWriter
from qs.ingest.readers import holds_records
from qs.ingest.seen import PLACE_MARKS, Seen, open_seen

BATCH_DOCUMENTS: Final = 64
BATCH_BYTES: Final = 4 * 1024 * 1024
SKIPPED_LISTED: Final = 1_000  # the others are counted
_LOOKED_UP: Final = (
    1_000  # paths of the index that are held at once while what is gone is looked for
)


@define
class Summary:
    """What an ingest has done so far, in documents; `chunks` is what was written by it."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    chunks: int = 0
    ignored: int = 0
    bytes_read: int = 0
    skipped: list[Skipped] = field(factory=list)
    skipped_count: int = 0

    @property
    def indexed(self) -> int:
        """How many of the root's documents the index holds as they are now."""
        return self.new + self.changed + self.unchanged

    def skip(self, skipped: Skipped) -> None:
        """One more that was left out."""
        self.skipped_count += 1
        if len(self.skipped) < SKIPPED_LISTED:
            self.skipped.append(skipped)


def ingest(
    root: Path,
    base_url: str | None,
    index: IndexWriter,
    listed: Iterable[Listed],
    on_document: Callable[[], None],
    summary: Summary | None = None,
) -> Summary:
    """Bring the index up to what is listed of the resolved `root`; raises `IndexFault`.

    `on_document` is called after each document and each batch, for whoever shows the `summary`.
    """
    summary = summary or Summary()
    with open_seen() as seen:
        run = _Run(root, base_url, index, seen, summary, on_document)
        for batch in _batches(run.documents(listed)):
            run.write(batch)
        run.remove_gone()
    index.publish()
    return summary


@define
class _Run:
    root: Path
    base_url: str | None
    index: IndexWriter
    seen: Seen
    summary: Summary
    on_document: Callable[[], None]

    def documents(self, listed: Iterable[Listed]) -> Iterator[Document]:
        """What can be read of the root, each document once; the rest is in the summary."""
        for item in listed:
            match item:
                case Ignored():
                    self.summary.ignored += 1
                case Skipped() if item.path == ROOT:
                    self.seen.add_all()
                    self._skip(item)
                case Skipped():
                    self._skip(item, item.path, f"{item.path}/")
                case Found():
                    yield from self._in_file(item)

    def _in_file(self, file: Found) -> Iterator[Document]:
        """A line that is no document may have been one, so its file's last good copies stay."""
        before, below = self.summary.bytes_read, f"{file.path}{RECORD_MARK}"
        try:
            for document in documents_of(self.root, file, self.base_url):
                if isinstance(document, Skipped):
                    self._skip(document, below)
                elif self.seen.add(document.path):
                    self.summary.bytes_read += document.size
                    yield document
                else:
                    self._skip(Skipped(document.path, "its id stands twice in the file"))
        except FileFault as fault:
            self._skip(Skipped(file.path, str(fault)), file.path, below)
        if not holds_records(file.path):
            self.summary.bytes_read = before + file.size

    def _skip(self, skipped: Skipped, *kept: str) -> None:
        self.summary.skip(skipped)
        for prefix in kept:
            if prefix.endswith(tuple(PLACE_MARKS)):
                self.seen.add_all_below(prefix)
            else:
                self.seen.add(prefix)
        self.on_document()

    def write(self, batch: Sequence[Document]) -> None:
        """Write what changed, all of it or nothing of it."""
        known = self.index.digests(str(self.root), [document.path for document in batch])
        changed = [document for document in batch if known.get(document.path) != document.digest]
        self.summary.unchanged += len(batch) - len(changed)
        if changed:
            with self.index.transaction():
                for document in changed:
                    self._put(document, is_new=document.path not in known)
                    self.on_document()
        self.on_document()

    def _put(self, document: Document, *, is_new: bool) -> None:
        try:
            chunks = document.chunks()
        except FileFault as fault:
            self.summary.skip(Skipped(document.path, str(fault)))
            return
        self.index.put(str(self.root), document.path, document.digest, chunks)
        self.summary.chunks += len(chunks)
        if is_new:
            self.summary.new += 1
        else:
            self.summary.changed += 1

    def remove_gone(self) -> None:
        """Take out what the index holds and the root does not."""
        after = ""
        while paths := self.index.paths(str(self.root), after, _LOOKED_UP):
            after = paths[-1]
            if gone := list(self.seen.gone(paths)):
                with self.index.transaction():
                    for path in gone:
                        self.index.remove(str(self.root), path)
                        self.summary.removed += 1


def _batches(documents: Iterable[Document]) -> Iterator[Sequence[Document]]:
    """Batches of some documents and some bytes, so that what is held at once is bounded by both."""
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += document.size
        if len(batch) == BATCH_DOCUMENTS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
