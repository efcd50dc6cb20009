"""One random world: played, judged, and when it fails made as small as it still fails.

    world_of(seed)         draws a world and judges it
    judged(plan)           the verdict on one world
    shrunk(failing)        the least plan found in which the same checker still speaks
    divergence(plan)       where two runs of the same plan part, if they do
    told(evidence)         everything that passed, for people to read

A failing world is replayed from its plan alone, so a plan is all that is ever kept of one.
"""

import json
from collections.abc import Iterator
from itertools import zip_longest

from attrs import evolve, frozen

from harness import coverage
from harness.causes import names
from harness.checkers import judge
from harness.checkers.codes import last_said
from harness.evidence import Evidence, trace_hash
from harness.plans import Plan, smaller
from harness.play import run
from harness.sim.drawn import draw
from harness.sim.features import features

_SHRINKS_MAX = 200
_OWED = {
    item.split()[1].partition("/")[2]
    for item in coverage.owed()
    if item.startswith("cause client/")
}
_NAMES = evolve(names(), clients=tuple(name for name in names().clients if name not in _OWED))


@frozen
class Judged:
    """What one world came to. `violations` begin with the name of the checker that spoke."""

    plan: Plan
    violations: tuple[str, ...]
    trace: str
    words: tuple[str, ...]  # of each call: its last word
    items: tuple[str, ...] = ()  # what the gate reads in it

    @property
    def checkers(self) -> frozenset[str]:
        return frozenset(line.partition(":")[0] for line in self.violations)


def world_of(seed: int) -> Judged:
    """The random world of this seed."""
    return judged(draw(seed, _NAMES))


def judged(plan: Plan) -> Judged:
    """Play the plan and ask every checker. An exception out of the world is a violation too."""
    try:
        evidence = run(plan)
    except Exception as error:
        return Judged(plan, (f"world: {error!r}",), "", ())
    words = tuple(last_said(evidence, seen) for seen in evidence.seen())
    items = sorted(set(coverage.exercised([coverage.record(evidence)])))
    items += [f"with {name}" for name in features(plan)]
    return Judged(plan, tuple(judge(evidence)), trace_hash(evidence), words, tuple(items))


def shrunk(failing: Judged) -> Judged:
    """The smallest plan found in which one of the same checkers speaks."""
    tries = 0
    while (less := _less(failing)) is not None and (tries := tries + 1) < _SHRINKS_MAX:
        failing = less
    return failing


def _less(failing: Judged) -> Judged | None:
    for plan in smaller(failing.plan):
        found = judged(plan)
        if found.checkers & failing.checkers:
            return found
    return None


def divergence(plan: Plan) -> str:
    """The first thing that two runs of a plan do differently; empty where they are the same."""
    first, second = run(plan), run(plan)
    for at, (one, other) in enumerate(zip_longest(_steps(first), _steps(second))):
        if one != other:
            return f"step {at}: {one} / {other}"
    return ""


def told(evidence: Evidence) -> Iterator[str]:
    """Everything that passed, a line each, and then what each program logged."""
    for record in evidence.wire.records:
        arrow = "→" if record.way == "up" else "←"
        what = repr(record.data) if record.data else f"{record.what} {record.size or ''}".rstrip()
        host = evidence.wire.links[record.link].host
        yield f"{record.at:10.6f} {arrow} {host} (connection {record.link}): {what}"
    for program, lines in evidence.logs.items():
        for line in lines:
            yield f"{program}: {json.dumps(line)}"


def _steps(evidence: Evidence) -> Iterator[str]:
    for record in evidence.wire.records:
        if record.link not in evidence.secret_links:
            yield f"{record.at:.6f} {record.link} {record.way} {record.what} {record.size}"
