"""The answer's text, watched as it streams: no marker, link, image or tag nobody vouched for.

`feed` gives back what may be shown; what could still become one of these is held, at most
`GUARD_HOLD_CHARS` of it, past which it is plain text. What was fed comes out unchanged, or a
GenerationFault ends the answer. What counts:

 - a marker is `[c1]`, also `[C1]`, `[ c1 ]`, `[c1, c2]`, `[c1-c3]`, `【c1】`; each alias in it must
   be cited, to the letter (`c01` is no alias);
 - an image is `![…](` or `![…][`, its brackets matched, nothing of it is let out from `!` on; and
   `![x]` where a line begins with `[x]:`, before it or after;
 - a tag is `<`, perhaps `/`, the name of an HTML element and what can follow a name in a tag; of
   the one-letter elements a `>` or an attribute must follow, since people write `a <b`. Comments,
   doctypes and CDATA too. `<package>` and `List<String>` are text;
 - a url is `scheme://…`, `www.…`, `javascript:…`, `vbscript:…`, `data:type/…`, and in a link's
   target whatever names a scheme or a host, the target judged whole: Markdown undoes escapes, and
   takes into it what ends a url in a sentence. Only the scheme's name is let out before that.
   Other relative targets lead nowhere else and pass. Code spans exempt nothing;
 - a mailbox is `<name@host>`, in angle brackets, which Markdown makes a link of.

No regular expression here looks further than one character, so the work is linear in the text.
"""

import re
from collections.abc import Collection, Sequence
from typing import Final

from attrs import define, field

from contracts.limits import GUARD_HOLD_CHARS
from contracts.reasons import ReasonCode
from llmgw.faults import GenerationFault
from llmgw.html_elements import ELEMENTS
from llmgw.urls import END, SCHEME_CHARS, TRAILING, AllowedUrls, scheme_before

_TRIGGER: Final = re.compile(r"[\[［【!<:\]wW]")
_OPEN, _CLOSE = "[［【", "]］】"
_IN_MARKER: Final = frozenset("cC0123456789 \t,;，、;-–")
_SEPARATORS: Final = re.compile(r"[,;，、;\-–]")
_ALIAS: Final = re.compile(r"[cC][0-9]+")
_DECLARATIONS: Final = ("<!--", "<!doctype", "<![cdata[")
_SCRIPT_SCHEMES: Final = frozenset({"javascript", "vbscript"})
_NAME_END: Final = re.compile(r"[^A-Za-z0-9]")
_MIME_END: Final = re.compile(r"[^A-Za-z0-9.+-]")
# What stands before a link's target, what it ends in or goes on by (no blank but ASCII's), and what
# one in angle brackets ends in.
_TARGET_SIGNS: Final = re.compile(r"[()\x01-\x20\x7f]")
_BLANKS: Final = re.compile(r"[\s<]*")
_ANGLED_END: Final = re.compile(r"[>\r\n]")
# What ends `<scheme:…>` and `<name@host>`, which CommonMark (0.31, 6.5) reads as links, and NUL as
# a letter.
_AUTOLINK_END: Final = re.compile(r"[<>\x01-\x20]")
_MAILBOX_END: Final = re.compile(r"[^A-Za-z0-9.!#$%&'*+/=?^_`{|}~@-]")
# The hold, and the character that passes it.
_SEEN_CHARS: Final = GUARD_HOLD_CHARS + 1
_BEFORE_CHARS: Final = SCHEME_CHARS + 1


# The label of a definition that begins too far back to be seen.
_ANY: Final = "]"


class _MoreNeeded(Exception):
    """What follows decides."""


@define
class Guard:
    """One answer's text. `cited`: its aliases; urls may come from `allowed_urls` and texts."""

    cited: Collection[str]
    allowed_urls: Collection[str]
    allowed_texts: Sequence[str]
    _allowed: AllowedUrls = field(init=False)
    _held: str = field(default="", init=False)
    _before: str = field(default="", init=False)  # what was let out last
    _url: str = field(default="", init=False)  # the part of a long url that was let out
    _ending: bool = field(default=False, init=False)
    _pictures: set[str] = field(factory=set, init=False)
    _definitions: set[str] = field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        self._allowed = AllowedUrls(self.allowed_urls, self.allowed_texts)

    def feed(self, text: str) -> str:
        """Take more text; the text that may be shown now. Raises GenerationFault."""
        self._held += text
        return self._let_out()

    def close(self) -> str:
        """The rest. Raises GenerationFault."""
        self._ending = True
        return self._let_out()

    def _let_out(self) -> str:
        text, at = self._held, 0
        try:
            while True:
                if self._url:
                    at += self._rest_of_url(text[at : at + _SEEN_CHARS])
                elif found := _TRIGGER.search(text, at):
                    at = found.start()
                    at += self._judge(text, at)
                else:
                    at = len(text)
                    break
        except _MoreNeeded:
            pass  # from `at` on
        self._held = text[at:]
        self._before = (self._before + text[:at])[-_BEFORE_CHARS:]
        return text[:at]

    def _judge(self, text: str, at: int) -> int:
        """How many characters from this trigger on are plain. Raises where they are not.

        No more is seen than if the text came character by character, so that however it is cut,
        the same is seen.
        """
        start = max(0, at - _BEFORE_CHARS)
        seen, at = text[start : at + _SEEN_CHARS], at - start
        sign = seen[at]
        try:
            if sign in _OPEN:
                self._check_marker(seen, at)
            elif sign == "!":
                self._check_image(seen, at)
            elif sign == "<":
                self._check_tag(seen, at)
                self._check_mailbox(seen, at)
            elif sign == "]":
                self._check_target(seen, at)
            elif sign == ":":
                return self._check_scheme(seen, at)
            else:
                return self._check_www(seen, at)
        except _MoreNeeded:
            if not self._ending and len(seen) - at < _SEEN_CHARS:
                raise
        return 1

    def _check_marker(self, text: str, at: int) -> None:
        for end in range(at + 1, len(text)):
            if text[end] in _CLOSE:
                return self._check_aliases(text[at + 1 : end])
            if text[end] not in _IN_MARKER:
                return None
        raise _MoreNeeded

    def _check_aliases(self, inside: str) -> None:
        named = [part.strip() for part in _SEPARATORS.split(inside)]
        is_marker = all(_ALIAS.fullmatch(alias) for alias in named)
        if is_marker and any(alias.lower() not in self.cited for alias in named):
            code = ReasonCode.CITATIONS_UNKNOWN_MARKER
            raise GenerationFault(code, "the text cites what the citations do not")

    def _check_image(self, text: str, at: int) -> None:
        if _char(text, at + 1) != "[":
            return
        depth = 0
        escaped = loose = False
        for place in range(at + 1, len(text)):
            sign = text[place]
            depth += 0 if escaped else (sign == "[") - (sign == "]")
            escaped = sign == "\\" and not escaped
            follows = self._char(text, place + 1) if sign == "]" else ""
            # What stands in a code span, a tag or a target is no bracket; who knows where it ends.
            loose = loose or sign in "`<" or follows == "("
            if not follows or not (loose or depth == 0):
                continue
            if follows in ("(", "["):
                raise _blocked("an image")
            self._names(text[at + 2 : place], self._pictures, self._definitions)
            if not loose:
                return
        raise _MoreNeeded

    def _char(self, text: str, at: int) -> str:
        """The character there; at the answer's end a blank."""
        return " " if self._ending and at == len(text) else _char(text, at)

    def _names(self, label: str, to: set[str], of: set[str]) -> None:
        """`![x]` is an image where `[x]: …` says which, before it or after it."""
        label = " ".join(label.split()).upper().casefold()
        to.add(label)
        if of & {label, _ANY} or (label == _ANY and of):
            raise _blocked("an image")

    def _check_tag(self, text: str, at: int) -> None:
        start = text[at : at + 9].lower()
        if any(start.startswith(declared) for declared in _DECLARATIONS):
            raise _blocked("a declaration")
        if any(declared.startswith(start) for declared in _DECLARATIONS):
            raise _MoreNeeded
        name_at = at + (2 if _char(text, at + 1) == "/" else 1)
        ended = _NAME_END.search(text, name_at)
        name = text[name_at : ended.start() if ended else len(text)].lower()
        if ended is None and any(element.startswith(name) for element in ELEMENTS):
            raise _MoreNeeded
        if ended is None or name not in ELEMENTS:
            return
        is_short = len(name) == 1 and not (name == "p" and self._may_begin_a_block(text, at))
        if text[ended.start()] in "/>" or (text[ended.start()].isspace() and not is_short):
            raise _blocked("a tag")
        if text[ended.start()].isspace():
            is_long = len(text) - at == _SEEN_CHARS
            self._check_short_tag(text, ended.start(), is_long=is_long)

    def _may_begin_a_block(self, text: str, at: int) -> bool:
        """At a line's start, or behind a list's or a quote's mark, `<p ` alone makes HTML."""
        before = (self._before + text[:at])[-_BEFORE_CHARS:].rstrip(" \t")
        return not before[-1:].isalnum()

    def _check_short_tag(self, text: str, at: int, *, is_long: bool) -> None:
        """Of `<b …`: a tag when an attribute's `=` or a `>` comes, and nothing no tag holds."""
        has_name = False
        for sign in text[at:]:
            if sign == ">" or (sign == "=" and has_name):
                raise _blocked("a tag")
            if sign.isspace() or sign == "/":
                continue
            if not (sign.isalnum() or sign in "-_.:"):
                return
            has_name = True
        if is_long:
            raise _blocked("a tag")
        raise _MoreNeeded

    def _check_mailbox(self, text: str, at: int) -> None:
        ended = _MAILBOX_END.search(text, at + 1)
        if ended is None:
            raise _MoreNeeded
        name = text[at + 1 : ended.start()]
        if ended[0] == ">" and "@" in name and not self._allowed.quotes(name):
            raise _blocked("a link")

    def _check_target(self, text: str, at: int) -> None:
        """The target of a link, or of a link's definition, that names a scheme or a host."""
        sign = _char(text, at + 1)
        if sign not in "(:":
            return
        blanks = _BLANKS.match(text, at + 2)
        start = blanks.end() if blanks else len(text)
        end = _target_end(text, start, angled="<" in text[at:start])
        target = text[start:end]
        is_long = end is None and len(text) - at == _SEEN_CHARS
        if end is None and not (is_long or self._ending):
            raise _MoreNeeded
        leads_away = _leads_away(target) and not self._vouched_for(target, goes_on=is_long)
        if leads_away or (is_long and not target):
            raise _blocked("a link")
        if sign == ":":
            self._check_definition((self._before + text[:at])[-_BEFORE_CHARS:])

    def _check_definition(self, text: str) -> None:
        """Whether the text ends in `[x`, where that may begin a line, a list's item or a quote."""
        before, bracket, label = text.rpartition("[")
        last = before.rstrip(" \t")[-1:]
        if last in "\r\n>*+-.)\\":
            is_known = bracket and last != "\\"
            self._names(label if is_known else _ANY, self._definitions, self._pictures)

    def _vouched_for(self, link: str, *, goes_on: bool) -> bool:
        """Whether a passage holds it, or the beginning of one that goes on past the hold."""
        allowed = self._allowed
        return (
            allowed.quotes(link) or allowed.allows(link) or (goes_on and allowed.may_become(link))
        )

    def _check_scheme(self, text: str, at: int) -> int:
        before = self._before + text[max(0, at - SCHEME_CHARS - 1) : at]
        scheme = scheme_before(before)
        if not scheme:
            return 1
        if before[: -len(scheme)].endswith("<"):
            self._check_autolink(text, at, scheme)
        follows = _char(text, at + 1)
        if scheme in _SCRIPT_SCHEMES and not follows.isspace():
            raise _blocked("a script's url")
        if scheme == "data" and (mime_end := _MIME_END.search(text, at + 1)) is None:
            raise _MoreNeeded
        if scheme == "data" and mime_end and mime_end.start() > at + 1 and mime_end[0] == "/":
            raise _blocked("a url of data")
        if follows != "/" or _char(text, at + 2) != "/":
            return 1
        return self._check_url(text, at, scheme + "://", at + 3)

    def _check_autolink(self, text: str, at: int, scheme: str) -> None:
        """`<scheme:…>` is a link, whatever the scheme; a blank or a `<` in it makes it text."""
        ended = _AUTOLINK_END.search(text, at + 1)
        is_long = ended is None and len(text) - at == _SEEN_CHARS
        if ended is None and not is_long:
            if self._ending:
                return
            raise _MoreNeeded
        if ended and ended[0] != ">":
            return
        link = scheme + text[at : ended.start() if ended else len(text)]
        if not self._vouched_for(link, goes_on=is_long):
            raise _blocked("a link")

    def _check_www(self, text: str, at: int) -> int:
        before = text[at - 1 : at] or self._before[-1:]
        if before.isascii() and before.isalnum():
            return 1
        for offset, expected in enumerate("www."):
            if _char(text, at + offset).lower() != expected:
                return 1
        return self._check_url(text, at, text[at : at + 4].lower(), at + 4)

    def _check_url(self, text: str, at: int, start: str, rest_at: int) -> int:
        """Judge a url whose rest begins at `rest_at`; how much of the text it takes up."""
        ended = END.search(text, rest_at)
        end = ended.start() if ended else len(text)
        if ended is None and (len(text) - at == _SEEN_CHARS or not self._ending):
            self._goes_on(text, at, start + text[rest_at:])
        elif not text[rest_at:end].rstrip(TRAILING):
            return rest_at - at
        else:
            self._must_be_allowed(start + text[rest_at:end])
        return end - at

    def _goes_on(self, text: str, at: int, url: str) -> None:
        """Hold a url that goes on; one longer than the hold must be one we know so far."""
        if len(text) - at < _SEEN_CHARS:
            raise _MoreNeeded
        if not self._allowed.may_become(url):
            raise _blocked("a url")
        self._url = url

    def _rest_of_url(self, seen: str) -> int:
        """More of a url of which the beginning is out: how much of what is seen it takes up."""
        ended = END.search(seen)
        end = ended.start() if ended else len(seen)
        url = self._url + seen[:end]
        if ended is None and (len(seen) == _SEEN_CHARS or not self._ending):
            self._goes_on(seen, 0, url)
        else:
            self._must_be_allowed(url)
            self._url = ""
        return end

    def _must_be_allowed(self, url: str) -> None:
        if not self._allowed.allows(url):
            raise _blocked("a url")


def _char(text: str, at: int) -> str:
    """The character there; what is not there yet decides."""
    if at >= len(text):
        raise _MoreNeeded
    return text[at]


def _target_end(text: str, start: int, *, angled: bool) -> int | None:
    """Where a link's target ends that begins there: its brackets are matched (CommonMark, 6.3)."""
    if angled:
        ended = _ANGLED_END.search(text, start)
        return ended and ended.start()
    depth = 0
    for found in _TARGET_SIGNS.finditer(text, start):
        depth += (found[0] == "(") - (found[0] == ")")
        if depth < 0 or found[0] not in "()":
            return found.start()
    return None


def _leads_away(target: str) -> bool:
    """Whether a link's target names a host or a scheme."""
    if target[:1] in ("/", "\\") and target[1:2] in ("/", "\\", "&"):
        return True
    return any(sign in ":&\\" for sign in re.split(r"[/?#]", target, maxsplit=1)[0])


def _blocked(what: str) -> GenerationFault:
    return GenerationFault(ReasonCode.OUTPUT_BLOCKED_CONTENT, f"{what} nobody vouched for")
