"""A person's words as search terms: the one tokeniser of questions and of documents.

Scripts that put spaces between words give words, which the index stems (`porter`). Scripts that
do not, and Korean, whose particles hang on the word, give overlapping pairs of characters: no
tokenizer of SQLite finds a two-character word inside a run. Both sides of the search are cut
here; of a question less is kept, never anything that a document's cutting has not (but for what
only asks: `qs.retrieval.function_words`).

Nothing a person types reaches the query language: terms hold letters, digits, marks and `_` only,
and each is quoted. Words that carry no meaning in a question are dropped; a question of nothing
else gives no terms, and then there is nothing to search for.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

from qs.retrieval.function_words import is_japanese, telling_parts

# A question may be 4,000 characters. Beyond this many distinct terms each adds cost, not meaning.
QUERY_TERMS_MAX: Final = 256

# Combining marks below these bounds are parts of words (Indic vowels, Hebrew points, accents that
# have no composed form); Python's \w leaves them out, and would cut the words at them.
_MARKS: Final = "".join(
    chr(code) for code in range(0x300, 0x1D00) if unicodedata.category(chr(code))[0] == "M"
)
# Han, kana, Hangul; then Thai, Lao, Burmese and Khmer, which put no spaces between words either.
_UNSPACED: Final = (
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003134f\u1100-\u11ff\uac00-\ud7a3\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff"
)
_RUN: Final = re.compile(rf"([{_UNSPACED}]+)|((?:(?![{_UNSPACED}])[\w{_MARKS}])+)")
_UNSPACED_ONLY: Final = re.compile(f"[{_UNSPACED}]+")
_CLITIC: Final = re.compile(r"['’](?:s|t|d|m|re|ve|ll)\b")

STOPWORDS: Final = frozenset(
    """a about after all also am an and any are as at be because been before being but by can could
    did do does doing don for from get gets had has have having he her here him his how i if in
    into is isn it its just like may me might mine more most must my no nor not of off on one only
    or other our out over own please re s same shall she should so some such t tell than that the
    their them then there these they this those to too under until up us use used using very want
    was we were what when where whether which while who whom whose why will with would you
    your""".split()  # noqa: SIM905 - words read better as prose than as a hundred literals
)


def index_terms(text: str) -> list[str]:
    """Every term of a document's text in its order, repeats included.

    The last character of an unspaced run is listed alone as well, so that every character of the
    run begins some term: that is how a question of one character finds it (`quoted`).
    """
    found: list[str] = []
    for run, unspaced in script_runs(text):
        if unspaced:
            found += _pairs(run)
            if len(run) > 1:
                found.append(run[-1])
        else:
            found += _words(run)
    return found


def query_terms(text: str) -> tuple[str, ...]:
    """The distinct terms of a question in its order, as many as are worth looking for."""
    found = dict.fromkeys(_asked(text)) or dict.fromkeys(_said(text))
    return tuple(found)[:QUERY_TERMS_MAX]


def quoted(term: str) -> str:
    """The term in FTS5's query language, where a quoted string can mean nothing but itself.

    A lone character of an unspaced script is looked for as a beginning, for the index holds it
    inside pairs (`index_terms`).
    """
    return f'"{term}"*' if is_beginning(term) else f'"{term}"'


def is_beginning(term: str) -> bool:
    """Whether the term is to be looked for as what terms begin with."""
    return len(term) == 1 and _UNSPACED_ONLY.fullmatch(term) is not None


def any_of(wanted: Iterable[str]) -> str:
    """The query that asks for any of the terms; of none, the empty phrase, which finds nothing."""
    return " OR ".join(quoted(term) for term in wanted) or '""'


def _folded(text: str) -> str:
    return _CLITIC.sub("", unicodedata.normalize("NFKC", text).casefold())


def _asked(text: str) -> Iterator[str]:
    """The terms of a question without those that only ask."""
    japanese = is_japanese(_folded(text))
    for run, unspaced in script_runs(text):
        if unspaced:
            for part in telling_parts(run, japanese=japanese):
                yield from _pairs(part)
        else:
            yield from _words(run)


def _said(text: str) -> Iterator[str]:
    """The terms of a text."""
    for run, unspaced in script_runs(text):
        yield from _pairs(run) if unspaced else _words(run)


def script_runs(text: str) -> Iterator[tuple[str, bool]]:
    """The text as runs of one script each, and whether that one puts no spaces between words."""
    for run in _RUN.finditer(_folded(text)):
        yield run[0], run[2] is None


def _pairs(run: str) -> list[str]:
    """Each character with its right neighbour; a lone character stays alone."""
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]


def _words(word: str) -> list[str]:
    """A word; of a name such as QS_INDEX_PATH, the name itself and then its parts."""
    if "_" not in word:
        return [] if word in STOPWORDS else [word]
    parts = [part for part in word.split("_") if part]
    name = ["_".join(parts)] if len(parts) > 1 else []
    return name + [part for part in parts if part not in STOPWORDS]
