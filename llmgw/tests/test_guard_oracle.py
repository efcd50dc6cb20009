"""The guard against a Markdown parser: what it lets through must render to nothing it blocks.

The parser (CommonMark, raw HTML on) knows nothing of the guard. Goal: no image, no tag of an HTML
element, no link that leads to another site. Method: texts made of the pieces that such things are
made of, and nesting of them.
"""

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from llmgw.faults import GenerationFault
from llmgw.guard import Guard
from llmgw.html_elements import ELEMENTS

SOURCE = "https://docs.example/page"
PIECES = [
    "[", "]", "(", ")", "!", "<", ">", "/", "\\", "`", "\n", "\n\n", " ", "  ", "\t", "a", "b", "x",
    "img", "script", "em", "href=", "src=", "=", "'", '"', ":", "//", "http", "https", "ftp", "://",
    "evil.example", "www.", "javascript:", "data:", "text/html", "mailto:", "&colon;", "&#58;",
    "%3A", "![a](x)", "[a](", "[r]", "[r]:", "*", "_", "#", "- ", "1. ", "    ", "```", "--", "!--",
    SOURCE, "é", "한", ".", ",", "-", "?",
]  # fmt: skip
TEXT = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
MARKDOWN = MarkdownIt("commonmark", {"html": True})


def any_link(url: str) -> bool:
    """The parser refuses some links by itself; here every one must be the guard's to refuse."""
    return True


MARKDOWN.validateLink = any_link  # type: ignore[method-assign]  # the parser's own hook


def let_through(text: str) -> str | None:
    guard = Guard(("c1",), [SOURCE], [])
    try:
        return guard.feed(text) + guard.close()
    except GenerationFault:
        return None


def tokens_of(text: str) -> list[Token]:
    found: list[Token] = []
    waiting = list(MARKDOWN.parse(text))
    while waiting:
        token = waiting.pop(0)
        found.append(token)
        waiting[:0] = token.children or []
    return found


def leads_away(href: str) -> bool:
    return bool(re.match(r"(?:[A-Za-z][A-Za-z0-9+.-]*:|[/\\]{2})", href))


@given(TEXT)
@settings(max_examples=1_500, deadline=None, derandomize=True)
@example("![`]`](//evil.example)")
@example("[a](<javascript:x>)")
@example("<javascript:x>")
@example("[a](\n//evil.example)")
@example("[r]\n\n[r]:\n//evil.example")
@example("[r]\n\n[r]: <javascript:x>")
@example("[a](&#106;avascript:x)")
@example("[a](java\\script:x)")
@example("[a](javascript&#58;x)")
@example("<a\nhref=x>")
@example("<b\nx>")
@example("<em\tx>")
def test_what_is_let_through_renders_to_nothing_that_is_blocked(text: str) -> None:
    out = let_through(text)
    if out is None:
        return
    assert out == text
    for token in tokens_of(out):
        assert token.type != "image", text
        if token.type in ("html_inline", "html_block"):
            tags = re.findall(r"</?([A-Za-z][A-Za-z0-9]*)(?=[\s/>])", token.content)
            assert not ELEMENTS & {tag.lower() for tag in tags}, text
            assert "<!--" not in token.content, text
        if token.type == "link_open":
            href = str(token.attrs["href"])
            assert href.startswith(SOURCE) or not leads_away(href), (text, href)
