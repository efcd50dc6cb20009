"""What so many worlds came to, counted world by world and never kept: its size is the catalogues'.

What a world exercised is the gate's own reading of it (`harness.coverage`): an item counts where
the thing was done and a call of that world ended in the code it must end in. Left out are the rows
of `harness.attempts` and of a rate and the refusals: worlds and streams of their own making.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Final

from attrs import define, field

from harness.coverage import demanded, owed
from harness.sim.features import FEATURES
from harness.sim.state import Line

_NOT_DRAWN: Final = ("refusal ", "cause attempts/", "cause rate/")
_WORDS_SHOWN, _RAREST_SHOWN, _NEVER_SHOWN = 12, 8, 24


@cache
def drawable() -> tuple[str, ...]:
    """Every item of the gate that a random world may exercise."""
    owing = owed()
    return tuple(
        item for item in demanded() if item not in owing and not item.startswith(_NOT_DRAWN)
    )


@define
class Tally:
    """Of all worlds so far."""

    worlds: int = 0
    failed: int = 0
    cpu_s: float = 0.0
    words: Counter[str] = field(factory=Counter)
    items: Counter[str] = field(factory=Counter)

    def add(self, line: Line) -> None:
        """One more world."""
        self.worlds += 1
        self.failed += bool(line.violations)
        self.cpu_s += line.cpu_s
        self.words.update(line.words)
        self.items.update(line.items)

    def told(self) -> Iterator[str]:
        """The summary, line by line."""
        yield (
            f"{self.worlds} worlds, {sum(self.words.values())} calls, {len(self.words)} different "
            f"ends, {self.failed} failed; {self.cpu_s:.0f} s of one processor's time"
        )
        yield "  ends       " + _counts(dict(self.words.most_common(_WORDS_SHOWN)))
        kinds = self._kinds()
        shares = (f"{kind} {done} of {there}" for kind, (done, there) in kinds.items())
        yield "  exercised  " + ", ".join(shares)
        yield "  with       " + _counts({it: self.items[f"with {it}"] for it in FEATURES})
        done = {item: self.items[item] for item in drawable() if self.items[item]}
        rarest = sorted(done, key=lambda item: done[item])[:_RAREST_SHOWN]
        yield "  rarest     " + _counts({item: done[item] for item in rarest})
        never = _in_both_modes([item for item in drawable() if item not in done])
        more = [f"and {len(never) - _NEVER_SHOWN} more"] if len(never) > _NEVER_SHOWN else []
        yield "  never      " + (", ".join([*never[:_NEVER_SHOWN], *more]) or "nothing")

    def _kinds(self) -> Mapping[str, tuple[int, int]]:
        """By kind of item: how many were exercised, of how many."""
        there = Counter(map(_kind, drawable()))
        done = Counter(_kind(item) for item in drawable() if self.items[item])
        return {kind: (done[kind], count) for kind, count in there.items()}


def _kind(item: str) -> str:
    """`code`, `order`, or a cause's own kind."""
    first, second, *_ = item.split()
    return second.partition("/")[0] if first == "cause" else first


def _in_both_modes(items: Sequence[str]) -> list[str]:
    """The same with one name for what is there in both modes."""
    found = []
    for item in items:
        bare, _, mode = item.rpartition(" ")
        if mode == "plain" and f"{bare} streaming" in items:
            continue
        found.append(bare if f"{bare} plain" in items and mode == "streaming" else item)
    return found


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "nothing"
