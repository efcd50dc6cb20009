# ruff: noqa: SIM905 - sets of tag names read better as prose than as lists of literals
"""HTML to a page, by selectolax: the text a person would read, without the frame round it.

What is dropped: scripts and styles, navigation, banners and footers, tables of contents (a list of
every heading would otherwise win every search), buttons. What is kept: headings with their anchors,
paragraphs, lists, code and tables. A table that holds headings, code or another table is there for
the layout, and is read as if it were not there.

Documents nest as deep as they like: the tree is walked with a stack of our own.
"""

import re
from collections.abc import Iterator
from typing import Final

from attrs import define, field
from selectolax.lexbor import LexborHTMLParser, LexborNode

from qs.ingest.page import Block, Kind, Page, PageBuilder, one_line

_DROPPED: Final = frozenset(
    "script style nav footer noscript template svg iframe object head title button select"
    " textarea".split()
)
_FRAME_CLASSES: Final = frozenset(
    "toc nav navbar navheader navfooter navigation sidebar menu breadcrumb breadcrumbs footer"
    " table-of-contents headerlink".split()
)
_FRAME_ROLES: Final = frozenset(["navigation", "banner", "contentinfo", "search"])
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
_INLINE: Final = frozenset(
    "a abbr acronym b bdi bdo big cite del dfn em font i img ins label mark q ruby s small span"
    " strike strong sub sup time u var wbr".split()
)
_CODE: Final = frozenset(["code", "kbd", "samp", "tt"])
_LAYOUT: Final = "h1, h2, h3, h4, h5, h6, pre, table"
_NUMBER: Final = re.compile("[0-9]{1,9}")
_BLANKS: Final = re.compile(r"\s+")


def read_html(text: str, name: str) -> Page:
    """The page that the HTML text describes; `name` is its title where it gives none."""
    tree = LexborHTMLParser(text)
    title = tree.css_first("title")
    reading = _Reading()
    if tree.body is not None:
        reading.read(tree.body)
    return reading.builder.page(title.text() if title else None, name)


def html_blocks(fragment: str) -> Iterator[Block]:
    """What a piece of HTML says, for HTML that stands inside another format."""
    for section in read_html(fragment, "").sections:
        if section.trail:
            yield Block(Kind.PROSE, section.trail[-1])
        yield from section.blocks


@define
class _Reading:
    builder: PageBuilder = field(factory=PageBuilder)
    text: list[str] = field(factory=list)
    verbatim: int = 0
    cells: list[str] = field(factory=list)
    in_cell: bool = False
    rows: dict[int, bool] = field(factory=dict)  # whether each is there for the layout
    headings: int = 0  # that are open, one in another
    heading: tuple[int, str | None] | None = None

    def read(self, body: LexborNode) -> None:
        """Drive the builder by the tree's begin and end marks in document order."""
        for node, ending in _walk(body):
            tag = node.tag or ""
            if tag == "-text":
                self._words(node.text_content or "")
            elif ending:
                self._end(tag)
            else:
                self._begin(node, tag)
        self._flush()

    def _words(self, text: str) -> None:
        self.text.append(text if self.verbatim else _BLANKS.sub(" ", text))

    def _begin(self, node: LexborNode, tag: str) -> None:
        if tag == "br":
            self.text.append("\n")
        elif tag == "img" and not self.verbatim:
            self._words(node.attributes.get("alt") or "")
        elif tag in _CODE:
            self._tick()
        elif tag not in _INLINE:
            self._flush()
            self._begin_block(node, tag)

    def _begin_block(self, node: LexborNode, tag: str) -> None:
        if tag in _HEADINGS and not self.in_cell:
            self.heading = (_HEADINGS[tag], _anchor(node, within=not self.headings))
            self.headings += 1
        elif tag == "pre":
            self.verbatim += 1
        elif tag in {"ul", "menu"}:
            self.builder.open_list(None)
        elif tag == "ol":
            start = node.attributes.get("start") or ""
            self.builder.open_list(int(start) if _NUMBER.fullmatch(start) else 1)
        elif tag == "li":
            self.builder.open_item()
        elif tag == "tr":
            self.cells = []
        elif tag in {"td", "th"}:
            self.in_cell = not self._is_layout(node.parent or node)

    def _end(self, tag: str) -> None:
        if tag in _CODE:
            self._tick()
        elif tag in {"td", "th"} and self.in_cell:
            self.in_cell = False
            self.cells.append("".join(self.text))
            self.text = []
        elif tag not in _INLINE and tag != "br":
            self._flush()
            self._end_block(tag)

    def _end_block(self, tag: str) -> None:
        if tag in _HEADINGS:
            self.heading, self.headings = None, max(0, self.headings - 1)
        elif tag == "pre":
            self.verbatim -= 1
        elif tag in {"ul", "ol", "menu"}:
            self.builder.close_list()
        elif tag == "tr":
            self.builder.row(self.cells)
            self.cells = []
        elif tag == "table":
            self.builder.end_table()

    def _is_layout(self, row: LexborNode) -> bool:
        """Whether a table's row holds whole parts of a page."""
        if row.mem_id not in self.rows:
            self.rows[row.mem_id] = row.css_first(_LAYOUT) is not None
        return self.rows[row.mem_id]

    def _tick(self) -> None:
        if not self.verbatim and self.heading is None:
            self.text.append("`")

    def _flush(self) -> None:
        """Hand over the words since the last mark, to whatever they belong to."""
        if self.in_cell:
            self.text.append(" ")
            return
        text, self.text = "".join(self.text), []
        if self.heading is not None:
            if one_line(text):
                self.builder.heading(self.heading[0], text, self.heading[1])
                self.heading = None
        elif self.verbatim:
            self.builder.code(text)
        else:
            self.builder.prose(text)


def _walk(root: LexborNode) -> Iterator[tuple[LexborNode, bool]]:
    """Each kept node at its beginning, and again at its end (text has no end)."""
    pending = [(root, False)]
    while pending:
        node, ending = pending.pop()
        if not ending and _is_frame(node):
            continue
        yield node, ending
        if ending or node.tag == "-text":
            continue
        pending.append((node, True))
        children = list(node.iter(include_text=True))
        pending.extend((child, False) for child in reversed(children))


def _is_frame(node: LexborNode) -> bool:
    """Whether the node is the page's frame and not its text."""
    tag = node.tag or ""
    if tag == "-text":
        return False
    if tag in _DROPPED or tag.startswith(("-", "!")):
        return True
    attributes = node.attributes
    classes = (attributes.get("class") or "").lower().split()
    framed = not _FRAME_CLASSES.isdisjoint(classes) or attributes.get("role") in _FRAME_ROLES
    return framed or (tag == "header" and node.css_first("h1, h2") is None)


def _anchor(heading: LexborNode, *, within: bool) -> str | None:
    """The heading's own id, else that of a link target within it, else its section's."""
    inner = heading.css_first("a[id], a[name]") if within else None
    section = heading.parent
    for node in (heading, inner, section):
        if node is not None and node.tag != "body":
            found = node.attributes.get("id") or (
                node.attributes.get("name") if node is inner else None
            )
            if found:
                return found
    return None
