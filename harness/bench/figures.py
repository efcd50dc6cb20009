"""Samples → figures: medians, percentiles, ratios. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from attrs import frozen

Rounds = Mapping[str, Sequence[float]]
"""One figure of each row, a value for each round; the same round stands at the same place."""


def percentile(samples: Iterable[float], share: float) -> float:
    """The least sample that at least this share of all reach; `share` from 0 to 1."""
    ordered = sorted(samples)
    assert ordered, "no samples"
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


@frozen
class Ratio:
    """One row against another: the median of the rounds' own ratios, and the least and the most."""

    median: float
    low: float
    high: float


def ratio(rounds: Rounds, row: str, against: str) -> Ratio | None:
    """How often more `row` does than `against`; each round is compared with itself, since what else
    the machine did then slowed both. None where one of the two was not measured."""
    if not (rounds.get(row) and rounds.get(against)):
        return None
    each = [a / b for a, b in zip(rounds[row], rounds[against], strict=True) if b]
    return Ratio(median(each), min(each), max(each)) if each else None


def middle(rounds: Rounds, row: str) -> float | None:
    """The median of a row's rounds; None where it was not measured."""
    return median(rounds[row]) if rounds.get(row) else None


def added(rounds: Rounds, row: str, direct: str) -> float | None:
    """What a row adds to asking directly: the median of the rounds' own differences."""
    if not (rounds.get(row) and rounds.get(direct)):
        return None
    return median(a - b for a, b in zip(rounds[row], rounds[direct], strict=True))
