"""What to search for when a question leans on those before it. Pure, and without a model.

    queries("And how do I remove it?", ["What is APT?"])
        -> ("remove apt", "And how do I remove it?")
    fused(found, top_k)                 the hits of both, as one list

A question that stands by itself is searched for as it is. One leans when it says so, by a word that
points back (*it*, それ, 它, 그것) or goes on (*and*, では, 那, 그럼), and has few telling words of
its own; or when it has none. Then the telling words of the question before it are looked for as
well, and where that one leaned too, those of the one before it, back to one that did not.

It errs towards leaving a question alone, and a question that was thought to lean is searched for
by itself as well: "And dpkg?" asks about dpkg, whatever was asked before. A passage that both find
comes first, then each one's best in turn.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from attrs import frozen

from qs.retrieval.port import Hit
from qs.retrieval.query import STOPWORDS, script_runs

# A question with more telling words than this names what it is about. Of what it points back with,
# no more than so many stand before it: what comes later is more likely to mean one of those.
OWN_WORDS_MAX: Final = 4
BEFORE_POINTER_MAX: Final = 3
# The same for scripts that put no spaces between words, and for Korean, in characters.
OWN_CHARS_MAX: Final = 12
# How far back, and how much of it: more words describe a case, not a subject.
QUESTIONS_MAX: Final = 3
# Where there are two searches, so many hits of each are looked at: what both find may be far down.
FUSED_HITS: Final = 20
RANK_OFFSET: Final = 60  # as usual: the first ranks differ little, so what both find wins
WORDS_MAX: Final = 12

_GOES_ON: Final = frozenset(["and", "but", "or", "so", "also", "then"])
_ABOUT: Final = re.compile(r"\W*(?:what|how) about\b")
_POINTERS: Final = frozenset(["it", "they", "them", "these", "those", "there", "then", "such"])
# They point back as the last word, or behind one of those; elsewhere they join sentences.
_PERHAPS: Final = frozenset(["this", "that", "one", "ones", "same"])
_BEFORE_PERHAPS: Final = frozenset(
    [
        "about",
        "after",
        "against",
        "at",
        "by",
        "do",
        "does",
        "doing",
        "for",
        "from",
        "in",
        "is",
        "like",
        "of",
        "on",
        "than",
        "to",
        "undo",
        "with",
    ]
)
_SAYS_NOTHING: Final = frozenset(["again", "another", "else", "instead", "ones", "theirs"])
# "Is it possible", "how long does it take", "is there": they stand for nothing.
_IDLE_AFTER_IT: Final = frozenset(
    [
        "better",
        "matter",
        "mean",
        "necessary",
        "possible",
        "safe",
        "sensible",
        "take",
        "takes",
        "worth",
    ]
)
_IDLE_BEFORE_THERE: Final = frozenset(["is", "are", "was", "were"])

_POINTS_BACK: Final = re.compile(
    "それ|これ|あれ|そこ|その|この|そんな|そう|同じ|ほか|他に|他の|もの[はをもが]|^(?:では|じゃ|また|あと)"
    "|它|这|那|其他|其中|还有|另外|同样|呢$|的(?:可以|能|会|吗)"
    "|그것|그거|그건|그게|그걸|그런|그럼|그러면|그리고|그런데|거기|이것|이거|이건|이걸|다른|[은는]요$"
    "|것[은을도이]"
)
# What is left of a text without these tells what it is about: hiragana hold Japanese together,
# these words and endings Chinese and Korean.
_HOLDS_TOGETHER: Final = re.compile(
    "[\u3041-\u309f]+|[何方法]+$|何"
    "|为什么|什么|怎样|怎么|如何|哪些|哪里|哪个|可以|是否|请问|一个|一下|还有|另外|同样|其他|其中"
    "|它们|这些|那些|[它这那吗呢的了是在]"
    "|무엇|어떻게|어떤|어디서?|왜|그것|그거|그건|그게|그걸로?|그럼|그러면|그리고|그런데|거기|이것|다른"
    "|은요$|는요$|하려면|려면|하나요|인가요|있나요|되나요|나요|합니까|입니까|니까|뭐가|수$|것[은을도이]?"
    "|(?:에서|에는|으로|[은는이가을를에의로도])$"
)


@frozen
class _Read:
    """A question: its telling words, and whether it leans on what was asked before."""

    words: tuple[str, ...]
    leans: bool


def queries(question: str, earlier: Sequence[str]) -> tuple[str, ...]:
    """What to search for: the question, and before it what it leaves to the questions before it."""
    asked = _read(question)
    said = dict.fromkeys(_said_before(earlier)) if asked.leans else {}
    added = [word for word in said if word not in asked.words][:WORDS_MAX]
    return (" ".join([*asked.words, *added]), question) if added else (question,)


def fused(found: Sequence[Sequence[Hit]], top_k: int) -> Sequence[Hit]:
    """The best of several searches: by the sum of their reciprocal ranks, the first's before."""
    if len(found) == 1:
        return found[0]
    ranks: dict[str, float] = {}
    hits: dict[str, Hit] = {}
    for of_one in found:
        for rank, hit in enumerate(of_one, start=1):
            ranks[hit.chunk_id] = ranks.get(hit.chunk_id, 0.0) + 1 / (RANK_OFFSET + rank)
            hits.setdefault(hit.chunk_id, hit)
    return sorted(hits.values(), key=lambda hit: -ranks[hit.chunk_id])[:top_k]


def _said_before(earlier: Sequence[str]) -> Iterator[str]:
    """The telling words of the questions before, the last one's first."""
    for question in reversed(earlier[-QUESTIONS_MAX:]):
        read = _read(question)
        yield from read.words
        if not read.leans:
            return


def _read(question: str) -> _Read:
    spaced: list[str] = []
    words: list[str] = []
    chars, points = 0, False
    for run, unspaced in script_runs(question):
        if unspaced:
            points = points or _POINTS_BACK.search(run) is not None
            parts = [part for part in _HOLDS_TOGETHER.sub(" ", run).split() if len(part) > 1]
            chars += sum(map(len, parts))
            words += parts
        else:
            spaced.append(run)
            words += [run] if _tells(run) else []
    few = sum(map(_tells, spaced)) <= OWN_WORDS_MAX and chars <= OWN_CHARS_MAX
    points = points or _points_back(spaced) or _ABOUT.match(question.casefold()) is not None
    return _Read(tuple(words), not words or (few and points))


def _tells(word: str) -> bool:
    return word not in STOPWORDS and word not in _SAYS_NOTHING


def _points_back(words: Sequence[str]) -> bool:
    """Whether a word of a question in a spaced script means something outside of it."""
    if words and words[0] in _GOES_ON:
        return True
    own = 0
    for at, word in enumerate(words):
        if own > BEFORE_POINTER_MAX:
            return False
        before = words[at - 1] if at else ""
        after = words[at + 1] if at + 1 < len(words) else ""
        if word in _POINTERS and not _idle(word, before, after):
            return True
        if word in _PERHAPS and (not after or before in _BEFORE_PERHAPS):
            return True
        own += _tells(word)
    return False


def _idle(word: str, before: str, after: str) -> bool:
    if word == "there":
        return before in _IDLE_BEFORE_THERE or after in _IDLE_BEFORE_THERE
    return word == "it" and after in _IDLE_AFTER_IT
