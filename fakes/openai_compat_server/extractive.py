"""The sentences of the given passages that answer a question best, or none of them.

A passage must cover more than half of what the question asks about before anything is quoted, and
a sentence with its headings two fifths; a name the question gives and no passage has counts for
three words, and what compares two things must name both. Silence is the better mistake: whoever
asks must never read an invention.

What is quoted is one run of sentences where it can be: those beside the best one go on with its
thought, those elsewhere begin another.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from attrs import frozen

from contracts.framing import FramedChunk
from fakes.openai_compat_server.manner import compared, fitness, leans, stands
from fakes.openai_compat_server.prose import Sentence, sentences
from fakes.openai_compat_server.terms import is_cjk, terms

QUOTES_MAX = 3
_TITLE_SEPARATOR = " › "
_QUOTED_CHARS_MIN = 8

# How much of the question a passage, and a sentence with its headings, must cover. Pairs of
# characters meet less often than words do: inflection and spelling break some of every phrase.
_COVERED = {"words": (0.51, 0.4), "pairs": (0.4, 0.2)}
_ABSENT_NAME_WEIGHT = 3.0
# A sentence under a heading that asks the same question answers it without repeating its words.
_HEADING_SHARE = 0.9
# How much more its sentences weigh when a heading and the question say the same, word for word.
_TOPIC_WEIGHT = 0.4
# A sentence that rests on one that cannot be quoted with it loses its meaning.
_TORN_SHARE = 0.7
# From which share of the best score on a further sentence is worth quoting: beside what is quoted
# already, elsewhere in the same passage, in another passage. The farther, the more it jumps about.
_BESIDE_SHARE, _APART_SHARE, _ELSEWHERE_SHARE = 0.6, 0.75, 0.9
_NAME = re.compile(r"(?<=[\w,;:] )[A-Z][\w.+-]*")

_Place = tuple[int, int]  # the passage's rank, the sentence's place in it


@frozen
class Quote:
    """A sentence and the alias of the passage it was taken from."""

    alias: str
    text: str


@frozen
class _Candidate:
    alias: str
    at: _Place
    text: str
    said: str  # its terms in their order, and those of its headings
    own: frozenset[str]
    heading: frozenset[str]  # the headings above it, all of them
    topic: frozenset[str]  # its own heading, without the numbers headings are counted by
    torn: bool  # rests on a sentence before it that cannot be quoted


_Scored = tuple[float, _Candidate]


def best_quotes(chunks: Sequence[FramedChunk], question: str) -> tuple[Quote, ...]:
    """One to three sentences in reading order, or nothing when the passages do not answer."""
    asked = frozenset(terms(question))
    read = [_candidates(rank, chunk) for rank, chunk in enumerate(chunks)]
    vocabularies = [_vocabulary(chunk, found) for chunk, found in zip(chunks, read, strict=True)]
    weights = _gate_weights(asked, question, frozenset().union(*vocabularies))
    pairs = sum(map(is_cjk, asked)) * 2 > len(asked)
    passage_min, sentence_min = _COVERED["pairs" if pairs else "words"]
    sides = [_in_order(terms(side)) for side in compared(question)]
    fitting = [
        candidate
        for found, vocabulary in zip(read, vocabularies, strict=True)
        if _share(asked & vocabulary, weights) >= passage_min
        for candidate in found
        if _share(asked & (candidate.own | candidate.heading), weights) >= sentence_min
        if all(side in candidate.said for side in sides)
    ]
    rarity = _rarity(asked, vocabularies)
    scored = [
        (_score(c, asked, rarity) * fitness(question, c.text, c.at[1] == 0), c) for c in fitting
    ]
    return _picked(sorted((each for each in scored if each[0] > 0), key=_order), read)


def _candidates(rank: int, chunk: FramedChunk) -> list[_Candidate]:
    found: list[_Candidate] = []
    is_torn = False
    for place, sentence in enumerate(sentences(chunk.content)):
        quotable = _quotable(sentence)
        if quotable:
            torn = is_torn and leans(sentence.text)
            found.append(_candidate(chunk, (rank, place), sentence, torn))
        is_torn = not quotable
    return found


def _candidate(chunk: FramedChunk, at: _Place, sentence: Sentence, torn: bool) -> _Candidate:
    own, heading, title = (terms(t) for t in (sentence.text, sentence.heading, chunk.title))
    topic = heading or terms(chunk.title.rpartition(_TITLE_SEPARATOR)[2])
    return _Candidate(
        alias=chunk.alias,
        at=at,
        text=sentence.text,
        said=_in_order([*own, ".", *heading, ".", *title]),
        own=frozenset(own),
        heading=frozenset(heading + title),
        topic=frozenset(term for term in topic if not term.isdigit()),
        torn=torn,
    )


def _in_order(found: Sequence[str]) -> str:
    """Terms such that one run of them can be looked for in another."""
    return f" {' '.join(found)} "


def _quotable(sentence: Sentence) -> bool:
    return len(sentence.text) >= _QUOTED_CHARS_MIN and stands(sentence.text)


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
    early = (1 - 0.03 * min(rank, 10)) * (1 - 0.05 * min(place, 10))
    length = 1 + max(0, len(candidate.own) - 20) * 0.01
    torn = _TORN_SHARE if candidate.torn else 1.0
    same = len(candidate.topic & asked) ** 2 / (len(candidate.topic) * len(asked) or 1)
    topical = 1 + _TOPIC_WEIGHT * same
    return (own + _HEADING_SHARE * heading) * topical * early * torn / length


def _order(scored: _Scored) -> tuple[float, _Place]:
    return -scored[0], scored[1].at


def _picked(scored: Sequence[_Scored], read: Sequence[Sequence[_Candidate]]) -> tuple[Quote, ...]:
    """The best sentence and those that go with it, without repeats, as they follow one another."""
    if not scored:
        return ()
    best, first = scored[0]
    scores = {candidate.at: score for score, candidate in scored}
    run = _grown([first], {c.at: c for c in read[first.at[0]]}, scores, best * _BESIDE_SHARE)
    picked = {candidate.text.casefold(): candidate for candidate in run}
    for score, candidate in scored:
        share = _APART_SHARE if candidate.at[0] == first.at[0] else _ELSEWHERE_SHARE
        alone = candidate.at[1] == 0 or not leans(candidate.text)
        if len(picked) < QUOTES_MAX and alone and score >= best * share:
            picked.setdefault(candidate.text.casefold(), candidate)
    reading = sorted(picked.values(), key=lambda c: (c.at[0] != first.at[0], c.at))
    return tuple(Quote(candidate.alias, candidate.text) for candidate in reading)


def _grown(
    run: list[_Candidate],
    passage: Mapping[_Place, _Candidate],
    scores: Mapping[_Place, float],
    wanted: float,
) -> list[_Candidate]:
    """The run with its neighbours: before it what it rests on, then whatever scores as wanted."""
    while len(run) < QUOTES_MAX:
        (rank, start), (_, stop) = run[0].at, run[-1].at
        before, after = passage.get((rank, start - 1)), passage.get((rank, stop + 1))
        if before is not None and leans(run[0].text):
            run = [before, *run]
            continue
        beside = [c for c in (after, before) if c is not None and scores.get(c.at, 0.0) >= wanted]
        if not beside:
            return run
        nearest = max(beside, key=lambda c: scores[c.at])
        run = [nearest, *run] if nearest is before else [*run, nearest]
    return run
