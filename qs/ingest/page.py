"""What a reader makes of a document: a title, and sections of blocks under their headings.

Every format ends in this one shape, so the chunker knows no format. `PageBuilder` is driven by a
reader's events in document order; it keeps the trail of headings and the marks of nested lists.
Blocks are plain text: code stands between ``` fences, list items begin with their marks, a table's
row is one line.
"""

import re
from enum import Enum, auto
from typing import Final

from attrs import define, field, frozen

_BLANKS: Final = re.compile(r"[^\S\n]+")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_FENCE_IN_CODE: Final = re.compile(r"^\s*(`{3,15})", re.MULTILINE)
_LANGUAGE: Final = re.compile(r"[\w+#.-]{1,24}")
# Deeper lists are not indented further, so that what is indented stays shorter than a chunk.
_INDENTS_MAX: Final = 20
# A heading stands in each chunk below it, so one that is longer is a paragraph.
HEADING_MAX_CHARS: Final = 500


class Kind(Enum):
    """What a block is: decides where it may be split when it is too long for one chunk."""

    PROSE = auto()
    LINES = auto()  # lists and tables, which are split between lines
    CODE = auto()  # with its fences; each part of it gets fences of its own


@frozen
class Block:
    """One paragraph, list, table or piece of code."""

    kind: Kind
    text: str

    @property
    def unfenced(self) -> tuple[str, str, str]:
        """Of a piece of code: the fence that opens it, the code itself, the fence that ends it."""
        opening, _, rest = self.text.partition("\n")
        code, _, closing = rest.rpartition("\n")
        return opening, code, closing


@frozen
class Section:
    """The blocks under one heading; `trail` is that heading under those above it."""

    trail: tuple[str, ...]
    anchor: str | None
    blocks: tuple[Block, ...]


@frozen
class Page:
    """A whole document as read."""

    title: str
    sections: tuple[Section, ...]


def one_line(text: str) -> str:
    """The text with every run of white space as one blank."""
    return " ".join(_CONTROLS.sub(" ", text).split())


def title_of(text: str) -> str:
    """The text as a title: in one line, and cut where it has no end."""
    title = one_line(text)
    cut = len(title) > HEADING_MAX_CHARS
    return f"{title[: HEADING_MAX_CHARS - 1]}…" if cut else title


@define
class PageBuilder:
    """Collects a page from its events: headings, paragraphs, code, lists and table rows."""

    _headings: list[tuple[int, str]] = field(factory=list)
    _anchor: str | None = None
    _blocks: list[Block] = field(factory=list)
    _sections: list[Section] = field(factory=list)
    _lines: list[str] = field(factory=list)
    _numbers: list[int | None] = field(factory=list)
    _mark: str = ""
    _first_heading: str | None = None

    def heading(self, level: int, text: str, anchor: str | None) -> None:
        """Begin a section; a heading without words only ends the one before."""
        self._end_section()
        self._headings = [above for above in self._headings if above[0] < level]
        self._anchor = anchor
        title = one_line(text)
        if len(title) > HEADING_MAX_CHARS:
            self.prose(text)
        elif title:
            self._headings.append((level, title))
            self._first_heading = self._first_heading or title

    def section(self, trail: tuple[str, ...], anchor: str) -> None:
        """Begin a section under headings that stand elsewhere than in the text."""
        self._end_section()
        self._headings = list(enumerate(map(title_of, trail), start=1))
        self._anchor = anchor

    def prose(self, text: str) -> None:
        """A paragraph; inside a list it is the item's text."""
        lines = [_BLANKS.sub(" ", line).strip() for line in _CONTROLS.sub(" ", text).split("\n")]
        lines = [line for line in lines if line]
        if lines and self._numbers:
            self._item_lines(lines)
        elif lines:
            self._end_lines()
            self._blocks.append(Block(Kind.PROSE, "\n".join(lines)))

    def code(self, text: str, language: str = "") -> None:
        """Code, whose blanks and line ends mean something; in a list, indented like its item."""
        lines = [_CONTROLS.sub("", line).rstrip() for line in text.expandtabs(4).split("\n")]
        if not any(lines):
            return
        while not lines[0]:
            del lines[0]
        while not lines[-1]:
            del lines[-1]
        fence = _fence("\n".join(lines))
        named = _LANGUAGE.match(language)
        self._end_lines()
        self._item_lines([f"{fence}{named[0] if named else ''}", *lines, fence])
        self._end_lines(Kind.CODE)

    def row(self, cells: list[str]) -> None:
        """One row of a table."""
        if any(told := [one_line(cell) for cell in cells]):
            self._item_lines([" | ".join(told)])

    def end_table(self) -> None:
        """Whatever follows is not of this table."""
        if not self._numbers:
            self._end_lines()

    def open_list(self, first_number: int | None) -> None:
        """Begin a list, inside another or not; numbered from `first_number` when there is one."""
        if not self._numbers:
            self._end_lines()
        self._numbers.append(first_number)

    def open_item(self) -> None:
        """Begin the next item of the innermost list."""
        if self._numbers:
            number = self._numbers[-1]
            self._mark = "- " if number is None else f"{number}. "
            self._numbers[-1] = None if number is None else number + 1

    def close_list(self) -> None:
        """End the innermost list."""
        if self._numbers:
            self._numbers.pop()
            self._mark = ""
        if not self._numbers:
            self._end_lines()

    def page(self, title: str | None, otherwise: str) -> Page:
        """The page; named by its first heading, else by `title`, else `otherwise`."""
        self._end_section()
        named = self._first_heading or title_of(title or "") or otherwise
        return Page(named, tuple(self._sections))

    def _item_lines(self, lines: list[str]) -> None:
        indent = "  " * min(len(self._numbers) - 1, _INDENTS_MAX) if self._numbers else ""
        hang = "  " if self._numbers else ""
        for line in lines:
            self._lines.append(f"{indent}{self._mark or hang}{line}" if line else "")
            self._mark = ""

    def _end_lines(self, kind: Kind = Kind.LINES) -> None:
        if self._lines:
            self._blocks.append(Block(kind, "\n".join(self._lines)))
            self._lines = []

    def _end_section(self) -> None:
        self._end_lines()
        self._numbers, self._mark = [], ""
        if self._blocks:
            trail = tuple(title for _, title in self._headings)
            self._sections.append(Section(trail, self._anchor, tuple(self._blocks)))
            self._blocks = []


def _fence(code: str) -> str:
    """Backticks, more of them than begin any line of the code."""
    return "`" * max((3, *(len(run) + 1 for run in _FENCE_IN_CODE.findall(code))))
