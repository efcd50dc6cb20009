"""What a Markdown parser makes of a text that the guard let through: the guard's oracle.

The parser (CommonMark, raw HTML on) knows nothing of the guard. No image, no tag of an HTML element
and no comment may come of the text, and no link that leads to another site than the source's.
"""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from llmgw.html_elements import ELEMENTS

_MARKDOWN: Final = MarkdownIt("commonmark", {"html": True})
_TAG: Final = re.compile(r"</?([A-Za-z][A-Za-z0-9]*)(?=[\s/>])")
# A declaration or an instruction: a browser shows nothing of it, whatever stands in it.
_DECLARED: Final = re.compile(r"<(?:![A-Za-z]|\?)[^>]*(?:>|\Z)")
_MARKS: Final = ".,;:!?)]}'*_~"  # a sentence's, which the guard lets stand behind a url
_LEADS_AWAY: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|[/\\]{2}")


def _any_link(url: str) -> bool:
    """The parser refuses some links by itself; here every one must be the guard's to refuse."""
    return True


_MARKDOWN.validateLink = _any_link  # type: ignore[method-assign]  # the parser's own hook


def blocked_in(text: str, source_url: str) -> Iterator[str]:
    """Whatever is rendered of the text that nobody vouched for."""
    for token in _tokens(text):
        if token.type == "image":
            yield "an image"
        elif token.type in ("html_inline", "html_block"):
            shown = _DECLARED.sub("", token.content)
            tags = {tag.lower() for tag in _TAG.findall(shown)}
            yield from sorted(f"a tag {tag}" for tag in ELEMENTS & tags)
            if "<!--" in token.content:
                yield "a comment"
        elif token.type == "link_open":
            href = str(token.attrs["href"])
            site = unquote(href).rstrip(_MARKS)
            if _LEADS_AWAY.match(href) and not f"{site}/".startswith(source_url):
                yield f"a link to {href}"


def _tokens(text: str) -> Iterator[Token]:
    waiting = list(reversed(_MARKDOWN.parse(text)))
    while waiting:
        token = waiting.pop()
        yield token
        waiting += reversed(token.children or [])
