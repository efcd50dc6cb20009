"""The guard against a Markdown parser: what it lets through must render to nothing it blocks.

Goal: no image, no tag of an HTML element, no link that leads to another site. Method: texts made of
the pieces that such things are made of, alone and within their frames, rendered by
`harness.rendered`.
"""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.rendered import blocked_in
from llmgw.faults import GenerationFault
from llmgw.guard import Guard

SITE = "https://docs.example/"
SOURCE = f"{SITE}page"
PIECES = [
    "[", "]", "(", ")", "!", "<", ">", "/", "\\", "`", "\n", "\n\n", " ", "  ", "\t", "a", "b", "x",
    "img", "script", "em", "href=", "src=", "=", "'", '"', ":", "//", "http", "https", "ftp", "://",
    "evil.example", "www.", "javascript:", "data:", "text/html", "mailto:", "&colon;", "&#58;",
    "%3A", "![a](x)", "[a](", "[r]", "[r]:", "*", "_", "#", "- ", "1. ", "    ", "```", "--", "!--",
    SOURCE, "é", "한", ".", ",", "-", "?", "@", "\r", "\f", "\v", "\x00", "\x1f",
    "\u00a0", "\u2028", "\u3000", "\u200b", "\u3002", "https://docs.example",
    "&period;", "&Tab;", "{", "}", "|", "^",
]  # fmt: skip
FRAMES = [
    "[x]({})", "[x](<{}>)", "[x]:{}\n\n[x]", "[x]: <{}>\n\n[x]", "<{}>", "<b {}>", "</b {}>",
    "\n<p{}",
    "[x](https://{})", "[x](https://docs.example{})", "[x](<https://docs.example{}>)",
    "<https://docs.example{}>", "[x]:https://docs.example{}\n\n[x]", "[x]({}//evil.example)",
    "![{}](x)", "![x]{}\n\n[x]: y", "![`{}`](y)", "![[x]({})](y)", "`![x](y){}",
]  # fmt: skip
ANY = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
FEW = st.lists(st.sampled_from(PIECES), max_size=4).map("".join)
TEXT = ANY | st.builds(str.format, st.sampled_from(FRAMES), FEW)


def let_through(text: str) -> str | None:
    guard = Guard(("c1",), [SOURCE], [])
    try:
        return guard.feed(text) + guard.close()
    except GenerationFault:
        return None


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
@example("<b<x.y@evil.example>")
@example("<b x.y:z_1-2>")
@example("<b\rx>")
@example("<b\fx>")
@example("<b\u2028x>")
@example("[a](\r//evil.example)")
@example("[a](\u3000//evil.example)")
@example("[a](<\u2028b:c>)")
@example("[r]:\r//evil.example\n\n[r]")
@example("<rb:\u00a0>")
@example("<http://\u2028evil.example>")
@example("<https://docs.example/page\u3002evil.example>")
@example("[a](https://docs.example\u3002evil.example)")
@example("[a](https://docs.example\\.evil.example)")
@example("[a](https://docs.example{.evil.example)")
@example("<rb:\x00>")
@example("<www.:>")
@example("![[x](+])](x)")
@example("![`]`](x)")
@example("![`[`](x)")
@example("![r]\n\n[r]: x")
@example("[r]: x\n\n![r]")
@example("[a](http://)")
@example("[a](http:///)")
@example("[a](http://?)")
@example("[a](https://docs.example\u3000evil.example)")
@example("[a](<https://docs.example)\u3002evil.example>)")
@example("[a](<\u00a0https://docs.example evil>)")
@example("[a](\rhttps://docs.example>)")
@example("<p\t\vj")
@example("- <p x")
@example("[a](mailto:https://docs.example/page)")
@example("<http://evil.example/" + "x" * 300 + ">")
def test_what_is_let_through_renders_to_nothing_that_is_blocked(text: str) -> None:
    out = let_through(text)
    if out is None:
        return
    assert out == text
    assert list(blocked_in(out, SITE)) == []
