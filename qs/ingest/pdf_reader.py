"""PDF to a page, by pypdf: the text in its pages' order, under the headings of its outline.

Each page of the file is a section of its own, so that a citation leads to it (`#page=7`). A PDF
says where glyphs stand and not what is a paragraph: lines are joined until one ends short or blank.
What holds no text, as scans do, what is encrypted with a password, what pypdf cannot make sense of
and what takes too long (a few KB can name one heavy page a thousand times) is a `FileFault`.
"""

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from typing import Final

from pypdf import PdfReader
from pypdf.generic import Destination

from qs.ingest.faults import FileFault
from qs.ingest.page import Page, PageBuilder, one_line

# pypdf tells of every oddity that it reads round. Ours is to say what came of the file.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)

PAGES_MAX: Final = 5_000
TEXT_MAX_CHARS: Final = 20_000_000
# Of a processor: an ordinary page takes a twentieth of a second, and a few may be drawings.
PAGE_MAX_S: Final = 1.0  # on average
SPARE_S: Final = 30.0
_OUTLINE_DEPTH_MAX: Final = 6
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_HYPHEN_AT_END: Final = re.compile(r"(?<=[^\W\d_])-$")
# A line under this share of the longest is where a paragraph may end.
_FULL_LINE: Final = 0.75
# Scripts that put no blank between words, and so none where a line has ended.
_UNSPACED: Final = re.compile("[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff01-\uff9f]")
_ENDS_SENTENCE: Final = (".", "!", "?", ":", "。", "！", "？", "：")


def read_pdf(content: bytes, name: str, clock: Callable[[], float] = time.thread_time) -> Page:
    """The page that the PDF holds; `name` is its title where it gives none. Raises FileFault.

    `clock` tells the seconds that a processor was busy with it.
    """
    try:
        return _read(content, name, clock)
    except FileFault:
        raise
    # A broken file makes pypdf raise any exception at all, MemoryError by a length in it, too.
    except Exception as error:
        raise FileFault(f"it is no readable PDF ({type(error).__name__})") from error


def _read(content: bytes, name: str, clock: Callable[[], float]) -> Page:
    began = clock()
    reader = PdfReader(BytesIO(content))
    if reader.is_encrypted and not reader.decrypt(""):
        raise FileFault("it needs a password")
    if len(reader.pages) > PAGES_MAX:
        raise FileFault(f"it has over {PAGES_MAX} pages")
    builder = PageBuilder()
    outline = _outline(reader)
    trail: tuple[str, ...] = ()
    chars = 0
    for number, page in enumerate(reader.pages):
        text = _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", page.extract_text())
        chars += len(text)
        if chars > TEXT_MAX_CHARS:
            raise FileFault(f"it holds over {TEXT_MAX_CHARS} characters")
        if (took_s := clock() - began) > SPARE_S + PAGE_MAX_S * (number + 1):
            raise FileFault(f"it takes too long: {number + 1} pages in {took_s:.0f} s")
        trail = outline.get(number, trail)
        builder.section(trail, f"page={number + 1}")
        for paragraph in _paragraphs(text):
            builder.prose(paragraph)
    title = reader.metadata.title if reader.metadata else None
    return builder.page(_SURROGATES.sub("", str(title or "")), name)


def _outline(reader: PdfReader) -> Mapping[int, tuple[str, ...]]:
    """The headings at which pages begin, by the pages' numbers; a broken outline is none."""
    found: dict[int, tuple[str, ...]] = {}
    try:
        for number, trail in _entries(reader, reader.outline, ()):
            found.setdefault(number, trail)
    except Exception:  # an outline is a help; a page without it is as good a source
        return {}
    return found


def _entries(
    reader: PdfReader, entries: Sequence[object], above: tuple[str, ...]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """pypdf's outline: each entry's children follow it, as a list."""
    trail = above
    for entry in entries:
        if isinstance(entry, list):
            if len(trail) < _OUTLINE_DEPTH_MAX:
                yield from _entries(reader, entry, trail)
        elif isinstance(entry, Destination):
            title = _SURROGATES.sub("", one_line(str(entry.title or "")))
            trail = (*above, title) if title else above
            number = reader.get_destination_page_number(entry)
            if number is not None and trail:
                yield number, trail


def _paragraphs(text: str) -> Iterator[str]:
    """Lines joined to paragraphs; a word that a line's end has cut is whole again."""
    lines = [line.strip() for line in text.splitlines()]
    full = _FULL_LINE * max(map(len, lines), default=0)
    joined = ""
    for line in lines:
        joined = _joined(joined, line)
        if joined and (not line or (len(line) < full and line.endswith(_ENDS_SENTENCE))):
            yield joined
            joined = ""
    if joined:
        yield joined


def _joined(text: str, line: str) -> str:
    if not text or not line:
        return text or line
    if _HYPHEN_AT_END.search(text) and line[0].islower():
        return text[:-1] + line
    unspaced = _UNSPACED.match(text[-1]) and _UNSPACED.match(line[0])
    return f"{text}{line}" if unspaced else f"{text} {line}"
