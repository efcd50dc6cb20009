"""Which urls an answer may hold: those of its sources, and those that stand in their passages.

A url is allowed when it is one of them to the letter, but for the punctuation of the sentence it
ends in, or when it is where one of them begins: the address of a site, or a path above it.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Final

from contracts.limits import URL_CHARS

SCHEME_CHARS: Final = 32
_SCHEME_END: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*\Z")
# What ends a url: blanks, quotes, brackets no url holds bare, and the full stops of CJK text.
END: Final = re.compile(r"[\s<>\"`|\\^{}\u3001\u3002\uff0c\uff08\uff09\u300c\u300d]")
# What a sentence may put behind a url.
TRAILING: Final = ".,;:!?)]}'*_~\u2019\u201d\u2026"
_GOES_ON: Final = re.compile(r"[/?#]")
# A sentence ends in a few marks, a url goes on in a few places; thousands of either are an attack
# on whoever tries each.
MARKS_MAX: Final = 8
PATHS_MAX: Final = 32
_START: Final = re.compile(r"://|(?<![A-Za-z0-9])www\.", re.IGNORECASE)


def scheme_before(text: str) -> str:
    """The url scheme that `text` ends in, in lower case; empty where there is none."""
    found = _SCHEME_END.search(text[-SCHEME_CHARS:])
    return found[0].lower() if found else ""


def urls_in(text: str) -> Iterator[str]:
    """Every url that stands in a text, as far as `END`; one inside another is part of it.

    What is longer than any url is none: a text is walked once, whatever it holds.
    """
    if "://" not in text and "www." not in text.lower():
        return
    at = 0
    while found := _START.search(text, at):
        scheme = scheme_before(text[max(at, found.start() - SCHEME_CHARS) : found.start()])
        at = found.end()
        if found[0] == "://" and not scheme:
            continue
        start = found.start() - len(scheme) if found[0] == "://" else found.start()
        ended = END.search(text, at)
        at = ended.start() if ended else len(text)
        if at - start <= URL_CHARS:
            yield from _spellings(text[start:at])


def _spellings(url: str) -> Iterator[str]:
    """The url, and a `www.` host without its scheme, as people write it."""
    yield url
    if (bare := url.partition("://")[2]).lower().startswith("www."):
        yield bare


class AllowedUrls:
    """The urls of one request's sources and passages."""

    def __init__(self, urls: Collection[str], texts: Sequence[str]) -> None:
        standing = {form for text in texts for url in urls_in(text) for form in _forms(url)}
        self._urls = {*urls, *standing}
        self._above = {start for url in self._urls for start in _paths_above(url)}
        self._texts = texts

    def allows(self, url: str) -> bool:
        """Whether the url is one of them, whatever punctuation follows it."""
        return any(self._is_one(form) for form in _forms(url))

    def may_become(self, start: str) -> bool:
        """Whether one of them begins so."""
        return any(url.startswith(start) for url in self._urls)

    def quotes(self, target: str) -> bool:
        """Whether a link target that is no url of a site stands in a passage as it is."""
        return target in self._urls or any(target in text for text in self._texts)

    def _is_one(self, form: str) -> bool:
        if any(url in self._urls for url in (form, f"http://{form}", f"https://{form}")):
            return True
        return form.rstrip("/") in self._above


def _paths_above(url: str) -> Iterator[str]:
    """Where the url begins, at each place where its path, query or fragment goes on."""
    yield url
    host_at = url.find("://") + 3 if "://" in url else 0
    for found in islice(_GOES_ON.finditer(url, host_at), PATHS_MAX):
        yield url[: found.start()]


def _forms(url: str) -> Iterator[str]:
    """The url, and the same without each of the marks it ends in, of which a few count."""
    yield url
    for _ in range(MARKS_MAX):
        if not url or url[-1] not in TRAILING:
            return
        url = url[:-1]
        yield url
    yield url.rstrip(TRAILING)
