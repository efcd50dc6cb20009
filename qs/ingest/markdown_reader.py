"""Markdown to a page: CommonMark with tables, by markdown-it.

Emphasis and links leave their words behind, code spans keep their backticks, pictures leave their
description. HTML inside Markdown goes through the HTML reader's text. A leading block of metadata
between `---` lines is not text; its `title:` names the page where no heading does.
"""

import re
from collections.abc import Iterator
from typing import Final

from attrs import define, field
from markdown_it import MarkdownIt
from markdown_it.token import Token

from qs.ingest.html_reader import html_blocks
from qs.ingest.page import Kind, Page, PageBuilder

_MARKDOWN: Final = MarkdownIt("commonmark").enable("table")
_METADATA: Final = re.compile(r"\A---[ \t]*\n(.*?\n)?(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_TITLE: Final = re.compile(r"^title:(.+)$", re.MULTILINE)
_NO_SLUG: Final = re.compile(r"[^\w\- ]")


def read_markdown(text: str, name: str) -> Page:
    """The page that the Markdown text describes; `name` is its title where it gives none."""
    text = text.replace("\r\n", "\n")
    metadata = _METADATA.match(text)
    title = _title(metadata[0]) if metadata else None
    reading = _Reading()
    reading.blocks(iter(_MARKDOWN.parse(text[metadata.end() :] if metadata else text)))
    return reading.builder.page(title, name)


def _title(metadata: str) -> str | None:
    found = _TITLE.search(metadata)
    title = found[1].strip() if found else ""
    quoted = len(title) > 1 and title[0] == title[-1] and title[0] in "'\""
    return title[1:-1] if quoted else title or None


@define
class _Reading:
    builder: PageBuilder = field(factory=PageBuilder)
    slugs: dict[str, int] = field(factory=dict)
    cells: list[str] = field(factory=list)
    in_row: bool = False

    def blocks(self, tokens: Iterator[Token]) -> None:
        """Drive the builder; an `inline` token stands between the marks of what it belongs to."""
        for token in tokens:
            match token.type:
                case "heading_open":
                    text = _inline(next(tokens))
                    self.builder.heading(int(token.tag[1]), text, self._slug(text))
                case "inline" if self.in_row:
                    self.cells.append(_inline(token))
                case "inline":
                    self.builder.prose(_inline(token))
                case "fence" | "code_block":
                    self.builder.code(token.content, token.info.strip())
                case "html_block":
                    self._html(token.content)
                case "bullet_list_open":
                    self.builder.open_list(None)
                case "ordered_list_open":
                    self.builder.open_list(int(token.attrGet("start") or 1))
                case "list_item_open":
                    self.builder.open_item()
                case "bullet_list_close" | "ordered_list_close":
                    self.builder.close_list()
                case "tr_open":
                    self.cells, self.in_row = [], True
                case "tr_close":
                    self.builder.row(self.cells)
                    self.in_row = False
                case "table_close":
                    self.builder.end_table()

    def _html(self, fragment: str) -> None:
        for block in html_blocks(fragment):
            if block.kind is Kind.CODE:
                self.builder.code(block.unfenced[1])
            else:
                self.builder.prose(block.text)

    def _slug(self, heading: str) -> str | None:
        """The anchor that common renderers give the heading; repeats are numbered."""
        slug = _NO_SLUG.sub("", heading.strip().lower()).replace(" ", "-")
        seen = self.slugs.get(slug, 0)
        self.slugs[slug] = seen + 1
        return (f"{slug}-{seen}" if seen else slug) or None


def _inline(token: Token) -> str:
    return "".join(_span(child) for child in token.children or ())


def _span(token: Token) -> str:
    match token.type:
        case "code_inline":
            return f"`{token.content}`"
        case "softbreak":
            return " "
        case "hardbreak":
            return "\n"
        case "html_inline":
            return ""
        case _:
            return token.content
