"""The sentences of the given passages that answer a question best, or none of them.

A passage must cover more than half of what the question asks about before anything is quoted; a
name the question gives and no passage has counts for three words. Silence is the better mistake:
whoever asks must never read an invention.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

from attrs import frozen

from contracts.framing import FramedChunk
from fakes.openai_compat_server.prose import Sentence, sentences
from fakes.openai_compat_server.terms import is_cjk, terms

QUOTES_MAX = 3
_QUOTED_CHARS_MIN = 8

# How much of the question a passage, and a sentence with its headings, must cover. Pairs of
# characters meet less often than words do: inflection and spelling break some of every phrase.
_COVERED = {"words": (0.51, 0.34), "pairs": (0.4, 0.2)}
_ABSENT_NAME_WEIGHT = 3.0
# A sentence under a heading that asks the same question answers it without repeating its words.
_HEADING_SHARE = 0.9
# A further sentence is worth quoting from this share of the best score on; another passage's
# must be nearly as good, or the answer jumps about.
_NEXT_SHARE = 0.6
_ELSEWHERE_SHARE = 0.85
_NAME = re.compile(r"(?<=[\w,;:] )[A-Z][\w.+-]*")


@frozen
class Quote:
    """A sentence and the alias of the passage it was taken from."""

    alias: str
    text: str


@frozen
class _Candidate:
    alias: str
    at: tuple[int, int]  # the passage's rank, the sentence's place in it
    text: str
    own: frozenset[str]
    heading: frozenset[str]


def best_quotes(chunks: Sequence[FramedChunk], question: str) -> tuple[Quote, ...]:
    """One to three sentences in reading order, or nothing when the passages do not answer."""
    asked = frozenset(terms(question))
    read = [_candidates(rank, chunk) for rank, chunk in enumerate(chunks)]
    vocabularies = [_vocabulary(chunk, found) for chunk, found in zip(chunks, read, strict=True)]
    weights = _gate_weights(asked, question, frozenset().union(*vocabularies))
    pairs = sum(map(is_cjk, asked)) * 2 > len(asked)
    passage_min, sentence_min = _COVERED["pairs" if pairs else "words"]
    fitting = [
        candidate
        for found, vocabulary in zip(read, vocabularies, strict=True)
        if _share(asked & vocabulary, weights) >= passage_min
        for candidate in found
        if _share(asked & (candidate.own | candidate.heading), weights) >= sentence_min
    ]
    rarity = _rarity(asked, vocabularies)
    return _picked(sorted(((_score(c, asked, rarity), c) for c in fitting), key=_order))


def _candidates(rank: int, chunk: FramedChunk) -> list[_Candidate]:
    found: list[_Candidate] = []
    title = frozenset(terms(chunk.title))
    for place, sentence in enumerate(sentences(chunk.content)):
        if _quotable(sentence):
            own, heading = frozenset(terms(sentence.text)), frozenset(terms(sentence.heading))
            found.append(
                _Candidate(chunk.alias, (rank, place), sentence.text, own, heading | title)
            )
    return found


def _quotable(sentence: Sentence) -> bool:
    """Whether it stands on its own: no question, no aside, nothing that announces more."""
    text = sentence.text
    open_ended = text.endswith(("?", "？", ":", "：", ",")) or text.startswith("(")
    return len(text) >= _QUOTED_CHARS_MIN and not open_ended


def _vocabulary(chunk: FramedChunk, found: Sequence[_Candidate]) -> frozenset[str]:
    return frozenset(terms(chunk.title)).union(*(c.own | c.heading for c in found))


def _gate_weights(asked: frozenset[str], question: str, known: frozenset[str]) -> dict[str, float]:
    names = {term for name in _NAME.findall(question) for term in terms(name)} - known
    return {term: _ABSENT_NAME_WEIGHT if term in names else 1.0 for term in asked}


def _share(met: frozenset[str], weights: dict[str, float]) -> float:
    return sum(weights[term] for term in met) / sum(weights.values()) if weights else 0.0


def _rarity(asked: frozenset[str], vocabularies: Sequence[frozenset[str]]) -> dict[str, float]:
    seen = Counter(term for vocabulary in vocabularies for term in vocabulary & asked)
    return {t: math.log(3 + (len(vocabularies) - seen[t]) / (seen[t] + 0.5)) for t in asked}


def _score(candidate: _Candidate, asked: frozenset[str], rarity: dict[str, float]) -> float:
    """What the sentence and its headings share with the question, rare words first.

    The retriever's order, a place near the heading and brevity each weigh a little.
    """
    own = sum(rarity[term] for term in sorted(candidate.own & asked))
    heading = sum(rarity[term] for term in sorted(candidate.heading & asked))
    rank, place = candidate.at
    early = (1 - 0.03 * min(rank, 10)) * (1 - 0.04 * min(place, 10))
    length = 1 + max(0, len(candidate.own) - 20) * 0.01
    return (own + _HEADING_SHARE * heading) * early / length


def _order(scored: tuple[float, _Candidate]) -> tuple[float, tuple[int, int]]:
    return -scored[0], scored[1].at


def _picked(scored: Sequence[tuple[float, _Candidate]]) -> tuple[Quote, ...]:
    """The best sentence and those close to it, without repeats, as they follow one another."""
    if not scored:
        return ()
    best, (home, _) = scored[0][0], scored[0][1].at
    picked: dict[str, _Candidate] = {}
    for score, candidate in scored:
        wanted = best * (_NEXT_SHARE if candidate.at[0] == home else _ELSEWHERE_SHARE)
        if len(picked) < QUOTES_MAX and score >= wanted:
            picked.setdefault(candidate.text.casefold(), candidate)
    reading = sorted(picked.values(), key=lambda c: (c.at[0] != home, c.at))
    return tuple(Quote(candidate.alias, candidate.text) for candidate in reading)
