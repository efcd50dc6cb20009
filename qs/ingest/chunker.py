"""A page into chunks: pieces short enough to be cited, whole enough to answer.

Chunks never cross a heading, so each has one title, "Page › Section › Part", and one url. Blocks
are packed up to `TARGET_CHARS`; a list or a piece of code stays whole, and with the line that
announces it, where `MAX_CHARS` allows. What is longer is split between items, lines,
sentences or words, in that order of preference. No word is lost and none is repeated, but the
fences of code, which each part of it has.

An id depends on the document's path, the chunk's headings and its text, so reading the same folder
again, on any machine, gives the same ids, and an edit changes only the ids of what it touches.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Final
from urllib.parse import quote

from attrs import frozen

from contracts.limits import URL_CHARS
from qs.ingest.page import Block, Kind, Page, Section

TARGET_CHARS: Final = 900
MAX_CHARS: Final = 1_400
# A piece under this length is joined to its neighbour where the two fit into one chunk.
SMALL_CHARS: Final = 250
TITLE_MAX_CHARS: Final = 300
NAME_IN_ID_CHARS: Final = 40
TITLE_SEPARATOR: Final = " › "

_SENTENCE_END: Final = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])\s*|\n")
_ITEM_END: Final = re.compile(r"\n(?=\S)")
_LINE_END: Final = re.compile(r"\n")
_WORD_END: Final = re.compile(r"\s+")
_ENDS: Final[Mapping[Kind, tuple[re.Pattern[str], ...]]] = {
    Kind.PROSE: (_SENTENCE_END, _WORD_END),
    Kind.LINES: (_ITEM_END, _LINE_END, _WORD_END),
    Kind.CODE: (_LINE_END, _WORD_END),
}
_NOT_IN_ID: Final = re.compile(r"[^A-Za-z0-9._-]+")


@frozen
class Chunk:
    """One piece of one document, ready for the index."""

    chunk_id: str
    doc_id: str
    trail: tuple[str, ...]  # the page's title, then every heading down to the chunk's own
    url: str | None
    content: str

    @property
    def title(self) -> str:
        """What a citation shows: "Page › Section › Part"."""
        title = TITLE_SEPARATOR.join(self.trail)
        return title if len(title) <= TITLE_MAX_CHARS else title[: TITLE_MAX_CHARS - 1] + "…"


def chunk_page(page: Page, path: str, base_url: str | None) -> Sequence[Chunk]:
    """The page's chunks in reading order; `path` is relative to the root, with slashes."""
    chunks: list[Chunk] = []
    seen: Counter[tuple[str, ...]] = Counter()
    for section in page.sections:
        named = section.trail[:1] == (page.title,)
        trail = section.trail if named else (page.title, *section.trail)
        url = _url(base_url, path, section.anchor)
        for content in _pack(section):
            # A page may say the same twice under one heading; the count tells the two apart.
            said = (*trail, content)
            chunk_id = _identify(path, *said, str(seen[said]))
            seen[said] += 1
            chunks.append(Chunk(chunk_id, _identify(path), trail, url, content))
    return chunks


def _identify(path: str, *parts: str) -> str:
    """A name that a person can place and a digest that tells it from all others; ≤ 64 chars."""
    digest = sha256("\0".join((path, *parts)).encode()).hexdigest()
    name = _NOT_IN_ID.sub("-", path.rpartition("/")[2])[:NAME_IN_ID_CHARS]
    return f"{name}:{digest[:16]}"


def _url(base_url: str | None, path: str, anchor: str | None) -> str | None:
    """The place in the document, else the document; one that no url can name has none."""
    if base_url is None:
        return None
    document = f"{base_url.rstrip('/')}/{quote(path)}"
    place = f"{document}#{quote(anchor, safe='/=')}" if anchor else document
    return next((url for url in (place, document) if len(url) <= URL_CHARS), None)


def _pack(section: Section) -> Iterator[str]:
    """The section's blocks joined into chunks, none over the maximum."""
    packed = ""
    for piece in _pieces(section.blocks):
        joined = f"{packed}\n\n{piece}" if packed else piece
        if packed and len(joined) > _room(packed, piece):
            yield packed
            packed = piece
        else:
            packed = joined
    if packed:
        yield packed


def _room(packed: str, piece: str) -> int:
    """How long the two may get together: more where one of them would be poor alone."""
    belongs = packed.endswith((":", "：")) or min(len(packed), len(piece)) < SMALL_CHARS
    return MAX_CHARS if belongs else TARGET_CHARS


def _pieces(blocks: Iterable[Block]) -> Iterator[str]:
    """The blocks' texts, those over the maximum cut at their best places."""
    for block in blocks:
        if block.kind is Kind.CODE:
            yield from _cut_code(block)
        else:
            yield from _cut(block.text.rstrip(), _ENDS[block.kind], MAX_CHARS)


def _cut_code(block: Block) -> Iterator[str]:
    """Code whole where it fits, else in parts, each between the fences of the whole."""
    if len(block.text) <= MAX_CHARS:
        yield block.text
        return
    opening, code, closing = block.unfenced
    room = MAX_CHARS - len(opening) - len(closing) - 2
    for part in _cut(code, _ENDS[Kind.CODE], room):
        yield f"{opening}\n{part}\n{closing}"


def _cut(text: str, ends: Sequence[re.Pattern[str]], most: int) -> Iterator[str]:
    """The text in pieces near the target, cut at the first kind of end that makes them fit."""
    if len(text) <= most:
        yield text
        return
    if not ends:
        yield from (text[at : at + most] for at in range(0, len(text), most))
        return
    start = stop = after = 0
    for end in (*(match.span() for match in ends[0].finditer(text)), (len(text), len(text))):
        if stop > start and end[0] - start > TARGET_CHARS:
            yield from _cut(text[start:stop], ends[1:], most)
            start = after
        stop, after = end
    yield from _cut(text[start:stop], ends[1:], most)
