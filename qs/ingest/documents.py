"""The documents in the files of a root: one for a file, or one for each line of JSON.

A document is known by its path, a line's by its file's and its own name (`notes.jsonl#42`), and by
the digest of what its chunks depend on. It is cut into chunks only when it is asked to: an ingest
asks for what changed. Documents come one after the other, however many a file holds.
"""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from attrs import evolve, frozen

from qs.ingest.chunker import Chunk, chunk_page
from qs.ingest.faults import FileFault
from qs.ingest.files import Found, Skipped, open_unchanging, read_file
from qs.ingest.jsonl_reader import LINE_MAX_BYTES, Record, lines_of, read_record
from qs.ingest.readers import Format, format_of

# Counts up when documents are read or cut in another way, so that the next ingest reads them anew.
READING_VERSION: Final = "1.4"
RECORD_MARK: Final = "#"  # between a file's path and the name of a document in it


@frozen
class Document:
    """One document: what it is known by, and `size`, the bytes that were read for it."""

    path: str
    digest: str
    size: int
    cut: Callable[[], Sequence[Chunk]]

    def chunks(self) -> Sequence[Chunk]:
        """Its chunks; raises `FileFault` where it holds no text, or cannot be read."""
        try:
            found = self.cut()
        except FileFault:
            raise
        except Exception as error:  # no one document ends an ingest, whatever is in it
            raise FileFault(f"it cannot be read ({type(error).__name__}: {error})") from error
        if not found:
            raise FileFault("it has no text to index")
        return found


def documents_of(root: Path, file: Found, base_url: str | None) -> Iterator[Document | Skipped]:
    """The file's documents, and its lines that are none; raises `FileFault` for all that is left.

    Of a file that changes while its lines are read, the last of it is that fault.
    """
    form = format_of(file.path)
    if form is None:
        yield from _records(root, file)
    else:
        yield _whole(root, file, form, base_url)


def _whole(root: Path, file: Found, form: Format, base_url: str | None) -> Document:
    content = read_file(root / file.path, form.max_bytes)

    def cut() -> Sequence[Chunk]:
        page = form.read(content, Path(file.path).stem)
        return chunk_page(page, file.path, base_url)

    return Document(file.path, _digest(content, base_url), len(content), cut)


def _records(root: Path, file: Found) -> Iterator[Document | Skipped]:
    name = Path(file.path).stem
    with open_unchanging(root / file.path, None) as lines:
        for number, line in lines_of(lines):
            place = f"{file.path}, line {number}"
            if line is None:
                yield Skipped(place, f"it is over {LINE_MAX_BYTES // 1024**2} MB")
                continue
            try:
                record = read_record(line)
            except FileFault as fault:
                yield Skipped(place, str(fault))
                continue
            yield _of_record(record, f"{file.path}{RECORD_MARK}{record.name}", name, line)


def _of_record(record: Record, path: str, name: str, line: bytes) -> Document:
    def cut() -> Sequence[Chunk]:
        chunks = chunk_page(record.page(name), path, None)
        return [evolve(chunk, url=record.url) for chunk in chunks]

    return Document(path, _digest(line, None), len(line), cut)


def _digest(content: bytes, base_url: str | None) -> str:
    """What the chunks depend on: the document, where its links lead, and how it is cut."""
    return sha256(f"{READING_VERSION}\0{base_url}\0".encode() + content).hexdigest()
