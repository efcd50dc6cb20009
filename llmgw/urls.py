"""Which urls an answer may hold: those of its sources, and those that stand in their passages.

A url is allowed when it is one of them to the letter, but for the punctuation of the sentence it
ends in, or when it is where one of them begins: the address of a site, or a path above it.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

SCHEME_CHARS: Final = 32
_SCHEME_END: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*\Z")
_WWW: Final = re.compile(r"(?<![A-Za-z0-9])www\.", re.IGNORECASE)
# What ends a url: blanks, quotes, brackets no url holds bare, and the full stops of CJK text.
END: Final = re.compile(r"[\s<>\"`|\\^{}\u3001\u3002\uff0c\uff08\uff09\u300c\u300d]")
_TRAILING: Final = ".,;:!?)]}'*_~\u2019\u201d\u2026"
_GOES_ON: Final = ("", "/", "?", "#")


def scheme_before(text: str) -> str:
    """The url scheme that `text` ends in, in lower case; empty where there is none."""
    found = _SCHEME_END.search(text[-SCHEME_CHARS:])
    return found[0].lower() if found else ""


def urls_in(text: str) -> Iterator[str]:
    """Every url that stands in a text, as far as `END`."""
    at = text.find("://")
    while at >= 0:
        if scheme := scheme_before(text[max(0, at - SCHEME_CHARS) : at]):
            yield _to_end(text, at - len(scheme))
        at = text.find("://", at + 3)
    for found in _WWW.finditer(text):
        yield _to_end(text, found.start())


class AllowedUrls:
    """The urls of one request's sources and passages."""

    def __init__(self, urls: Collection[str], texts: Sequence[str]) -> None:
        standing = {form for text in texts for url in urls_in(text) for form in _forms(url)}
        self._urls = {*urls, *standing}
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
        bare = form.rstrip("/")
        return any(url.startswith(bare) and url[len(bare) :][:1] in _GOES_ON for url in self._urls)


def _to_end(text: str, start: int) -> str:
    end = END.search(text, start)
    return text[start : end.start() if end else len(text)]


def _forms(url: str) -> Iterator[str]:
    """The url, and the same without each of the marks it ends in."""
    yield url
    while url and url[-1] in _TRAILING:
        url = url[:-1]
        yield url
