"""How well a chunk answers a question, from which of the question's terms it holds.

Two numbers, for two purposes. `coverage` is what a threshold gates on: it means the same on every
corpus and with every engine. `standing` is what hits are ordered by. Both are counted from plain
facts that any engine can tell: how many chunks hold a term, and which terms this chunk holds.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from attrs import evolve, frozen

from qs.retrieval.port import Hit

# BM25's best are looked at closely; what it ranks below these never rose to the top by its heading.
CANDIDATES_MIN: Final = 40

# A long question covers ever less of itself in any one chunk. The weight of this many of its
# rarest terms counts as all of it, or the score would measure how long-winded the question is.
FULL_COVERAGE_TERMS: Final = 6

# A term that stands in most chunks is left out where those are more than this.
COMMON_MIN: Final = 2_000

# Hits that cover less of the question than this are taken to be about something else. Measured with
# 130 questions on the handbook, 20 on the Debian FAQ and 25 about neither: 0.30 turns away none of
# the first two, and 24 resp. 19 of the 25. Higher thresholds turn away more real questions than
# strange ones; what passes wrongly still meets a model that may abstain.
DEFAULT_MIN_SCORE: Final = 0.30


def weight(holding: int, total: int) -> float:
    """How much a term tells, when `holding` of `total` chunks hold it: BM25's idf, kept above 0.

    A term that no chunk holds weighs most: it is what shows that a question is off the subject.
    """
    return math.log(1 + (total - holding + 0.5) / (holding + 0.5))


def tells(holding: int, total: int) -> bool:
    """Whether a term that `holding` of `total` chunks hold is worth looking for.

    In a large index one that stands in most chunks tells nothing, and costs the most to look for.
    """
    return holding <= COMMON_MIN or holding * 2 <= total


def coverage(weights: Mapping[str, float], covered: Iterable[str]) -> float:
    """The share, 0 to 1, of the question's weight that stands in a chunk that holds `covered`.

    Unlike a raw BM25 sum this does not grow with the corpus, with the question's length or with
    how often a chunk repeats one word, so that a threshold on it keeps its meaning.
    """
    rarest = sorted(weights.values(), reverse=True)[:FULL_COVERAGE_TERMS]
    whole = math.fsum(rarest)
    return min(1.0, math.fsum(weights[term] for term in covered) / whole) if whole else 0.0


def standing(bm25: float, asked: Collection[str], in_heading: Collection[str]) -> float:
    """BM25, raised by the share of the question's words that stand in the chunk's own heading.

    Whoever wrote the heading said what the section answers. Words count alike here: BM25 alone
    lets one rare verb of the question outvote a heading that says all the rest of it.
    """
    return bm25 * (1 + len(in_heading) / len(asked))


@frozen
class Candidate:
    """A chunk that an engine proposes, and the terms that it holds, anywhere and in its heading."""

    hit: Hit
    bm25: float
    covered: Collection[str]
    headed: Collection[str]


def best(
    candidates: Iterable[Candidate],
    asked: Collection[str],
    weights: Mapping[str, float],
    top_k: int,
) -> Sequence[Hit]:
    """The best of them, each with the share of the question that it covers; none of them twice.

    The same text may stand in two files, or in two roots.
    """
    ordered = sorted(
        candidates, key=lambda found: standing(found.bm25, asked, found.headed), reverse=True
    )
    distinct: dict[tuple[str | None, str], Candidate] = {}
    for found in ordered:
        distinct.setdefault((found.hit.title, found.hit.content), found)
    taken = list(distinct.values())[:top_k]
    return [evolve(found.hit, score=coverage(weights, found.covered)) for found in taken]
