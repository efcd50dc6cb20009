"""Which reader reads which file. Readers take a file's bytes and return a page.

A reader of text refuses what is no text, and then nothing, for every text is some page; a reader of
PDF refuses what is none. JSON Lines have no row here: such a file is many documents, read line by
line (`qs.ingest.documents`).
"""

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Final

from attrs import frozen

from qs.ingest.faults import decode
from qs.ingest.html_reader import read_html
from qs.ingest.markdown_reader import read_markdown
from qs.ingest.page import Page
from qs.ingest.pdf_reader import read_pdf
from qs.ingest.text_reader import read_text

MB: Final = 1024 * 1024


@frozen
class Format:
    """How a file of this kind is read; of what size one is taken."""

    read: Callable[[bytes, str], Page]
    max_bytes: int = 20 * MB


def _of_text(read: Callable[[str, str], Page]) -> Format:
    return Format(lambda content, name: read(decode(content), name))


FORMATS: Final[Mapping[str, Format]] = {
    ".md": _of_text(read_markdown),
    ".markdown": _of_text(read_markdown),
    ".html": _of_text(read_html),
    ".htm": _of_text(read_html),
    ".xhtml": _of_text(read_html),
    ".txt": _of_text(read_text),
    ".text": _of_text(read_text),
    ".pdf": Format(read_pdf, 64 * MB),
}
JSON_LINES: Final = frozenset([".jsonl", ".ndjson"])


def format_of(path: str) -> Format | None:
    """How a file of this name is read as one document; None where it is not."""
    return FORMATS.get(PurePosixPath(path).suffix.lower())


def holds_records(path: str) -> bool:
    """Whether each line of a file of this name is a document."""
    return PurePosixPath(path).suffix.lower() in JSON_LINES
