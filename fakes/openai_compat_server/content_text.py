"""Operators on the answer's text: markers, links, images and tags, whole and cut in the middle.

Each is added after a drawn word, or at the end where what follows would complete it. Where the cut
matters it is made between any two characters of what was added.
"""

import re
from collections.abc import Callable
from typing import Final

from contracts.limits import GUARD_HOLD_CHARS
from contracts.reasons import ReasonCode as R
from fakes.openai_compat_server.content_operator import (
    OK,
    Apply,
    ContentOperator,
    ValidAnswer,
    amid,
    inside,
    pick,
    saying,
)
from fakes.openai_compat_server.seeded import Draw

_UNKNOWN: Final = R.CITATIONS_UNKNOWN_MARKER
_BLOCKED: Final = R.OUTPUT_BLOCKED_CONTENT
# A name nobody may have, so that no source of any prompt can vouch for it.
_SITE: Final = "unvouched.invalid"
_PAGES: Final = ("", "/", "/more.html", "/a/b?c=d#e", ":8443/login")
_SCHEMES: Final = ("https", "http", "ftp", "ws")


def _unknown(answer: ValidAnswer, draw: Draw) -> str:
    return f"c{answer.alias_count + 1 + int(draw.fraction('unknown') * 9)}"


def _uncited(answer: ValidAnswer) -> str:
    """A source of the prompt that is not cited; where all are, the one after the last."""
    numbers = range(1, answer.alias_count + 2)
    return next(f"c{it}" for it in numbers if f"c{it}" not in answer.aliases)


def _url(draw: Draw) -> str:
    return f"{pick(draw, 'scheme', _SCHEMES)}://{_SITE}{pick(draw, 'page', _PAGES)}"


def _marking(form: str) -> Apply:
    """Adds a marker of this form; `*` stands for an alias that is unknown, `+` for a cited one."""

    def apply(answer: ValidAnswer, draw: Draw) -> str:
        marker = form.replace("+", answer.aliases[0]).replace("*", _unknown(answer, draw))
        return saying(answer, amid(answer.answer, marker, draw))

    return apply


def _adding(form: str) -> Apply:
    """Adds this text; `%` in it stands for a url that no source has."""
    return lambda a, draw: saying(a, amid(a.answer, form.replace("%", _url(draw)), draw))


def _ending(form: str) -> Apply:
    """Adds this text at the end, where nothing can complete it."""
    return lambda a, draw: saying(a, f"{a.answer} {form.replace('%', _url(draw))}")


def _through(pattern: str) -> Callable[[str], tuple[str, ...]]:
    """Cuts what matches between any two of its characters, wherever it stands."""
    sought = re.compile(f"({pattern})")

    def pieces(text: str) -> tuple[str, ...]:
        parts = sought.split(text)
        cut = (piece for at, part in enumerate(parts) for piece in (part if at % 2 else (part,)))
        return tuple(piece for piece in cut if piece)

    return pieces


_MARKER: Final = _through(r"\[c\d+\]")
_TO_THE_END: Final = f"[{'c1, ' * (GUARD_HOLD_CHARS // 4 + 1)}c1]"

MARKERS: Final = (
    *(
        ContentOperator(name, about, _UNKNOWN, _marking(form))
        for name, about, form in (
            ("marker-unknown", "a marker of no source of this prompt", "[*]"),
            ("marker-none", "a marker of `c0`, which is no source", "[c0]"),
            ("marker-zero-padded", "`[c001]`, which names no source", "[c001]"),
            ("marker-upper-case", "an unknown marker in upper case", "[C99]"),
            ("marker-spaced", "an unknown marker with spaces in it", "[ * ]"),
            ("marker-in-list", "an unknown marker in a list with a cited one", "[+, *]"),
            ("marker-range", "a range of markers that goes too far", "[+-*]"),
            ("marker-full-width", "an unknown marker in CJK brackets", "【*】"),
            ("marker-in-code", "an unknown marker in a code span", "`[*]`"),
            ("marker-doubled", "an unknown marker in two pairs of brackets", "[[*]]"),
        )
    ),
    ContentOperator(
        "marker-uncited",
        "a marker of a source that the citations do not name",
        _UNKNOWN,
        lambda a, draw: saying(a, amid(a.answer, f"[{_uncited(a)}]", draw)),
    ),
    ContentOperator(
        "marker-escaped",
        "an unknown marker written with an escape",
        _UNKNOWN,
        lambda a, draw: inside(a, f" \\u005b{_unknown(a, draw)}]", draw),
    ),
    ContentOperator(
        "marker-unclosed",
        "an unknown marker that is never closed, and so is none",
        OK,
        _ending("[c99"),
    ),
    ContentOperator(
        "marker-ordinal", "`[1]`, which is no marker of this contract", OK, _adding("[1]")
    ),
    ContentOperator(
        "marker-over-hold",
        "a list of markers too long to be held, and so plain text",
        OK,
        _ending(_TO_THE_END),
    ),
    ContentOperator(
        "marker-split",
        "a cited marker, cut between any two characters",
        OK,
        _marking("[+]"),
        _MARKER,
    ),
    ContentOperator(
        "marker-unknown-split",
        "an unknown marker, cut between any two characters",
        _UNKNOWN,
        _marking("[*]"),
        _MARKER,
    ),
)

BLOCKED: Final = (
    *(
        ContentOperator(name, about, _BLOCKED, _adding(form))
        for name, about, form in (
            ("link", "a Markdown link to a page that is no source", "[more](%)"),
            ("link-bare", "the bare url of a page that is no source", "%"),
            ("link-autolink", "a url in angle brackets", "<%>"),
            ("link-in-code", "a url in a code span", "`%`"),
            ("link-titled", "a Markdown link with a title", '[more](% "The handbook")'),
            ("link-upper-case", "a url in upper case", f"HTTPS://{_SITE.upper()}/"),
            ("link-www", "a url without a scheme", f"www.{_SITE}"),
            ("link-no-scheme", "a link that leaves the scheme out", f"[more](//{_SITE}/x)"),
            ("link-backslashes", "a link with backslashes", f"[more](https:\\\\{_SITE})"),
            ("link-credentials", "a url with a name in it", f"https://docs.example@{_SITE}/"),
            ("link-mailto", "a link to a mailbox", f"[mail](mailto:someone@{_SITE})"),
            ("link-mailbox", "a mailbox in angle brackets", f"<someone@{_SITE}>"),
            ("link-javascript", "a link that is a script", "[more](javascript:alert(1))"),
            ("link-script-cased", "a script's link in mixed case", "[more](JaVaScRiPt:alert(1))"),
            ("link-entity", "a script's link behind an entity", "[x](javascript&colon;alert(1))"),
            ("link-data", "a link that is a page", "[more](data:text/html,<p>x)"),
            ("image", "a Markdown image", "![chart](%)"),
            ("image-relative", "a Markdown image of no site", "![chart](chart.png)"),
            ("image-empty", "a Markdown image of no name", "![](%)"),
            ("image-reference", "a Markdown image by reference", "![chart][1]"),
            ("image-data", "a Markdown image that is data", "![x](data:image/png;base64,AAAA)"),
            ("image-in-link", "a Markdown image in a link", "[![chart](chart.png)](page.html)"),
            ("html", "an HTML image with a handler", "<img src=x onerror=alert(1)>"),
            ("html-upper-case", "an HTML tag in upper case", "<IMG SRC=x>"),
            ("html-script", "an HTML script", "<script>alert(1)</script>"),
            ("html-bold", "harmless HTML", "<b>so</b>"),
            ("html-link", "an HTML link", '<a href="%">more</a>'),
            ("html-closing", "a closing tag alone", "</div>"),
            ("html-void", "an empty element", "<br/>"),
            ("html-svg", "an SVG with a handler and no blank", "<svg/onload=alert(1)>"),
            ("html-in-code", "an HTML tag in a code span", "`<script>`"),
        )
    ),
    ContentOperator(
        "link-reference",
        "a link by reference, and its url at the end",
        _BLOCKED,
        _ending("[more][x]\n\n[x]: %"),
    ),
    ContentOperator(
        "html-unclosed",
        "a tag that is never closed",
        _BLOCKED,
        _ending("<img src=x onerror=alert(1)"),
    ),
    *(
        ContentOperator(
            name, f"{what}, cut between any two characters", _BLOCKED, _adding(form), cut
        )
        for name, what, form, cut in (
            ("link-split", "a link", "[more](%)", _through(r"\[more\]\([^)]*\)")),
            (
                "link-script-split",
                "a script's link",
                "[x](javascript:x)",
                _through(r"\[x\]\([^)]*\)"),
            ),
            ("image-split", "an image", "![chart](%)", _through(r"!\[chart\]\([^)]*\)")),
            ("html-split", "a tag", "<script>", _through("<script>")),
        )
    ),
)

HARMLESS: Final = (
    *(
        ContentOperator(name, about, OK, _adding(form))
        for name, about, form in (
            ("html-unknown", "a word in angle brackets that is no HTML element", "<package>"),
            ("html-less-than", "a comparison", "a < b and c > d"),
            ("html-entities-in-answer", "HTML entities, which are text", "&lt;b&gt; &amp; &quot;"),
            ("markdown", "Markdown that leads nowhere", "**so**, `code`, *really* and #1"),
            ("emoji", "an emoji of several code points", "👩‍💻"),
            ("exclamation", "brackets behind an exclamation that are no image", "wow! [note]"),
        )
    ),
)

TEXT: Final = (*MARKERS, *BLOCKED, *HARMLESS)
