"""Which reader reads which file, and the reader of plain text.

Readers take decoded text and return a page; they refuse nothing, for every text is some page. The
files themselves, and what may be wrong with them, are the business of `qs.ingest.files`.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Final

from qs.ingest.html_reader import read_html
from qs.ingest.markdown_reader import read_markdown
from qs.ingest.page import Page, PageBuilder

Reader = Callable[[str, str], Page]

_UNDERLINES: Final = {"=": 1, "-": 2, "~": 3}
_UNDERLINE: Final = re.compile(r"([=\-~])\1{2,}[ \t]*")


def read_text(text: str, name: str) -> Page:
    """Plain text: paragraphs between blank lines; a single underlined line is a heading."""
    builder = PageBuilder()
    for paragraph in re.split(r"\n[^\S\n]*(?:\n[^\S\n]*)+", text.replace("\r\n", "\n")):
        lines = paragraph.strip("\n").split("\n")
        if len(lines) > 1 and lines[0].strip() and _UNDERLINE.fullmatch(lines[1]):
            builder.heading(_UNDERLINES[lines[1][0]], lines[0], None)
            lines = lines[2:]
        builder.prose("\n".join(lines))
    return builder.page(None, name)


READERS: Final[Mapping[str, Reader]] = {
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".html": read_html,
    ".htm": read_html,
    ".xhtml": read_html,
    ".txt": read_text,
    ".text": read_text,
}


def reader_of(path: str) -> Reader | None:
    """The reader for a file of this name, or None for a file that is none of ours."""
    return READERS.get(PurePosixPath(path).suffix.lower())
