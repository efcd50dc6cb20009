"""JSON Lines: each line of the file is a document, with what is known about it.

    {"text": "…", "id": "…", "title": "…", "url": "https://…", "format": "markdown",
     "metadata": {"author": "…", "year": 2024}}

Only `text` is needed. `id` names the document for as long as it lives; without one the line's own
bytes name it, so that a changed line is another document. `metadata` is a flat object; it is read
along with the text, as lines of its own, and can be found and cited like it. A line is JSON as the
contract means it (`contracts.strict_json`); one that is not, or says something else, is a fault of
that line alone. The file is read line by line, so it may be of any size.
"""

from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import BinaryIO, Final
from urllib.parse import urlsplit

from attrs import evolve, frozen

from contracts.limits import URL_CHARS
from contracts.strict_json import ContractViolation, loads
from qs.ingest.faults import FileFault
from qs.ingest.html_reader import read_html
from qs.ingest.markdown_reader import read_markdown
from qs.ingest.page import Block, Kind, Page, Section, one_line, title_of
from qs.ingest.text_reader import read_text

LINE_MAX_BYTES: Final = 20 * 1024 * 1024
ID_MAX_CHARS: Final = 200
_DIGEST_CHARS: Final = 32
_BLANK: Final = b" \t\r\n"
_BOM: Final = b"\xef\xbb\xbf"
_KEYS: Final = frozenset(["text", "id", "title", "url", "format", "metadata"])
_FORMATS: Final[Mapping[str, Callable[[str, str], Page]]] = {
    "text": read_text,
    "markdown": read_markdown,
    "html": read_html,
}


@frozen
class Record:
    """One line's document, proved. `url` is where it is published, when the line says so."""

    name: str
    url: str | None
    title: str
    text: str
    format: str
    metadata: tuple[str, ...]

    def page(self, name: str) -> Page:
        """The document as read; `name` is its title where it gives none."""
        page = _FORMATS[self.format](self.text, name)
        first = (Block(Kind.LINES, "\n".join(self.metadata)),) if self.metadata else ()
        head, *rest = page.sections or (Section((), None, ()),)
        sections = (evolve(head, blocks=(*first, *head.blocks)), *rest)
        return Page(self.title or page.title, sections)


def lines_of(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """The lines that are not blank, with their numbers; None for one that is over its cap.

    No more than one line is held, and of one that is too long no more than a part.
    """
    number = 0
    while line := file.readline(LINE_MAX_BYTES + 1):
        number += 1
        if len(line) > LINE_MAX_BYTES:
            while line and not line.endswith(b"\n"):
                line = file.readline(LINE_MAX_BYTES)
            yield number, None
        elif line.strip(_BLANK):
            yield number, line.removeprefix(_BOM) if number == 1 else line


def read_record(line: bytes) -> Record:
    """The document that a line is. Raises FileFault."""
    try:
        told = loads(line.strip(_BLANK))
    except ContractViolation as violation:
        raise FileFault(str(violation)) from None
    if not isinstance(told, dict):
        raise FileFault("it is no JSON object")
    if unknown := sorted(set(told) - _KEYS):
        raise FileFault(f"unknown key {one_line(unknown[0])[:40]!r}")
    form = _text(told, "format") or "text"
    if form not in _FORMATS:
        raise FileFault(f"`format` must be one of {', '.join(_FORMATS)}")
    text = _text(told, "text") or ""
    if not text.strip():
        raise FileFault("it has no `text`")
    title = title_of(_text(told, "title") or "")
    metadata = tuple(_metadata(told.get("metadata", {})))
    return Record(_name(told, line), _url(told), title, text, form, metadata)


def _text(told: Mapping[str, object], key: str) -> str | None:
    value = told.get(key)
    if value is not None and not isinstance(value, str):
        raise FileFault(f"`{key}` must be a string")
    return value


def _name(told: Mapping[str, object], line: bytes) -> str:
    given = told.get("id")
    if given is None:
        return sha256(line.strip(_BLANK)).hexdigest()[:_DIGEST_CHARS]
    name = str(given) if type(given) in (str, int) else ""
    if not 0 < len(name) <= ID_MAX_CHARS or not name.isprintable():
        raise FileFault(f"`id` must be a number or 1 to {ID_MAX_CHARS} printable characters")
    return name


def _url(told: Mapping[str, object]) -> str | None:
    url = _text(told, "url")
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable or len(url) > URL_CHARS or not url.isprintable() or " " in url:
        raise FileFault(f"`url` must be http(s), {URL_CHARS} characters at most")
    return url


def _metadata(told: object) -> Iterator[str]:
    """A line for each of them that says anything."""
    if not isinstance(told, dict):
        raise FileFault("`metadata` must be an object")
    for key, value in told.items():
        if not isinstance(value, str | int | float):
            raise FileFault(f"`metadata` is flat: {one_line(key)[:40]!r} must be text or a number")
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        if one_line(shown):
            yield one_line(f"{key}: {shown}")
