"""Plain text to a page: paragraphs between blank lines, underlined lines as headings."""

import re
from typing import Final

from qs.ingest.page import Page, PageBuilder

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
