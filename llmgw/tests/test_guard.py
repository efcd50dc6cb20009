"""The guard: text in, the same text out or a fault, whatever way it is cut."""

import contextlib
import itertools
import time
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.limits import GUARD_HOLD_CHARS
from contracts.reasons import ReasonCode
from llmgw.faults import GenerationFault
from llmgw.guard import Guard

SOURCE_URL = "https://docs.example/faq/page.html#top"
PASSAGE = (
    "See http://127.0.0.1:8088/chat?stream=true, or www.debian.org. Mail mailto:a@b.example now."
    " Read news:a(b)c and news:a((b)e)f daily."
)
LONG_URL = "https://long.example/" + "x" * 600
URL = ReasonCode.OUTPUT_BLOCKED_CONTENT
MARKER = ReasonCode.CITATIONS_UNKNOWN_MARKER


def guarded(pieces: Iterable[str], cited: tuple[str, ...] = ("c1", "c2")) -> tuple[str, object]:
    """What came out, and the code that ended it, if one did."""
    guard = Guard(cited, [SOURCE_URL, LONG_URL], [PASSAGE])
    out = ""
    try:
        for piece in pieces:
            out += guard.feed(piece)
            assert len(guard._held) <= GUARD_HOLD_CHARS + len(piece)
        out += guard.close()
    except GenerationFault as fault:
        return out, fault.code
    return out, None


PASSES = [
    "",
    "Plain text, with a [1], an arr[c], a [c], and a [note].",
    "Cited [c1], [C2], [ c1 ], [c1, c2], [c1][c2] and 【c1】.",
    "Run `dpkg -S /bin/ls` or apt-get install <package>; a < b, x <- y, List<String>, <-->",
    "a <b and c",
    "if a <b && c> d",
    "std::vector, 12:30, Note: data: the rest, javascript: a language, key:value",
    "let v = vec![1, 2, 3]; really! [sic]",
    f"See {SOURCE_URL}.",
    f"([the page]({SOURCE_URL})), and <{SOURCE_URL}>",
    "The chat is at http://127.0.0.1:8088/chat?stream=true.",
    "The chat is at `http://127.0.0.1:8088`, at http://127.0.0.1:8088/ too.",
    "www.debian.org and WWW are names, as is awww. cute",
    "Mail [us](mailto:a@b.example).",
    f"A long one in brackets: <{LONG_URL}>, [x]({LONG_URL}).",
    "if x <p then, 0<p < 1, [a](https://docs.example/faq/page.html#top 'title').",
    "A [relative](page_(x).html), and [`](https://docs.example/faq/page.html#top), [1]: here.",
    "if a <b: then, a <b. Or, <https://docs.example and <https://docs.example",
    "A [relative](page.html#x) link, arr[0](x), [y]: see below",
    "&lt;script&gt; is text, a@b.example as well, and http:// alone",
    "It works![c1] There are two ways [c2]: this one, and that![c1] Note [1]: so it is.",
    "[c1]: it works![c2]: yes, [c2]: no.",
    "It begins with https://, or with ftp://... or www.",
    f"A long one: {LONG_URL} ends.",
    "</ and <1 and <!> and <",
    "Mail <mailto:a@b.example>, or <note: this>, <a:b<c> and <x:y",
    "if a <b XX, c, and a <b / = c",
    "Mail <a@b.example>, a@evil.example, <c@d.example, and <x y@d.example> or <@",
    "[a](page.html#b:c), [d](X.html), [e](https://docs.example/), [f](X//y), [g]Xh&i j",
    "A [rooted](/page.html) link, key:/value, see a:b/c, data:/x/y and data:/x",
    "[h](news:a(b)c) [i](news:a((b)e)f) [j](<news:a(b)c> 'of the day') and more.",
    "![sic] and\n[y]: page.html",
    "Look at <https://docs.example/>, and at awww.more.example, ![sic]X",
    "한국어 [c1] 日本語。 https://docs.example/faq/page.html#top。",
]

BLOCKED = [
    ("[c3]", MARKER),
    ("text [c1, c3] text", MARKER),
    ("[C9]", MARKER),
    ("【c7】", MARKER),
    ("[c01]", MARKER),
    ("[c1-c4]", MARKER),
    ("[[c3]]", MARKER),
    ("![alt](x.png)", URL),
    ("![](http://evil.example/x.png)", URL),
    ("![a[b]c](x)", URL),
    ("![alt][ref]", URL),
    ("![`]`](x)", URL),
    ("![`[`](x)", URL),
    ("![r], and then\n[r]: x", URL),
    ("![`r`], and then\n[`r`]: x", URL),
    ("![Two  words], and then\n[two words]: x", URL),
    ("![" + "long " * 20 + "], and then\n[" + "long " * 20 + "]: x", URL),
    ("![a\\[b]\n\n[a\\[b]: x", URL),
    ("\n[r]: x\n and then ![r]", URL),
    ("\n > - [r]: x\n and then ![r]", URL),
    ("![a\\](x)](x)", URL),
    ("![a\\]](x)", URL),
    ("![a\\\\](x)", URL),
    ("![a\\[](x)", URL),
    ("(:[c9]", MARKER),
    ("note:[c9]", MARKER),
    ("aw[c9]", MARKER),
    ("w[c9]", MARKER),
    ("<br ", URL),
    ("<li x", URL),
    ("<tel:X1>", URL),
    ("<" + "s" * 32 + ":x>", URL),
    ("data:a/b", URL),
    ("<script>", URL),
    ("</div>", URL),
    ("<br/>", URL),
    ("<IMG SRC=x>", URL),
    ("<img/src=x>", URL),
    ("<img\nsrc=x", URL),
    ("<a href=x>", URL),
    ("<b>", URL),
    ("<b class", None),
    ("<b class='x'", URL),
    ("<b X=y", URL),
    ("<b >", URL),
    ("<b\n/>", URL),
    ("<mailto:c@d.example>", URL),
    ("<tel:1>", URL),
    ("<tel://>", URL),
    ("<c@d.example>", URL),
    ("<b.c+d@evil.example>", URL),
    ("<x<c@d.example>", URL),
    ("<x:>", URL),
    ("<x:" + "y" * 300 + ">", URL),
    ("<http://evil.example", URL),
    ("<http://evil.example/" + "x" * 300 + ">", URL),
    ("<b x.y:z>", URL),
    ("<b\rx>", URL),
    ("[x](\r//evil.example)", URL),
    ("[x](\u3000//evil.example)", URL),
    ("[x](https://docs.example\\.evil.example)", URL),
    ("[x](https://docs.example\u3002evil.example)", URL),
    ("[x](ftp://)", URL),
    ("[x](news:a(b)d)", URL),
    ("![\u0131] and\n[I]: page.html", URL),
    ("[x](news:a((b)c)d)", URL),
    ("[x](<news:a(b)cd>)", URL),
    ("[x](https:///)", URL),
    ("[x](<https://docs.example)\u3002evil.example>)", URL),
    ("\n<p x", URL),
    ("<b " + "x " * 200, URL),
    ("<a" + " " * 300 + "href=x>", URL),
    ("[x](" + " " * 300 + "//evil.example)", URL),
    ("[x](//evil.example/" + "x" * 300 + ")", URL),
    ("\n 1. <p x", URL),
    ("[x](mailto:https://docs.example/)", URL),
    ("<!-- x", URL),
    ("<!DOCTYPE html", URL),
    ("<svg onload=alert(1)>", URL),
    ("http://evil.example", URL),
    ("HTTP://EVIL.EXAMPLE/x", URL),
    ("https://docs.example.evil.example/", URL),
    ("https://docs.example/faq/page.html#top.evil.example", URL),
    ("http://127.0.0.1:80", URL),
    ("ftp://evil.example", URL),
    ("javascript:alert(1)", URL),
    ("JaVaScRiPt:alert(1)", URL),
    ("vbscript:x", URL),
    ("data:text/html,x", URL),
    ("[x](data:,x)", URL),
    ("[x](//evil.example)", URL),
    ("[x]( <//evil.example>)", URL),
    ("[x](\n<//evil.example>)", URL),
    ("[x](/\\evil.example)", URL),
    ("[x](/&sol;evil.example)", URL),
    ("[x](javascript&colon;alert(1))", URL),
    ("[x](http:\\\\evil.example)", URL),
    ("[x](mailto:c@d.example)", URL),
    ("[x]: //evil.example", URL),
    ("www.evil.example", URL),
    ("see WWW.EVIL.EXAMPLE", URL),
    ("https://long.example/" + "x" * 300 + "y" * 600, URL),
    ("http://" + "a" * 2_000, URL),
]


@pytest.mark.parametrize("text", PASSES)
def test_text_comes_out_unchanged_when_nothing_in_it_is_blocked(text: str) -> None:
    assert guarded([text]) == (text, None)
    assert guarded(text) == (text, None)


@pytest.mark.parametrize(("text", "code"), BLOCKED)
def test_what_nobody_vouched_for_ends_the_answer(text: str, code: ReasonCode | None) -> None:
    for pieces in ([f"Before {text}"], [*"Before ", *text], ["Before ", text, " after"]):
        out, got = guarded(pieces)
        assert got is code
        assert "evil" not in out
        assert (
            "Before http".startswith(out)
            or code is None
            or len(text) > GUARD_HOLD_CHARS
            or (f"Before {text}".startswith(out))
        )


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("[c9]", "the text cites what the citations do not"),
        ("![secret](x)", "an image nobody vouched for"),
        ("<script secret", "a tag nobody vouched for"),
        ("<b secret=", "a tag nobody vouched for"),
        ("<b >", "a tag nobody vouched for"),
        ("<!--secret", "a declaration nobody vouched for"),
        ("[x](//secret.example)", "a link nobody vouched for"),
        ("<mailto:secret@d.example>", "a link nobody vouched for"),
        ("<secret@d.example>", "a link nobody vouched for"),
        ("javascript:secret", "a script's url nobody vouched for"),
        ("data:text/secret", "a url of data nobody vouched for"),
        ("http://secret.example", "a url nobody vouched for"),
        ("http://" + "secret" * 100, "a url nobody vouched for"),
    ],
)
def test_fault_says_what_it_was_and_quotes_nothing(text: str, detail: str) -> None:
    guard = Guard(("c1",), [], [])
    with pytest.raises(GenerationFault) as caught:
        guard.feed(text)
        guard.close()
    assert caught.value.detail == detail


def test_a_scheme_alone_is_text_when_no_url_is_known() -> None:
    guard = Guard((), [], [])
    assert guard.feed("http:// and https://") + guard.close() == "http:// and https://"


def test_no_marker_is_known_when_nothing_is_cited() -> None:
    assert guarded("see [c1]", cited=()) == ("see ", MARKER)


@pytest.mark.parametrize("text", ["ok ![alt text](x)", "ok <script>", "ok [c9]", "ok [c1,c9]"])
def test_nothing_of_an_image_a_tag_or_a_marker_is_let_out(text: str) -> None:
    assert guarded(text)[0] == "ok "


@pytest.mark.parametrize(
    ("opening", "goes_on"),
    [
        ("[c1", ", c1"),
        ("![", "x"),
        ("](", "x"),
        ("](mailto", "x"),
        ("[c", "1"),
        ("<x", "@"),
    ],
)
def test_no_more_is_held_than_the_hold(opening: str, goes_on: str) -> None:
    guard = Guard(("c1",), [], [])
    held = len(opening) - len(guard.feed(opening))
    for _ in range(GUARD_HOLD_CHARS):
        held += len(goes_on) - len(guard.feed(goes_on))
        assert held <= GUARD_HOLD_CHARS


def test_a_link_that_has_ended_holds_nothing_back() -> None:
    guard = Guard((), [SOURCE_URL], [])
    text = f"A [link](page.html), and [one]({SOURCE_URL}) "
    assert guard.feed(text) == text


@pytest.mark.parametrize("before", ["", "See also ", "x" * 300 + " "])
def test_a_url_that_goes_on_is_held_to_the_hold_whatever_stands_before_it(before: str) -> None:
    guard = Guard((), [LONG_URL], [])
    said, held = before + "https", LONG_URL.removeprefix("https")
    assert guard.feed(said + held[:GUARD_HOLD_CHARS]) == said
    assert guard.feed(held[GUARD_HOLD_CHARS:] + " ") == held + " "


FRAGMENTS = [
    "[c1]", "[c2", "]", "c3", "![", "](", ")", "<", "b", ">", "=", " ", "http", "://", "x.example",
    SOURCE_URL, "www.", ".", "script", "javascript:", "data:", "text/", "\n", "[", "<!--", "//",
    "debian.org", ",", "\\", "한", LONG_URL[:300], "@",
]  # fmt: skip
HOSTILE = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join)


@given(HOSTILE, st.data())
@settings(max_examples=400, deadline=None)
def test_any_cut_of_any_text_ends_the_same(text: str, data: st.DataObject) -> None:
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    cuts = [0, *places, len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(cuts)]
    whole_out, whole_code = guarded([text])
    out, code = guarded(pieces)
    assert code is whole_code
    if code is None:
        assert out == whole_out == text
    else:
        assert text.startswith(out)


# What goes past the hold, at lengths about it.
LONG = [
    "[x](//evil.example/{}",
    "[x](//evil.example/{})",
    "[x]: //evil.example/{} and",
    "[x](d{}:evil)",
    "[x](d{}\\evil)",
    "[x]({}//evil.example)",
    f"See {SOURCE_URL}{{}}",
    f"See {SOURCE_URL}{{}} and",
    f"See {LONG_URL}{{}} and",
    "![{}](x)",
    "[c1,{}c9]",
    "<b {}>",
    "<xmpp:{}>",
    "<c@d{}>",
    "data:text{}/html",
]


@pytest.mark.parametrize("text", LONG)
@pytest.mark.parametrize("filler", [".", " ", "a", "x.", "c1,"])
@pytest.mark.parametrize("chars", [230, *range(236, 262), 500, 520, 900])
def test_any_cut_of_what_is_longer_than_the_hold_ends_the_same(
    text: str, filler: str, chars: int
) -> None:
    text = text.format((filler * chars)[:chars])
    _, code = guarded([text])
    for width in (1, 3, 100):
        pieces = [text[at : at + width] for at in range(0, len(text), width)]
        assert guarded(pieces)[1] is code
    if text.startswith(("[x](//evil", "[x]: //evil")):
        assert code is URL


HOSTILE_PASSAGES = [
    "package file. http://a" + "!" * 31_000,
    "www." * 8_000,
    "http://" * 4_500,
    " ".join(f"http://h{number}.example" for number in range(1_500)),
]


@pytest.mark.parametrize("passage", HOSTILE_PASSAGES)
@pytest.mark.parametrize("answer", ["http://a" + "!" * 8_000, "www." * 2_000, "fine"])
def test_hostile_passages_cost_neither_time_nor_memory(passage: str, answer: str) -> None:
    tracemalloc.start()
    began = time.process_time()
    guard = Guard(("c1",), [], [passage] * 8)
    with contextlib.suppress(GenerationFault):
        guard.feed(answer)
        guard.close()
    took = time.process_time() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * 2**20
    assert took < 2, "linear work takes a small part of this"


def seconds_for(text: str, width: int) -> float:
    guard = Guard(("c1",), [SOURCE_URL], [PASSAGE])
    began = time.process_time()
    for at in range(0, len(text), width):
        guard.feed(text[at : at + width])
    guard.close()
    return time.process_time() - began


@pytest.mark.parametrize("unit", ["[", "<", "![", "[c", "w", ":", "](", "a", "<b "])
def test_work_is_linear_on_hostile_text(unit: str) -> None:
    short, long = unit * (2_000 // len(unit)), unit * (32_000 // len(unit))
    base = min(seconds_for(short, 4) for _ in range(3))
    assert min(seconds_for(long, 4) for _ in range(2)) < 16 * base * 6 + 0.05
