"""Targets that read text: the model's reply, the answer's text, and the documents of an ingest."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from itertools import takewhile
from typing import Final

from contracts.limits import (
    ANSWER_MAX_CHARS,
    CHUNK_CHARS,
    CITATIONS_MAX,
    GUARD_HOLD_CHARS,
    TITLE_CHARS,
    URL_CHARS,
)
from contracts.reasons import ReasonCode
from harness.answer_reference import reference
from harness.fuzz.inputs import pieces_of
from harness.rendered import blocked_in
from llmgw.answer import AnswerScanner, PlainScanner
from llmgw.answer_object import is_blank
from llmgw.faults import GenerationFault
from llmgw.guard import Guard
from llmgw.tests.answer_verdict import ALIASES, Verdict, verdict
from qs.ingest.chunker import MAX_CHARS, TITLE_MAX_CHARS, Chunk, chunk_page
from qs.ingest.faults import FileFault
from qs.ingest.jsonl_reader import lines_of, read_record
from qs.ingest.page import Kind, Page
from qs.ingest.readers import FORMATS

_NAMES: Final = frozenset(f"c{number}" for number in range(1, ALIASES + 1))
_NOT_TEXT: Final = re.compile("[\x00\ud800-\udfff]")

_SINGLE_CHARS_MAX: Final = 1_024


def _cuts(data: bytes, errors: str) -> list[list[str]]:
    """The text whole, in single characters (a long one in a few), and in the input's pieces."""
    pieces = [piece.decode("utf-8", errors) for piece in pieces_of(data)]
    whole = "".join(pieces)
    width = 1 + len(whole) // _SINGLE_CHARS_MAX
    return [[whole], [whole[at : at + width] for at in range(0, len(whole), width)], pieces]


def answer_scanner(data: bytes) -> None:
    """One verdict for every cut; the strict reading of the whole agrees; no other alias."""
    # What is no UTF-8 becomes half a character, which a reply may hold as an escape.
    cuts = _cuts(data, "surrogateescape")
    seen, *others = [verdict(AnswerScanner(ALIASES), cut) for cut in cuts]
    assert all(other == seen for other in others), (seen, others)
    assert set(seen.aliases) <= _NAMES
    assert len(set(seen.aliases)) == len(seen.aliases) <= CITATIONS_MAX
    assert len(seen.answer) <= ANSWER_MAX_CHARS
    assert seen.aliases or not seen.answer
    possible, aliases, answer = reference(cuts[0][0])
    if possible:
        assert seen.code in possible, (seen, possible)
    else:
        assert seen == Verdict(None, aliases, answer)
    _plain_scanner(cuts)


def _plain_scanner(cuts: Sequence[Sequence[str]]) -> None:
    (whole,) = cuts[0]
    seen, *others = [verdict(PlainScanner(), cut) for cut in cuts]
    assert all(other == seen for other in others), (seen, others)
    assert not seen.aliases
    if seen.code is None:
        assert seen.answer == _behind_thoughts(whole)
    elif seen.code is ReasonCode.OUTPUT_INVALID_UNICODE:
        assert _NOT_TEXT.search(whole)
    elif seen.code is ReasonCode.OUTPUT_TOO_LONG:
        assert len(whole) > ANSWER_MAX_CHARS
    else:
        assert seen.code in (ReasonCode.OUTPUT_EMPTY, ReasonCode.OUTPUT_ONLY_REASONING)
        assert not seen.answer


def _behind_thoughts(text: str) -> str:
    """The text without the thoughts that open it, and without what nobody sees before them."""
    rest = text
    while rest[_unseen(rest) :].startswith("<think>"):
        _, _, rest = rest.partition("</think>")
    return rest


def _unseen(text: str) -> int:
    return sum(1 for _ in takewhile(is_blank, text))


_SOURCE: Final = "https://docs.example/"
_LONG: Final = "https://long.example/" + "x" * 2 * GUARD_HOLD_CHARS
_PASSAGE: Final = "See https://deep.example/a/b?c=d#e and www.host.example, or mailto:a@b.example."
_BY_PASSAGE: Final = b"\xfd"  # what stands before it in an input is a passage, too


def answer_guard(data: bytes) -> None:
    """One end for every cut, a hold within its limit, text unchanged; a parser finds nothing."""
    passage, is_there, rest = data.partition(_BY_PASSAGE)
    cuts = _cuts(rest if is_there else data, "replace")
    passages = [_LONG, _PASSAGE, passage.decode("utf-8", "replace")] if is_there else []
    (whole,) = cuts[0]
    ends = [_guarded(cut, passages) for cut in cuts]
    (_, code), *_ = ends
    assert all(end[1] is code for end in ends), ends
    for out, _ in ends:
        assert whole.startswith(out)
    if code is None:
        assert all(out == whole for out, _ in ends)
    # What is longer than the hold is plain text; what a passage holds is vouched for.
    if code is None and len(whole) <= GUARD_HOLD_CHARS and not is_there:
        assert list(blocked_in(whole, _SOURCE)) == []


def _guarded(pieces: Sequence[str], passages: Sequence[str]) -> tuple[str, ReasonCode | None]:
    guard = Guard(("c1", "c2"), [_SOURCE], passages)
    out, fed = "", 0
    try:
        for piece in pieces:
            fed += len(piece)
            out += guard.feed(piece)
            assert fed - len(out) <= GUARD_HOLD_CHARS
        out += guard.close()
    except GenerationFault as fault:
        assert fault.code.startswith(("OUTPUT_BLOCKED_CONTENT", "CITATIONS_UNKNOWN_MARKER"))
        return out, fault.code
    return out, None


_CHUNK_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_UNSHOWN: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_BLANKS: Final = re.compile(r"\s+")


def ingest_readers(data: bytes) -> None:
    """Every reader makes a page of it or says why not, and every page is cut within its limits."""
    content = b"".join(pieces_of(data))
    for suffix in (".md", ".html", ".txt", ".pdf"):
        with suppress(FileFault):
            _cut_within_limits(FORMATS[suffix].read(content, "guide"), f"a b/guide{suffix}")
    for number, line in lines_of(BytesIO(content)):
        with suppress(FileFault):
            record = read_record(line or b"")
            path = f"a b/guide.jsonl#{record.name}"
            assert path.isprintable()
            assert number <= 1 + content.count(b"\n")
            _cut_within_limits(record.page("guide"), path)


def _cut_within_limits(page: Page, path: str) -> None:
    chunks = chunk_page(page, path, "https://docs.example/")
    assert len({chunk.chunk_id for chunk in chunks}) == len(chunks)
    for chunk in chunks:
        _is_within_limits(chunk)
    if not _has_code(page):
        assert _words(chunk.content for chunk in chunks) == _words(_written(page))


def _is_within_limits(chunk: Chunk) -> None:
    assert chunk.content.strip()
    assert len(chunk.content) <= MAX_CHARS <= CHUNK_CHARS
    assert len(chunk.title) <= TITLE_MAX_CHARS <= TITLE_CHARS
    assert len(chunk.url or "") <= URL_CHARS
    assert _CHUNK_ID.fullmatch(chunk.chunk_id)
    assert _CHUNK_ID.fullmatch(chunk.doc_id)
    for told in (chunk.content, *chunk.trail, chunk.url or ""):
        assert not _UNSHOWN.search(told), told
        told.encode()


def _has_code(page: Page) -> bool:
    """The fences of code stand around each part of it, so its words may come twice."""
    return any(block.kind is Kind.CODE for section in page.sections for block in section.blocks)


def _written(page: Page) -> Iterator[str]:
    return (block.text for section in page.sections for block in section.blocks)


def _words(texts: Iterable[str]) -> str:
    return _BLANKS.sub("", "".join(texts))


TEXT_TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "answer": answer_scanner,
    "guard": answer_guard,
    "ingest": ingest_readers,
}
